#include <ventile/queue/account.hpp>

#include <algorithm>
#include <cassert>
#include <numeric>

namespace ventile {

std::uint64_t Audit::settled() const { return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0}); }

Range Account::offer(std::uint64_t count, std::uint64_t bytes) {
  const Range range{submitted_, count};
  submitted_ += count;
  backlog_.add({range, bytes, {}});
  return range;
}

// --- Leases ------------------------------------------------------------------------------------------------------

Lease& Account::insert_lease(LeaseId id, SessionId holder, const Pending& pending, TimePoint now) {
  const auto [it, fresh] = leases_.try_emplace(id);
  Lease& lease = it->second;
  if (fresh) {
    lease = {.id = id, .holder = holder, .history = pending.history, .granted = now, .renewed = now};
    const std::uint64_t order = ++granted_;
    order_.emplace(id, order);
    by_age_.emplace(order, id);
    by_holder_[holder].leases.emplace(order, id);
  }
  const std::uint64_t added = lease.remaining.insert(pending.range);
  held_ += added;
  lease.total += added;
  by_holder_[lease.holder].tasks += added;
  lease.bytes += pending.bytes;
  leased_.insert(pending.range);
  return lease;
}

Lease* Account::grant(LeaseId id, SessionId holder, const Backlog::Limits& limits, TimePoint now) {
  const std::optional<Pending> taken = backlog_.take(limits);
  return taken ? &insert_lease(id, holder, *taken, now) : nullptr;
}

Lease& Account::grant_copy(LeaseId id, SessionId holder, Lease& original, TimePoint now) {
  original.copied = true;
  const History history = original.history;
  const std::uint64_t bytes = original.bytes;
  for (const Range range : original.remaining.ranges()) insert_lease(id, holder, {range, 0, history}, now);
  Lease& lease = leases_.at(id);
  lease.bytes = bytes;
  lease.copy = true;
  return lease;
}

std::vector<Range> Account::adopt(LeaseId id, SessionId holder, Range range, TimePoint now) {
  std::vector<Range> adopted;
  if (auto it = leases_.find(id); it != leases_.end() && it->second.holder != holder) return adopted;
  for (const Pending& pending : backlog_.remove(range)) {
    insert_lease(id, holder, pending, now);
    adopted.push_back(pending.range);
  }
  return adopted;
}

void Account::exonerate(Range range) {
  for (Pending pending : backlog_.remove(range)) {
    pending.history = {.tries = pending.history.tries};
    backlog_.add(pending);
  }
  for (auto& [id, lease] : leases_)
    if (lease.history.suspicion > 0 && lease.remaining.intersects(range))
      lease.history = {.tries = lease.history.tries};
}

Lease* Account::find(LeaseId id) {
  auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second;
}

std::vector<const Lease*> Account::leases_with(Number number) const {
  std::vector<const Lease*> found;
  for (const auto& [order, id] : by_age_)
    if (const Lease& lease = leases_.at(id); lease.remaining.contains(number)) found.push_back(&lease);
  return found;
}

std::vector<LeaseId> Account::leases_of(SessionId holder) const {
  std::vector<LeaseId> ids;
  if (auto it = by_holder_.find(holder); it != by_holder_.end())
    for (const auto& [order, id] : it->second.leases) ids.push_back(id);
  return ids;
}

std::uint64_t Account::held_by(SessionId holder) const {
  auto it = by_holder_.find(holder);
  return it == by_holder_.end() ? 0 : it->second.tasks;
}

std::size_t Account::lease_count_of(SessionId holder) const {
  auto it = by_holder_.find(holder);
  return it == by_holder_.end() ? 0 : it->second.leases.size();
}

void Account::end_if_empty(LeaseId id) {
  auto it = leases_.find(id);
  if (it == leases_.end() || !it->second.remaining.empty()) return;
  const auto order = order_.find(id);
  auto holder = by_holder_.find(it->second.holder);
  holder->second.leases.erase(order->second);
  if (holder->second.leases.empty()) by_holder_.erase(holder);
  by_age_.erase(order->second);
  order_.erase(order);
  leases_.erase(it);
}

std::uint64_t Account::take_from(Lease& lease, Range range) {
  const std::uint64_t before = lease.remaining.count();
  const std::uint64_t removed = lease.remaining.erase(range);
  if (removed == 0) return 0;
  held_ -= removed;
  by_holder_.at(lease.holder).tasks -= removed;
  lease.bytes = static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * (before - removed) / before);
  return removed;
}

void Account::withdraw_from(Lease& lease, Range range) { lease.total -= take_from(lease, range); }

// Looks at every lease; called only while copies run.
std::vector<Range> Account::held_by_others(Range range, LeaseId except) const {
  IntervalSet held;
  for (const auto& [id, lease] : leases_)
    if (id != except)
      for (const Range part : lease.remaining.present(range)) held.insert(part);
  return held.ranges();
}

// --- The arrows --------------------------------------------------------------------------------------------------

std::vector<Account::Loser> Account::take_from_leases(Range range) {
  std::vector<Loser> losers;
  leased_.erase(range);
  if (held_ == leased_.count()) return losers;  // No other lease holds any of it, and no copies of anything run.
  for (auto& [id, lease] : leases_)
    for (const Range part : lease.remaining.present(range)) losers.push_back({id, lease.holder, part});
  for (const Loser& loser : losers) withdraw_from(leases_.at(loser.lease), loser.range);
  for (const Loser& loser : losers) end_if_empty(loser.lease);
  return losers;
}

