#include <ventile/base/interval_set.hpp>

#include <iterator>

namespace ventile {

std::map<Number, Number>::const_iterator IntervalSet::first_ending_after(Number number) const {
  auto it = intervals_.upper_bound(number);
  if (it != intervals_.begin() && std::prev(it)->second > number) --it;
  return it;
}

std::uint64_t IntervalSet::insert(Range range) {
  if (range.empty()) return 0;
  Number first = range.first;
  Number end = range.end();
  std::uint64_t already = 0;
  auto it = intervals_.upper_bound(first);
  if (it != intervals_.begin() && std::prev(it)->second >= first) --it;
  if (it != intervals_.end() && it->first <= first && it->second >= first) {
    // Extend in place the interval that touches or holds `first`: the usual case is appending.
    already += intersection({it->first, it->second - it->first}, range).count;
    auto next = std::next(it);
    while (next != intervals_.end() && next->first <= end) {
      already += intersection({next->first, next->second - next->first}, range).count;
      end = std::max(end, next->second);
      next = intervals_.erase(next);
    }
    it->second = std::max(it->second, end);
  } else {
    while (it != intervals_.end() && it->first <= end) {
      already += intersection({it->first, it->second - it->first}, range).count;
      end = std::max(end, it->second);
      it = intervals_.erase(it);
    }
    intervals_.emplace_hint(it, first, end);
  }
  const std::uint64_t added = range.count - already;
  count_ += added;
  return added;
}

std::uint64_t IntervalSet::erase(Range range) {
  if (range.empty()) return 0;
  std::uint64_t removed = 0;
  auto const_it = first_ending_after(range.first);
  auto it = intervals_.erase(const_it, const_it);
  while (it != intervals_.end() && it->first < range.end()) {
    const Number first = it->first;
    const Number end = it->second;
    removed += intersection({first, end - first}, range).count;
    it = intervals_.erase(it);
    if (first < range.first) intervals_.emplace_hint(it, first, range.first);
    if (end > range.end()) it = intervals_.emplace_hint(it, range.end(), end);
  }
  count_ -= removed;
  return removed;
}

bool IntervalSet::contains(Number number) const { return contains(Range{number, 1}); }

bool IntervalSet::contains(Range range) const {
  if (range.empty()) return true;
  auto it = first_ending_after(range.first);
  return it != intervals_.end() && it->first <= range.first && it->second >= range.end();
}

bool IntervalSet::intersects(Range range) const {
  if (range.empty()) return false;
  auto it = first_ending_after(range.first);
  return it != intervals_.end() && it->first < range.end();
}

std::vector<Range> IntervalSet::present(Range range) const {
  std::vector<Range> parts;
  if (range.empty()) return parts;
  for (auto it = first_ending_after(range.first); it != intervals_.end() && it->first < range.end(); ++it)
    parts.push_back(intersection(Range::between(it->first, it->second), range));
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

Range IntervalSet::front() const {
  if (intervals_.empty()) return {};
  return Range::between(intervals_.begin()->first, intervals_.begin()->second);
}

Number IntervalSet::lowest_missing() const {
  if (intervals_.empty() || intervals_.begin()->first != 0) return 0;
  return intervals_.begin()->second;
}

std::vector<Range> IntervalSet::ranges() const {
  std::vector<Range> all;
  all.reserve(intervals_.size());
  for (const auto& [first, end] : intervals_) all.push_back(Range::between(first, end));
  return all;
}

void IntervalSet::clear() {
  intervals_.clear();
  count_ = 0;
}

}  // namespace ventile
