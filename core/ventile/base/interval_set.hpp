// A set of task numbers kept as intervals: a finished job of a billion tasks is one interval.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <ventile/base/range.hpp>

namespace ventile {

// Disjoint, never touching, in order. A value; not thread-safe.
//
// One interval, the usual case, is in the object itself. More are in chunks of at most `chunk_intervals`, as the leaves
// of a B-tree with one level above: what is looked up among thousands touches a few cache lines, not one for each
// level of a binary tree. An operation costs the search, the intervals that it visits, and the moving of one chunk's.
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

  bool empty() const { return count_ == 0; }
  std::uint64_t count() const { return count_; }  // Numbers.
  std::size_t interval_count() const;
  Range front() const;            // The lowest interval; empty if none.
  Number lowest_missing() const;  // The lowest number not in the set.
  std::vector<Range> ranges() const;
  // Calls call(range) for each interval, in order.
  template <class Call>
  void for_each(Call call) const {
    if (!only_.empty()) call(only_);
    for (const Chunk& chunk : chunks_)
      for (const Range range : chunk.intervals) call(range);
  }
  void clear();
  // Asks for the cache lines in which a search for the number begins.
  void fetch_ahead(Number number) const;

  bool operator==(const IntervalSet& other) const;

private:
  // One less than fit into a kilobyte: each chunk has that much, which malloc has at hand where it was freed before.
  static constexpr std::size_t chunk_intervals = 63;

  struct Chunk {
    Number lowest = 0;  // The first number of its first interval: what a search compares.
    std::vector<Range> intervals;
  };
  // Of an interval; with index == the chunk's size, of the end of the last chunk.
  struct Position {
    std::size_t chunk = 0;
    std::size_t index = 0;
  };

  std::uint64_t count_ = 0;
  Range only_;                 // While there are no chunks: the one interval, or empty.
  std::vector<Chunk> chunks_;  // None of them empty.

  std::span<const Range> chunk(std::size_t index) const {
    if (chunks_.empty()) return {&only_, only_.empty() ? 0U : 1U};
    return chunks_[index].intervals;
  }
  std::size_t chunk_of(Number number) const;  // The last that begins there or below, or the first.
  std::size_t chunk_count() const { return chunks_.empty() ? 1 : chunks_.size(); }
  const Range* at(Position position) const;  // Null at the end.
  Position after(Position position) const;
  Position first_ending_at_or_after(Number number) const;
  Position first_ending_after(Number number) const;
  void replace(Position from, Position to, std::span<const Range> by);
  void put_right(std::size_t index);
};

}  // namespace ventile
