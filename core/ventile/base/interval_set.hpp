// A set of task numbers kept as intervals: a finished job of a billion tasks is one interval.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include <ventile/base/range.hpp>

namespace ventile {

// Disjoint, never touching, in order. Every operation is logarithmic in the number of intervals, plus the
// intervals it visits. A value; not thread-safe.
class IntervalSet {
public:
  IntervalSet() = default;
  explicit IntervalSet(Range range) { insert(range); }

  // Adds the range; returns how many of its numbers were not there before.
  std::uint64_t insert(Range range);
  // Removes the range; returns how many of its numbers were there.
  std::uint64_t erase(Range range);

  bool contains(Number number) const;
  bool contains(Range range) const;  // All of it. An empty range is always contained.
  bool intersects(Range range) const;
  // The parts of the range that are (not) in the set, in order.
  std::vector<Range> present(Range range) const;
  std::vector<Range> missing(Range range) const;

  bool empty() const { return intervals_.empty(); }
  std::uint64_t count() const { return count_; }  // Numbers.
  std::size_t interval_count() const { return intervals_.size(); }
  Range front() const;            // The lowest interval; empty if none.
  Number lowest_missing() const;  // The lowest number not in the set.
  std::vector<Range> ranges() const;
  void clear();

  bool operator==(const IntervalSet& other) const { return intervals_ == other.intervals_; }

private:
  std::map<Number, Number> intervals_;  // first -> end
  std::uint64_t count_ = 0;

  std::map<Number, Number>::const_iterator first_ending_after(Number number) const;
};

}  // namespace ventile
