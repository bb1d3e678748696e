// A run of consecutive task numbers: the unit in which Ventile leases, acknowledges and remembers.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ventile {

// The tasks of a job are numbered 0, 1, 2, …
using Number = std::uint64_t;

// The numbers first, first + 1, …, first + count - 1. first + count never overflows (the codec checks it).
struct Range {
  Number first = 0;
  std::uint64_t count = 0;

  constexpr Number end() const { return first + count; }
  constexpr bool empty() const { return count == 0; }
  constexpr bool contains(Number number) const { return number >= first && number - first < count; }
  constexpr bool contains(Range other) const { return other.first >= first && other.end() <= end(); }
  auto operator<=>(const Range&) const = default;

  static constexpr Range between(Number first, Number end) { return {first, end > first ? end - first : 0}; }
};

constexpr Range intersection(Range a, Range b) {
  return Range::between(std::max(a.first, b.first), std::min(a.end(), b.end()));
}

}  // namespace ventile
