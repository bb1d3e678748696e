#include <ventile/queue/account.hpp>

#include <algorithm>
#include <cassert>
#include <numeric>

#include <ventile/base/planted.hpp>

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
  Entry& entry = it->second;
  Lease& lease = entry.lease;
  if (fresh) {
    lease = {.id = id, .holder = holder, .history = pending.history, .granted = now, .renewed = now};
    entry.holder = &by_holder_[holder];
    entry.in_holder = entry.holder->leases.insert(entry.holder->leases.end(), id);
    entry.in_age = by_age_.insert(by_age_.end(), id);
  }
  const std::uint64_t added = lease.remaining.insert(pending.range);
  held_ += added;
  lease.total += added;
  entry.holder->tasks += added;
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
  Lease& lease = leases_.at(id).lease;
  lease.bytes = bytes;
  lease.copy = true;
  return lease;
}

std::vector<Range> Account::adopt(LeaseId id, SessionId holder, Range range, TimePoint now) {
  std::vector<Range> adopted;
  if (auto it = leases_.find(id); it != leases_.end() && it->second.lease.holder != holder) return adopted;
  for (const Pending& pending : backlog_.remove(range)) {
    if (planted("an adopted task stays in the queue")) backlog_.add(pending);
    insert_lease(id, holder, pending, now);
    adopted.push_back(pending.range);
  }
  for (const Pending& pending : take_lost(range)) {
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
  for (auto& [id, entry] : leases_)
    if (Lease& lease = entry.lease; lease.history.suspicion > 0 && lease.remaining.intersects(range))
      lease.history = {.tries = lease.history.tries};
}

Lease* Account::find(LeaseId id) {
  auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second.lease;
}

const Lease* Account::find(LeaseId id) const {
  auto it = leases_.find(id);
  return it == leases_.end() ? nullptr : &it->second.lease;
}

std::vector<const Lease*> Account::leases_with(Number number) const {
  std::vector<const Lease*> found;
  for (const LeaseId id : by_age_)
    if (const Lease& lease = leases_.at(id).lease; lease.remaining.contains(number)) found.push_back(&lease);
  return found;
}

std::vector<LeaseId> Account::leases_of(SessionId holder) const {
  auto it = by_holder_.find(holder);
  if (it == by_holder_.end()) return {};
  return {it->second.leases.begin(), it->second.leases.end()};
}

const Lease* Account::oldest_of(SessionId holder) const {
  auto it = by_holder_.find(holder);
  return it == by_holder_.end() ? nullptr : &leases_.at(it->second.leases.front()).lease;
}

std::uint64_t Account::held_by(SessionId holder) const {
  auto it = by_holder_.find(holder);
  return it == by_holder_.end() ? 0 : it->second.tasks;
}

std::size_t Account::lease_count_of(SessionId holder) const {
  auto it = by_holder_.find(holder);
  return it == by_holder_.end() ? 0 : it->second.leases.size();
}

void Account::end_if_empty(LeaseId id) { end_if_empty(leases_.find(id)); }

void Account::end_if_empty(Entries::iterator it) {
  if (it == leases_.end() || !it->second.lease.remaining.empty()) return;
  const Entry& entry = it->second;
  entry.holder->leases.erase(entry.in_holder);
  by_age_.erase(entry.in_age);
  if (entry.holder->leases.empty()) by_holder_.erase(entry.lease.holder);
  leases_.erase(it);
}

std::uint64_t Account::take_from(Entry& entry, Range range) {
  Lease& lease = entry.lease;
  const std::uint64_t before = lease.remaining.count();
  const std::uint64_t removed = lease.remaining.erase(range);
  if (removed == 0) return 0;
  held_ -= removed;
  entry.holder->tasks -= removed;
  lease.bytes = static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * (before - removed) / before);
  return removed;
}

void Account::withdraw_from(Entry& entry, Range range) { entry.lease.total -= take_from(entry, range); }

// Looks at every lease; called only while copies run.
std::vector<Range> Account::held_by_others(Range range, LeaseId except) const {
  IntervalSet held;
  for (const auto& [id, entry] : leases_)
    if (id != except)
      for (const Range part : entry.lease.remaining.present(range)) held.insert(part);
  return held.ranges();
}

// --- The arrows --------------------------------------------------------------------------------------------------

