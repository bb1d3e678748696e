#include <ventile/base/ids.hpp>

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace ventile {

std::uint64_t random_u64() {
  std::uint64_t value = 0;
  while (value == 0) {
    const ssize_t got = getrandom(&value, sizeof value, 0);
    if (got != static_cast<ssize_t>(sizeof value)) {
      if (got < 0 && errno != EINTR) std::abort();  // Without randomness identities could collide.
      value = 0;
    }
  }
  return value;
}

std::string to_hex(std::uint64_t value) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; i >= 0; --i, value >>= 4) text[static_cast<std::size_t>(i)] = digits[value & 15];
  return text;
}

std::string to_hex(std::uint64_t high, std::uint64_t low) { return to_hex(high) + to_hex(low); }

}  // namespace ventile
