#include <ventile/queue/backlog.hpp>

#include <algorithm>
#include <iterator>

#include <ventile/base/planted.hpp>
#include <ventile/queue/large.hpp>

namespace ventile {
namespace {

std::uint64_t bytes_each(const Pending& pending) {
  return pending.bytes / std::max<std::uint64_t>(pending.range.count, 1);
}

bool is_large(const Pending& pending) { return are_large(pending.bytes, pending.range.count); }

// Sizes are estimates once runs are joined; joining only similar ones keeps a batch near its byte limit. Suspects
// are never joined: they were taken apart on purpose. Nor are large payloads: they lie in blocks as they were added,
// and a batch that ends where a block does is sent without a copy.
bool similar(const Pending& a, const Pending& b) {
  if (a.history.suspicion > 0 || (is_large(a) && is_large(b))) return false;
  const std::uint64_t small = std::min(bytes_each(a), bytes_each(b));
  const std::uint64_t large = std::max(bytes_each(a), bytes_each(b));
  return a.history == b.history && large <= 2 * small + 64;
}

std::uint64_t share(std::uint64_t bytes, std::uint64_t count, std::uint64_t of) {
  return static_cast<std::uint64_t>(static_cast<long double>(bytes) * count / of);
}

}  // namespace

std::pair<Pending, Pending> split(const Pending& pending, std::uint64_t count) {
  const std::uint64_t bytes = share(pending.bytes, count, pending.range.count);
  return {Pending{{pending.range.first, count}, bytes, pending.history},
          Pending{{pending.range.first + count, pending.range.count - count}, pending.bytes - bytes, pending.history}};
}

void Backlog::insert(const Pending& pending) {
  runs_.emplace(pending.range.first, pending);
  count_ += pending.range.count;
  bytes_ += pending.bytes;
}

Pending Backlog::extract(std::map<Number, Pending>::iterator it) {
  Pending pending = it->second;
  runs_.erase(it);
  count_ -= pending.range.count;
  bytes_ -= pending.bytes;
  return pending;
}

void Backlog::add(Pending pending) {
  if (pending.range.empty()) return;
  auto next = runs_.lower_bound(pending.range.first);
  if (next != runs_.end() && next->first == pending.range.end() && similar(next->second, pending)) {
    const Pending joined = extract(next++);
    pending.range.count += joined.range.count;
    pending.bytes += joined.bytes;
  }
  if (next != runs_.begin()) {
    auto previous = std::prev(next);
    if (previous->second.range.end() == pending.range.first && similar(previous->second, pending)) {
      const Pending joined = extract(previous);
      pending.range = {joined.range.first, joined.range.count + pending.range.count};
      pending.bytes += joined.bytes;
    }
  }
  insert(pending);
}

std::optional<Pending> Backlog::take(const Limits& limits) {
  if (runs_.empty() || runs_.begin()->first >= limits.below) return std::nullopt;
  Pending front = extract(runs_.begin());
  std::uint64_t count =
      std::min({std::max<std::uint64_t>(limits.count, 1), front.range.count, limits.below - front.range.first});
  if (front.bytes > 0 && share(front.bytes, count, front.range.count) > limits.bytes)
    count = std::max<std::uint64_t>(share(front.range.count, limits.bytes, front.bytes), 1);
  if (count == front.range.count) return front;
  auto [taken, rest] = split(front, count);
  if (!planted("a split loses the remainder")) insert(rest);
  return taken;
}

std::vector<Pending> Backlog::remove(Range range) {
  std::vector<Pending> removed;
  if (range.empty()) return removed;
  auto it = runs_.upper_bound(range.first);
  if (it != runs_.begin() && std::prev(it)->second.range.end() > range.first) --it;
  while (it != runs_.end() && it->first < range.end()) {
    Pending run = extract(it++);
    if (run.range.first < range.first) {
      auto [before, rest] = split(run, range.first - run.range.first);
      insert(before);
      run = rest;
    }
    if (run.range.end() > range.end()) {
      auto [inside, after] = split(run, range.end() - run.range.first);
      insert(after);
      run = inside;
    }
    removed.push_back(run);
  }
  return removed;
}

std::optional<Pending> Backlog::front() const {
  if (runs_.empty()) return std::nullopt;
  return runs_.begin()->second;
}

std::vector<Pending> Backlog::within(Range range) const {
  std::vector<Pending> found;
  auto it = runs_.upper_bound(range.first);
  if (it != runs_.begin()) --it;
  for (; it != runs_.end() && it->first < range.end(); ++it) {
    const Pending& run = it->second;
    const Range part = intersection(run.range, range);
    if (!part.empty()) found.push_back({part, share(run.bytes, part.count, run.range.count), run.history});
  }
  return found;
}

std::vector<Range> Backlog::ranges() const {
  std::vector<Range> all;
  for (const auto& [first, pending] : runs_) all.push_back(pending.range);
  return all;
}

}  // namespace ventile
