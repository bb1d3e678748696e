#include <ventile/queue/outbox.hpp>

#include <algorithm>

#include <ventile/base/planted.hpp>

namespace ventile {

ResultId Outbox::add(JobId job, LeaseId lease, Range range, std::uint64_t bytes, TimePoint now) {
  const ResultId id{++counter_};
  entries_.emplace(id, Entry{.job = job, .lease = lease, .open = IntervalSet{range}, .bytes = bytes, .sent = now});
  by_lease_[lease].push_back(id);
  waiting_.emplace(id, job);
  bytes_ += bytes;
  tasks_ += range.count;
  return id;
}

void Outbox::wait_again(ResultId id, Entry& entry) {
  if (entry.waiting) return;
  entry.waiting = true;
  waiting_.emplace(id, entry.job);
}

void Outbox::on_route(JobId job, IncarnationId sink) {
  Route& route = routes_[job];
  if (route.sink == sink) return;
  route = {.sink = sink};
  send_again(job);
}

void Outbox::send_again(JobId job) {
  for (auto& [id, entry] : entries_)
    if (entry.job == job) wait_again(id, entry);
}

void Outbox::on_disconnected(IncarnationId sink) {
  if (planted("a lost connection resends nothing")) return;
  for (auto& [id, entry] : entries_)
    if (auto route = routes_.find(entry.job); route != routes_.end() && route->second.sink == sink)
      wait_again(id, entry);
}

void Outbox::erase(std::map<ResultId, Entry>::iterator it) {
  const auto [id, entry] = std::pair{it->first, std::move(it->second)};
  bytes_ -= entry.bytes;
  tasks_ -= entry.open.count();
  auto lease = by_lease_.find(entry.lease);
  std::erase(lease->second, id);
  if (lease->second.empty()) by_lease_.erase(lease);
  waiting_.erase(id);
  entries_.erase(it);
}

std::vector<ResultId> Outbox::forget(JobId job, LeaseId lease, Range range) {
  std::vector<ResultId> done;
  auto ids = by_lease_.find(lease);
  if (ids == by_lease_.end()) return done;
  for (const ResultId id : std::vector(ids->second)) {
    auto it = entries_.find(id);
    if (it->second.job != job) continue;
    tasks_ -= it->second.open.erase(range);
    if (!it->second.open.empty()) continue;
    done.push_back(id);
    erase(it);
  }
  return done;
}

std::vector<ResultId> Outbox::on_verdict(JobId job, LeaseId lease, Range range, TimePoint) {
  if (auto ids = by_lease_.find(lease); ids != by_lease_.end())
    for (const ResultId id : ids->second)
      if (const Entry& entry = entries_.at(id); entry.open.intersects(range) && !entry.waiting)
        if (auto route = routes_.find(job); route != routes_.end())
          route->second.last_verdict_sent = std::max(route->second.last_verdict_sent, entry.sent);
  return forget(job, lease, range);
}

std::vector<ResultId> Outbox::forget(JobId job) {
  std::vector<ResultId> done;
  for (auto it = entries_.begin(); it != entries_.end();) {
    const auto current = it++;
    if (current->second.job != job) continue;
    done.push_back(current->first);
    erase(current);
  }
  routes_.erase(job);
  return done;
}

std::optional<Outbox::Send> Outbox::next(TimePoint now, const HasRoom& has_room) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    const auto route = routes_.find(it->second);
    if (route == routes_.end() || !has_room(route->second.sink)) continue;
    const ResultId id = it->first;
    Entry& entry = entries_.at(id);
    waiting_.erase(it);
    entry.waiting = false;
    entry.sent = now;
    if (entry.sends++ > 0) ++resent_;
    return Send{id, entry.job, route->second.sink};
  }
  return std::nullopt;
}

void Outbox::put_back(ResultId id) {
  auto it = entries_.find(id);
  if (it == entries_.end()) return;
  if (it->second.sends-- > 1) --resent_;
  wait_again(id, it->second);
}

void Outbox::on_tick(TimePoint now) {
  for (auto& [id, entry] : entries_) {
    if (entry.waiting) continue;
    const auto route = routes_.find(entry.job);
    const Duration patience = options_.overdue * (std::int64_t{1} << std::min(entry.sends - 1, 6U));
    if (route != routes_.end() && route->second.last_verdict_sent > entry.sent && now - entry.sent > patience)
      wait_again(id, entry);
  }
}

std::vector<HeldRange> Outbox::held() const {
  std::vector<HeldRange> held;
  for (const auto& [id, entry] : entries_)
    for (const Range range : entry.open.ranges()) held.push_back({entry.job, entry.lease, range, true, {}});
  return held;
}

}  // namespace ventile
