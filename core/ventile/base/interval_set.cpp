#include <ventile/base/interval_set.hpp>

#include <algorithm>
#include <array>

namespace ventile {
namespace {

// The index of the last element that is so, if those that are come first; 0 if none is. A binary search in which
// nothing depends on a branch: where numbers come in any order, half of the branches of std::lower_bound are foretold
// wrongly.
template <class Elements, class Is>
std::size_t last_that(const Elements& elements, Is is) {
  std::size_t at = 0;
  for (std::size_t left = elements.size(); left > 1;) {
    const std::size_t half = left / 2;
    at += half * static_cast<std::size_t>(is(elements[at + half]));
    left -= half;
  }
  return at;
}

}  // namespace

// --- Places ------------------------------------------------------------------------------------------------------

const Range* IntervalSet::at(Position position) const {
  const std::span<const Range> intervals = chunk(position.chunk);
  return position.index < intervals.size() ? &intervals[position.index] : nullptr;
}

IntervalSet::Position IntervalSet::after(Position position) const {
  ++position.index;
  if (position.index == chunk(position.chunk).size() && position.chunk + 1 < chunk_count())
    return {position.chunk + 1, 0};
  return position;
}

std::size_t IntervalSet::chunk_of(Number number) const {
  return last_that(chunks_, [number](const Chunk& chunk) { return chunk.lowest <= number; });
}

// A binary search looks into the middle, then into that of a half, and into that of a quarter.
void IntervalSet::fetch_ahead(Number number) const {
  if (chunks_.empty()) return;
  const std::vector<Range>& intervals = chunks_[chunk_of(number)].intervals;
  constexpr std::size_t parts = 8;
  for (std::size_t part = 1; part < parts; ++part) __builtin_prefetch(&intervals[intervals.size() * part / parts]);
}

// What ends there begins below, so it is in the last chunk that begins at `number` or below, or it is the first of the
// next one.
IntervalSet::Position IntervalSet::first_ending_at_or_after(Number number) const {
  const std::size_t index = chunk_of(number);
  const std::span<const Range> intervals = chunk(index);
  const auto ends_below = [number](const Range& range) { return range.end() < number; };
  std::size_t place = last_that(intervals, ends_below);
  if (place < intervals.size() && ends_below(intervals[place])) ++place;
  if (place == intervals.size() && index + 1 < chunk_count()) return {index + 1, 0};
  return {index, place};
}

IntervalSet::Position IntervalSet::first_ending_after(Number number) const {
  const Position position = first_ending_at_or_after(number);
  const Range* const interval = at(position);
  return interval != nullptr && interval->end() == number ? after(position) : position;
}

// --- Changes -----------------------------------------------------------------------------------------------------

std::uint64_t IntervalSet::insert(Range range) {
  if (range.empty()) return 0;
  if (chunks_.empty() && (only_.empty() || (range.first <= only_.end() && only_.first <= range.end()))) {
    const std::uint64_t before = count_;
    only_ =
        only_.empty() ? range : Range::between(std::min(only_.first, range.first), std::max(only_.end(), range.end()));
    count_ = only_.count;
    return count_ - before;
  }
  const Position from = first_ending_at_or_after(range.first);
  Position to = from;
  Number first = range.first;
  Number end = range.end();
  std::uint64_t already = 0;
  for (const Range* next = at(to); next != nullptr && next->first <= end; next = at(to)) {
    already += intersection(*next, range).count;
    first = std::min(first, next->first);
    end = std::max(end, next->end());
    to = after(to);
  }
  const Range merged = Range::between(first, end);
  count_ += range.count - already;
  if (!chunks_.empty() && from.chunk == to.chunk && from.index + 1 == to.index) {  // As most often: one has grown.
    Chunk& chunk = chunks_[from.chunk];
    chunk.intervals[from.index] = merged;
    chunk.lowest = chunk.intervals.front().first;
  } else {
    replace(from, to, {&merged, 1});
  }
  return range.count - already;
}

std::uint64_t IntervalSet::erase(Range range) {
  const bool leaves_one = range.first <= only_.first || range.end() >= only_.end();
  if (chunks_.empty() && leaves_one) {
    const std::uint64_t removed = intersection(only_, range).count;
    if (removed == 0) return 0;
    only_ = range.first <= only_.first ? Range::between(range.end(), only_.end())
                                       : Range::between(only_.first, range.first);
    count_ -= removed;
    return removed;
  }
  const Position from = first_ending_after(range.first);
  Position to = from;
  std::array<Range, 2> rest;
  std::size_t rests = 0;
  std::uint64_t removed = 0;
  for (const Range* next = at(to); next != nullptr && next->first < range.end(); next = at(to)) {
    removed += intersection(*next, range).count;
    if (next->first < range.first) rest[rests++] = Range::between(next->first, range.first);
    if (next->end() > range.end()) rest[rests++] = Range::between(range.end(), next->end());
    to = after(to);
  }
  if (removed == 0) return 0;
  replace(from, to, {rest.data(), rests});
  count_ -= removed;
  return removed;
}

// The intervals from `from` up to `to` give way to others.
void IntervalSet::replace(Position from, Position to, std::span<const Range> by) {
  if (chunks_.empty()) {
    std::vector<Range> all{by.begin(), by.end()};
    if (from.index == 1) all.insert(all.begin(), only_);
    if (to.index == 0) all.push_back(only_);
    only_ = {};
    chunks_.push_back({all.front().first, std::move(all)});
    return;
  }
  std::vector<Range>& intervals = chunks_[from.chunk].intervals;
  const auto begin = intervals.begin() + static_cast<std::ptrdiff_t>(from.index);
  if (to.chunk != from.chunk) {
    std::vector<Range>& last = chunks_[to.chunk].intervals;
    last.erase(last.begin(), last.begin() + static_cast<std::ptrdiff_t>(to.index));
    intervals.erase(begin, intervals.end());
    intervals.insert(intervals.end(), by.begin(), by.end());
    put_right(to.chunk);
    const auto between = chunks_.begin() + static_cast<std::ptrdiff_t>(from.chunk) + 1;
    chunks_.erase(between, chunks_.begin() + static_cast<std::ptrdiff_t>(to.chunk));
    return put_right(from.chunk);
  }
  const std::size_t gone = to.index - from.index;
  const std::size_t kept = std::min(gone, by.size());
  std::copy_n(by.begin(), kept, begin);
  if (by.size() > kept)
    intervals.insert(begin + static_cast<std::ptrdiff_t>(kept), by.begin() + static_cast<std::ptrdiff_t>(kept),
                     by.end());
  else
    intervals.erase(begin + static_cast<std::ptrdiff_t>(kept), begin + static_cast<std::ptrdiff_t>(gone));
  put_right(from.chunk);
}

// A chunk has been changed: it goes if it is empty, is divided if it is too large, and takes in the next one if both
// are small.
void IntervalSet::put_right(std::size_t index) {
  const auto place = chunks_.begin() + static_cast<std::ptrdiff_t>(index);
  std::vector<Range>& intervals = place->intervals;
  if (intervals.empty()) {
    chunks_.erase(place);
    return;
  }
  place->lowest = intervals.front().first;
  if (intervals.size() > chunk_intervals) {
    const auto middle = intervals.begin() + static_cast<std::ptrdiff_t>(intervals.size() / 2);
    Chunk upper{middle->first, {}};
    upper.intervals.reserve(chunk_intervals + 1);
    upper.intervals.assign(middle, intervals.end());
    intervals.erase(middle, intervals.end());
    chunks_.insert(place + 1, std::move(upper));
  } else if (index + 1 < chunks_.size() &&
             intervals.size() + chunks_[index + 1].intervals.size() < chunk_intervals / 2) {
    const std::vector<Range>& next = chunks_[index + 1].intervals;
    intervals.insert(intervals.end(), next.begin(), next.end());
    chunks_.erase(place + 1);
  }
}

void IntervalSet::clear() { *this = {}; }

// --- Questions ---------------------------------------------------------------------------------------------------

bool IntervalSet::contains(Number number) const { return contains(Range{number, 1}); }

bool IntervalSet::contains(Range range) const {
  if (range.empty()) return true;
  const Range* const interval = at(first_ending_after(range.first));
  return interval != nullptr && interval->contains(range);
}

bool IntervalSet::intersects(Range range) const {
  if (range.empty()) return false;
  const Range* const interval = at(first_ending_after(range.first));
  return interval != nullptr && interval->first < range.end();
}

std::vector<Range> IntervalSet::present(Range range) const {
  std::vector<Range> parts;
  if (range.empty()) return parts;
  Position position = first_ending_after(range.first);
  for (const Range* next = at(position); next != nullptr && next->first < range.end(); next = at(position)) {
    parts.push_back(intersection(*next, range));
    position = after(position);
  }
  return parts;
}

std::vector<Range> IntervalSet::missing(Range range) const {
  std::vector<Range> parts;
  Number at = range.first;
  for (const Range there : present(range)) {
    if (there.first > at) parts.push_back(Range::between(at, there.first));
    at = there.end();
  }
  if (at < range.end()) parts.push_back(Range::between(at, range.end()));
  return parts;
}

std::size_t IntervalSet::interval_count() const {
  std::size_t total = 0;
  for (std::size_t i = 0; i < chunk_count(); ++i) total += chunk(i).size();
  return total;
}

Range IntervalSet::front() const { return empty() ? Range{} : chunk(0).front(); }

Number IntervalSet::lowest_missing() const { return empty() || front().first != 0 ? 0 : front().end(); }

std::vector<Range> IntervalSet::ranges() const {
  std::vector<Range> all;
  all.reserve(interval_count());
  for (std::size_t i = 0; i < chunk_count(); ++i) all.insert(all.end(), chunk(i).begin(), chunk(i).end());
  return all;
}

bool IntervalSet::operator==(const IntervalSet& other) const {
  if (count_ != other.count_) return false;
  Position here;
  Position there;
  const Range* one = at(here);
  const Range* another = other.at(there);
  while (one != nullptr && another != nullptr && *one == *another) {
    one = at(here = after(here));
    another = other.at(there = other.after(there));
  }
  return one == another;  // Both at the end.
}

}  // namespace ventile