std::vector<Account::Loser> Account::take_from_leases(Range range) {
  std::vector<Loser> losers;
  leased_.erase(range);
  if (held_ == leased_.count()) return losers;  // No other lease holds any of it, and no copies of anything run.
  for (const auto& [id, entry] : leases_)
    for (const Range part : entry.lease.remaining.present(range)) losers.push_back({id, entry.lease.holder, part});
  for (const Loser& loser : losers) withdraw_from(leases_.at(loser.lease), loser.range);
  for (const Loser& loser : losers) end_if_empty(loser.lease);
  return losers;
}

std::vector<Account::Loser> Account::settle(Range range, const std::vector<RangeOutcome>& exceptions, LeaseId winner) {
  ledger_.record(range, exceptions);
  const auto it = leases_.find(winner);
  if (it != leases_.end()) take_from(it->second, range);
  std::vector<Loser> losers = take_from_leases(range);  // Not the winner's, which has none of it any more.
  end_if_empty(it);
  if (!planted("a late result leaves its task in the queue")) backlog_.remove(range);
  if (!planted("a late result leaves its task to be retried")) remove_delayed(range);
  awaiting_.erase(range);
  return losers;
}

std::uint64_t Account::release(LeaseId id, Range range, const History& history, std::optional<TimePoint> due) {
  auto it = leases_.find(id);
  if (it == leases_.end()) return 0;
  const Lease& lease = it->second.lease;
  std::uint64_t returned = 0;
  for (const Range part : lease.remaining.present(range)) {
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * part.count / lease.remaining.count());
    withdraw_from(it->second, part);
    IntervalSet free{part};
    if (held_ + part.count > leased_.count() &&
        !planted("a copy's other holder is forgotten"))  // Some number has two leases; perhaps one of these.
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
  end_if_empty(it);
  return returned;
}

std::uint64_t Account::wake_delayed(TimePoint now) {
  std::uint64_t woken = 0;
  for (auto it = delayed_.begin(); it != delayed_.end() && it->first <= now && !planted("a retry is never due");) {
    if (it->second.history.lost && !planted("what is lost is tried again")) {
      ++it;
      continue;
    }
    const Pending pending = it->second;
    it = delayed_.erase(it);
    delayed_numbers_.erase(pending.range);
    woken += pending.range.count;
    backlog_.add(pending);
  }
  return woken;
}

template <class Wanted>
std::optional<TimePoint> Account::first_due(Wanted wanted) const {
  const auto found = std::find_if(delayed_.begin(), delayed_.end(), wanted);
  return found == delayed_.end() ? std::nullopt : std::optional{found->first};
}

std::optional<TimePoint> Account::next_due() const {
  return first_due([](const auto& entry) { return !entry.second.history.lost; });
}
std::optional<TimePoint> Account::next_lost() const {
  return first_due([](const auto& entry) { return entry.second.history.lost; });
}

std::vector<Range> Account::lost(TimePoint now) const {
  std::vector<Range> ranges;
  for (auto it = delayed_.begin(); it != delayed_.end() && it->first <= now; ++it)
    if (it->second.history.lost) ranges.push_back(it->second.range);
  return ranges;
}

bool Account::is_lost(Number number) const {
  return std::any_of(delayed_.begin(), delayed_.end(), [number](const auto& entry) {
    return entry.second.history.lost && entry.second.range.contains(number);
  });
}

void Account::set_aside(Range range, TimePoint due) {
  for (Pending pending : backlog_.remove(range)) {
    pending.history.lost = true;
    delayed_.emplace(due, pending);
    delayed_numbers_.insert(pending.range);
  }
}

// Whoever had them is back: nothing is held against them.
std::vector<Pending> Account::take_lost(Range range) {
  std::vector<Pending> taken;
  for (const auto& [due, pending] : delayed_)
    if (const Range part = intersection(pending.range, range); pending.history.lost && !part.empty())
      taken.push_back({part, pending.bytes * part.count / pending.range.count, {.tries = pending.history.tries}});
  for (const Pending& pending : taken) remove_delayed(pending.range);
  return taken;
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
  for (const auto& [due, pending] : delayed_)
    if (!pending.history.lost) waiting.insert(pending.range);
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
  for (const auto& [id, entry] : leases_) {
    const Lease& lease = entry.lease;
    if (lease.remaining.empty()) return "an empty lease is still there";
    for (const Range range : lease.remaining.ranges()) leased.insert(range);
    held += lease.remaining.count();
  }
  if (!(leased == leased_) || held != held_) return "the leases are not what is leased";
  IntervalSet delayed;
  for (const Range range : waiting) delayed.insert(range);
  if (!(delayed == delayed_numbers_)) return "the numbers that are delayed are not those that wait";
  if (leases_.size() != by_age_.size()) return "the index of leases is wrong";
  return {};
}

}  // namespace ventile
