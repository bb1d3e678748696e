#include <ventile/base/crc32c.hpp>

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#endif

namespace ventile {
namespace {

using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

// Slicing by eight: M. Kounavis and F. Berry, "A systematic approach to building high performance software-based
// CRC generators", ISCC 2005.
constexpr Tables make_tables() {
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    tables[0][byte] = crc;
  }
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::size_t slice = 1; slice < 8; ++slice)
      tables[slice][byte] = (tables[slice - 1][byte] >> 8) ^ tables[0][tables[slice - 1][byte] & 255];
  return tables;
}
constexpr Tables tables = make_tables();

using Function = std::uint32_t (*)(Bytes, std::uint32_t);

#if defined(__x86_64__)
// Three streams hide the instruction's latency of three cycles; their checksums are joined by shifting the earlier
// ones over `lane` zero bytes, which is linear: a table per byte of the checksum.
constexpr std::size_t lane = 1024;

constexpr std::uint32_t shift_over_lane(std::uint32_t crc) {
  for (std::size_t i = 0; i < lane; ++i) crc = (crc >> 8) ^ tables[0][crc & 255];
  return crc;
}
using ShiftTable = std::array<std::array<std::uint32_t, 256>, 4>;
ShiftTable make_shift_table() {
  ShiftTable shift{};
  for (std::uint32_t byte = 0; byte < 256; ++byte)
    for (std::size_t place = 0; place < 4; ++place) shift[place][byte] = shift_over_lane(byte << (8 * place));
  return shift;
}
std::uint32_t shifted(const ShiftTable& shift, std::uint64_t crc) {
  return shift[0][crc & 255] ^ shift[1][(crc >> 8) & 255] ^ shift[2][(crc >> 16) & 255] ^ shift[3][(crc >> 24) & 255];
}
std::uint64_t load(const std::byte* at) {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(Bytes bytes, std::uint32_t start) {
  static const ShiftTable shift = make_shift_table();
  std::uint64_t crc = ~start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  while (left >= 3 * lane) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < lane; i += 8) {
      crc = _mm_crc32_u64(crc, load(at + i));
      second = _mm_crc32_u64(second, load(at + lane + i));
      third = _mm_crc32_u64(third, load(at + 2 * lane + i));
    }
    crc = shifted(shift, shifted(shift, crc) ^ second) ^ third;
    at += 3 * lane;
    left -= 3 * lane;
  }
  for (; left >= 8; left -= 8, at += 8) crc = _mm_crc32_u64(crc, load(at));
  auto rest = static_cast<std::uint32_t>(crc);
  for (; left > 0; --left, ++at) rest = _mm_crc32_u8(rest, std::to_integer<unsigned char>(*at));
  return ~rest;
}
Function choose() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("sse4.2") ? crc32c_by_instruction : crc32c_by_table;
}
#elif defined(__aarch64__)
__attribute__((target("+crc"))) std::uint32_t crc32c_by_instruction(Bytes bytes, std::uint32_t start) {
  std::uint32_t crc = ~start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    crc = __crc32cd(crc, word);
  }
  for (; left > 0; --left, ++at) crc = __crc32cb(crc, std::to_integer<unsigned char>(*at));
  return ~crc;
}
Function choose() { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0 ? crc32c_by_instruction : crc32c_by_table; }
#else
Function choose() { return crc32c_by_table; }
#endif

}  // namespace

std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t start) {
  std::uint32_t crc = ~start;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::array<std::uint8_t, 8> b{};
    std::memcpy(b.data(), at, b.size());
    crc = tables[7][b[0] ^ (crc & 255)] ^ tables[6][b[1] ^ ((crc >> 8) & 255)] ^ tables[5][b[2] ^ ((crc >> 16) & 255)] ^
          tables[4][b[3] ^ (crc >> 24)] ^ tables[3][b[4]] ^ tables[2][b[5]] ^ tables[1][b[6]] ^ tables[0][b[7]];
  }
  for (; left > 0; --left, ++at) crc = (crc >> 8) ^ tables[0][(crc ^ std::to_integer<std::uint32_t>(*at)) & 255];
  return ~crc;
}

std::uint32_t crc32c(Bytes bytes, std::uint32_t crc) {
  static const Function function = choose();
  return function(bytes, crc);
}

}  // namespace ventile
