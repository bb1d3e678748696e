// What the fuzz targets share. Each target defines LLVMFuzzerTestOneInput; a claim that does not hold ends the process.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <tests/support/allocations.hpp>
#include <ventile/base/buffer.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile::fuzz {

inline void hold(bool claim, const char* what) {
  if (claim) return;
  std::fprintf(stderr, "it does not hold that %s\n", what);
  std::abort();
}

inline Bytes bytes_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

// While it lives, decoding `size` bytes may take no more than the codec promises.
class AllocationBound {
public:
  explicit AllocationBound(std::size_t size) : most_(decoding_memory_max(size)) {}
  ~AllocationBound() {
    hold(meter_.peak() <= most_, "decoding takes at most 8 bytes for each of the frame, and 64 KB");
  }
  AllocationBound(const AllocationBound&) = delete;
  AllocationBound& operator=(const AllocationBound&) = delete;

private:
  std::size_t most_;
  testing::AllocationMeter meter_;
};

// Takes the input apart; zeroes come when it is used up.
class Feed {
public:
  explicit Feed(Bytes bytes) : left_(bytes) {}

  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(left_.front());
    left_ = left_.subspan(1);
    return value;
  }
  std::uint64_t below(std::uint64_t limit) { return byte() % limit; }
  Bytes take(std::size_t count) {
    const Bytes taken = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(taken.size());
    return taken;
  }
  // What stands before the next byte of that value, or all that is left.
  std::string text_until(char end) {
    std::string text;
    while (!left_.empty()) {
      const char c = static_cast<char>(byte());
      if (c == end) break;
      text += c;
    }
    return text;
  }
  Bytes rest() { return take(left_.size()); }

private:
  Bytes left_;
};

}  // namespace ventile::fuzz

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer wants this name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