std::vector<Account::Loser> Account::settle(Range range, const std::vector<RangeOutcome>& exceptions, LeaseId winner) {
  ledger_.record(range, exceptions);
  if (auto it = leases_.find(winner); it != leases_.end()) take_from(it->second, range);
  std::vector<Loser> losers = take_from_leases(range);
  end_if_empty(winner);
  backlog_.remove(range);
  remove_delayed(range);
  awaiting_.erase(range);
  return losers;
}

std::uint64_t Account::release(LeaseId id, Range range, const History& history, std::optional<TimePoint> due) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return 0;
  Lease& lease = it->second;
  std::uint64_t returned = 0;
  for (const Range part : lease.remaining.present(range)) {
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * part.count / lease.remaining.count());
    withdraw_from(lease, part);
    IntervalSet free{part};
    if (held_ + part.count > leased_.count())  // Some number has two leases; perhaps one of these.
      for (const Range held : held_by_others(part, id)) free.erase(held);
    for (const Range back : free.ranges()) {
      leased_.erase(back);
      const Pending pending{back, bytes * back.count / part.count, history};
      returned += back.count;
      if (due) {
        delayed_.emplace(*due, pending);
        delayed_numbers_.insert(back);
      } else {
        backlog_.add(pending);
      }
    }
  }
  end_if_empty(id);
  return returned;
}

std::uint64_t Account::wake_delayed(TimePoint now) {
  std::uint64_t woken = 0;
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const Pending pending = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    delayed_numbers_.erase(pending.range);
    woken += pending.range.count;
    backlog_.add(pending);
  }
  return woken;
}

std::optional<TimePoint> Account::next_due() const {
  if (delayed_.empty()) return std::nullopt;
  return delayed_.begin()->first;
}

void Account::remove_delayed(Range range) {
  if (!delayed_numbers_.intersects(range)) return;
  for (auto it = delayed_.begin(); it != delayed_.end();) {
    if (intersection(it->second.range, range).empty()) {
      ++it;
      continue;
    }
    const auto [due, pending] = *it;
    it = delayed_.erase(it);
    Backlog rest;
    rest.add(pending);
    rest.remove(range);
    for (const Range part : rest.ranges())
      delayed_.emplace(due, Pending{part, pending.bytes * part.count / pending.range.count, pending.history});
  }
  delayed_numbers_.erase(range);
}

std::vector<Range> Account::propose(Range range, LeaseId holder) {
  IntervalSet proposed;
  for (const Range part : ledger_.missing(range)) proposed.insert(part);
  for (const Range part : awaiting_.present(range)) proposed.erase(part);
  for (const Range part : proposed.ranges()) {
    if (auto it = leases_.find(holder); it != leases_.end()) withdraw_from(it->second, part);
    take_from_leases(part);
    backlog_.remove(part);
    remove_delayed(part);
    awaiting_.insert(part);
  }
  end_if_empty(holder);
  return proposed.ranges();
}

std::vector<Range> Account::propose_waiting() {
  IntervalSet waiting;
  for (const Range range : backlog_.ranges()) waiting.insert(range);
  for (const auto& [due, pending] : delayed_) waiting.insert(pending.range);
  std::vector<Range> proposed;
  for (const Range range : waiting.ranges())
    for (const Range part : propose(range)) proposed.push_back(part);
  return proposed;
}

// --- The proof ---------------------------------------------------------------------------------------------------

Audit Account::audit() const {
  return {.submitted = submitted_,
          .queued = backlog_.count(),
          .delayed = delayed_numbers_.count(),
          .leased = leased_.count(),
          .awaiting = awaiting_.count(),
          .outcomes = ledger_.outcomes()};
}

std::string Account::check() const {
  if (!audit().balanced()) return "the places do not add up to what was submitted";
  IntervalSet seen;
  const auto place = [&seen](const std::vector<Range>& ranges) {
    return std::all_of(ranges.begin(), ranges.end(), [&](Range range) { return seen.insert(range) == range.count; });
  };
  std::vector<Range> waiting;
  for (const auto& [due, pending] : delayed_) waiting.push_back(pending.range);
  if (!place(ledger_.settled().ranges()) || !place(backlog_.ranges()) || !place(waiting) || !place(leased_.ranges()) ||
      !place(awaiting_.ranges()))
    return "a number is in two places";
  if (seen.count() != submitted_ || (submitted_ > 0 && seen.lowest_missing() != submitted_))
    return "a number is nowhere";
  IntervalSet leased;
  std::uint64_t held = 0;
  for (const auto& [id, lease] : leases_) {
    if (lease.remaining.empty()) return "an empty lease is still there";
    for (const Range range : lease.remaining.ranges()) leased.insert(range);
    held += lease.remaining.count();
  }
  if (!(leased == leased_) || held != held_) return "the leases are not what is leased";
  IntervalSet delayed;
  for (const Range range : waiting) delayed.insert(range);
  if (!(delayed == delayed_numbers_)) return "the numbers that are delayed are not those that wait";
  if (leases_.size() != order_.size() || leases_.size() != by_age_.size()) return "the index of leases is wrong";
  return {};
}

}  // namespace ventile
