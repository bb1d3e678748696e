#include <ventile/queue/account.hpp>

#include <algorithm>
#include <cassert>
#include <numeric>

#include <ventile/base/memory.hpp>
#include <ventile/base/mixed.hpp>
#include <ventile/base/planted.hpp>

namespace ventile {
namespace {

constexpr std::uint64_t leases_ahead = 4;  // The place of the lease after so many is asked for.

}  // namespace

std::uint64_t Audit::settled() const { return std::accumulate(outcomes.begin(), outcomes.end(), std::uint64_t{0}); }

Range Account::offer(std::uint64_t count, std::uint64_t bytes) {
  const Range range{submitted_, count};
  submitted_ += count;
  backlog_.add({range, bytes, {}});
  return range;
}

// --- Leases ------------------------------------------------------------------------------------------------------

Lease& Account::insert_lease(LeaseId id, SessionId holder, const Pending& pending, TimePoint now) {
  const auto [entry, fresh] = leases_.emplace(id);
  Lease& lease = entry->lease;
  if (fresh) {
    lease = {.id = id, .holder = holder, .history = pending.history, .granted = now, .renewed = now};
    entry->holder = holders_.emplace(holder).first;
    entry->holder->leases.push_back(entry);
  }
  const std::uint64_t added = lease.remaining.insert(pending.range);
  held_ += added;
  lease.total += added;
  entry->holder->tasks += added;
  lease.bytes += pending.bytes;
  return lease;
}

Lease* Account::grant(LeaseId id, SessionId holder, const Backlog::Limits& limits, TimePoint now) {
  const std::optional<Pending> taken = backlog_.take(limits);
  leases_.fetch_ahead({id.dispatcher, id.counter + leases_ahead});
  return taken ? &insert_lease(id, holder, *taken, now) : nullptr;
}

Lease& Account::grant_copy(LeaseId id, SessionId holder, Lease& original, TimePoint now) {
  assert(!original.copied && !original.copy);
  original.copied = true;
  const History history = original.history;
  const std::uint64_t bytes = original.bytes;
  for (const Range range : original.remaining.ranges()) {
    insert_lease(id, holder, {range, 0, history}, now);
    doubled_.insert(range);
  }
  Lease& lease = *find(id);
  lease.bytes = bytes;
  lease.copy = true;
  return lease;
}

std::vector<Range> Account::adopt(LeaseId id, SessionId holder, Range range, TimePoint now) {
  std::vector<Range> adopted;
  if (const Lease* const lease = find(id); lease != nullptr && lease->holder != holder) return adopted;
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

std::vector<Range> Account::exonerate(Range range) {
  std::vector<Range> suspects;
  for (Pending pending : backlog_.remove(range)) {
    if (pending.history.is_suspect()) suspects.push_back(pending.range);
    pending.history = {.tries = pending.history.tries};
    backlog_.add(pending);
  }
  const auto is_among = [range](const Lease& lease) {
    return lease.history.is_suspect() && lease.remaining.intersects(range);
  };
  for (const LeaseId id : leases_where(is_among)) {
    Lease& lease = *find(id);
    for (const Range remaining : lease.remaining.ranges()) suspects.push_back(remaining);
    lease.history = {.tries = lease.history.tries};
  }
  return suspects;
}

void Account::accuse(const Suspect& suspect) {
  for (Pending pending : backlog_.remove(suspect.range)) {
    pending.history.suspicion = suspect.suspicion;
    pending.history.deaths_alone = suspect.deaths_alone;
    backlog_.add(pending);
  }
}

void Account::fetch_ahead_lease(LeaseId id) const {
  if (const LeaseEntry* const entry = leases_.find(id); entry != nullptr) fetch_ahead(*entry);
}

void Account::fetch_ahead_holder(LeaseId id) const {
  const LeaseEntry* const entry = leases_.find(id);
  if (entry == nullptr) return;
  fetch_ahead(*entry->holder);
  holders_.fetch_ahead(entry->lease.holder);
}

Lease* Account::find(LeaseId id) {
  LeaseEntry* const entry = leases_.find(id);
  return entry == nullptr ? nullptr : &entry->lease;
}

const Lease* Account::find(LeaseId id) const {
  const LeaseEntry* const entry = leases_.find(id);
  return entry == nullptr ? nullptr : &entry->lease;
}

std::vector<LeaseId> Account::leases_of(SessionId holder) const {
  const LeaseHolder* const found = holders_.find(holder);
  return found == nullptr ? std::vector<LeaseId>{} : found->leases.ids();
}

const Lease* Account::oldest_of(SessionId holder) const {
  const LeaseHolder* const found = holders_.find(holder);
  const LeaseEntry* const oldest = found == nullptr ? nullptr : found->leases.front();
  return oldest == nullptr ? nullptr : &oldest->lease;
}

std::uint64_t Account::held_by(SessionId holder) const {
  const LeaseHolder* const found = holders_.find(holder);
  return found == nullptr ? 0 : found->tasks;
}

std::size_t Account::lease_count_of(SessionId holder) const {
  const LeaseHolder* const found = holders_.find(holder);
  return found == nullptr ? 0 : found->leases.size();
}

void Account::forget(SessionId holder) {
  if (lease_count_of(holder) == 0) holders_.erase(holder);
}

void Account::end_if_empty(LeaseEntry* entry) {
  if (entry == nullptr || !entry->lease.remaining.empty()) return;
  entry->holder->leases.erase(entry);
  leases_.erase(entry->lease.id);
}

std::uint64_t Account::take_from(LeaseEntry& entry, Range range) {
  Lease& lease = entry.lease;
  if (!doubled_.empty())  // The other holder has them still.
    for (const Range part : lease.remaining.present(range)) doubled_.erase(part);
  const std::uint64_t before = lease.remaining.count();
  const std::uint64_t removed = lease.remaining.erase(range);
  if (removed == 0) return 0;
  held_ -= removed;
  entry.holder->tasks -= removed;
  lease.bytes = static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * (before - removed) / before);
  return removed;
}

std::uint64_t Account::withdraw_from(LeaseEntry& entry, Range range) {
  const std::uint64_t removed = take_from(entry, range);
  entry.lease.total -= removed;
  return removed;
}

// --- The arrows --------------------------------------------------------------------------------------------------

std::vector<Account::Loser> Account::take_from_leases(Range range) {
  std::vector<Loser> losers;
  for (const LeaseId id : leases_where([range](const Lease& lease) { return lease.remaining.intersects(range); }))
    for (const Range part : find(id)->remaining.present(range)) losers.push_back({id, find(id)->holder, part});
  for (const Loser& loser : losers) withdraw_from(*leases_.find(loser.lease), loser.range);
  for (const Loser& loser : losers) end_if_empty(leases_.find(loser.lease));
  return losers;
}

// `taken` of these numbers have left the lease that they were expected in. Every other is in one place more, and those
// that were doubled are in another lease, too; the leases are looked through only if there must be some.
std::vector<Account::Loser> Account::take_from_others(Range range, std::uint64_t taken, bool doubled) {
  if (taken == range.count && !doubled) return {};
  if (!planted("a late result leaves its task in the queue"))
    for (const Pending& pending : backlog_.remove(range)) taken += pending.range.count;
  if (!planted("a late result leaves its task to be retried")) taken += remove_delayed(range);
  taken += awaiting_.erase(range);
  return taken == range.count && !doubled ? std::vector<Loser>{} : take_from_leases(range);
}

std::vector<Account::Loser> Account::settle(Range range, const std::vector<RangeOutcome>& exceptions, LeaseId winner) {
  ledger_.record(range, exceptions);
  const bool doubled = doubled_.intersects(range);
  LeaseEntry* const entry = leases_.find(winner);
  const std::uint64_t taken = entry == nullptr ? 0 : take_from(*entry, range);
  end_if_empty(entry);
  return take_from_others(range, taken, doubled);
}

std::uint64_t Account::release(LeaseId id, Range range, const History& history, std::optional<TimePoint> due) {
  LeaseEntry* const entry = leases_.find(id);
  if (entry == nullptr) return 0;
  const Lease& lease = entry->lease;
  std::uint64_t returned = 0;
  for (const Range part : lease.remaining.present(range)) {
    const std::uint64_t bytes =
        static_cast<std::uint64_t>(static_cast<long double>(lease.bytes) * part.count / lease.remaining.count());
    IntervalSet free{part};
    if (!planted("a copy's other holder is forgotten"))
      for (const Range held : doubled_.present(part)) free.erase(held);
    withdraw_from(*entry, part);
    for (const Range back : free.ranges()) {
      const Pending pending{back, bytes * back.count / part.count, history};
      returned += back.count;
      if (due)
        delay(pending, *due);
      else
        backlog_.add(pending);
    }
  }
  end_if_empty(entry);
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
    lost_numbers_.erase(pending.range);
    woken += pending.range.count;
    backlog_.add(pending);
  }
  return woken;
}

std::optional<TimePoint> Account::next_due() const {
  const auto found =
      std::find_if(delayed_.begin(), delayed_.end(), [](const auto& entry) { return !entry.second.history.lost; });
  return found == delayed_.end() ? std::nullopt : std::optional{found->first};
}

std::vector<Range> Account::lost(TimePoint now) const {
  std::vector<Range> ranges;
  for (auto it = delayed_.begin(); it != delayed_.end() && it->first <= now; ++it)
    if (it->second.history.lost) ranges.push_back(it->second.range);
  return ranges;
}

void Account::delay(const Pending& pending, TimePoint due) {
  delayed_.emplace(due, pending);
  delayed_numbers_.insert(pending.range);
  if (pending.history.lost) lost_numbers_.insert(pending.range);
}

void Account::set_aside(Range range, TimePoint due) {
  for (Pending pending : backlog_.remove(range)) {
    pending.history.lost = true;
    delay(pending, due);
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

std::uint64_t Account::remove_delayed(Range range) {
  if (!delayed_numbers_.intersects(range)) return 0;
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
  lost_numbers_.erase(range);
  return delayed_numbers_.erase(range);
}

std::vector<Range> Account::propose(Range range, LeaseId holder) {
  IntervalSet proposed;
  for (const Range part : ledger_.missing(range)) proposed.insert(part);
  for (const Range part : awaiting_.present(range)) proposed.erase(part);
  for (const Range part : proposed.ranges()) {
    const bool doubled = doubled_.intersects(part);
    LeaseEntry* const entry = leases_.find(holder);
    const std::uint64_t taken = entry == nullptr ? 0 : withdraw_from(*entry, part);
    end_if_empty(entry);
    take_from_others(part, taken, doubled);
    awaiting_.insert(part);
  }
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
          .leased = leased_count(),
          .awaiting = awaiting_.count(),
          .outcomes = ledger_.outcomes()};
}

namespace {

// How often each number is in ranges, as one word: where that changes, and by how much, as a sum. Two are equal if and
// only if every number is in as many ranges of the one as of the other, but for a chance of 2^-64.
class Coverage {
public:
  void add(Range range) { word_ += edge(range.first) - edge(range.end()); }
  void subtract(Range range) { word_ -= edge(range.first) - edge(range.end()); }
  bool operator==(const Coverage&) const = default;

private:
  std::uint64_t word_ = 0;

  static std::uint64_t edge(Number number) { return mixed(number + 1); }
};

void append(std::vector<Range>& all, const std::vector<Range>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

// The numbers that are in any of these, as IntervalSet has them; in `twice`, those that are in more than one.
std::vector<Range> united(std::vector<Range> ranges, std::vector<Range>* twice = nullptr) {
  std::sort(ranges.begin(), ranges.end(), [](Range a, Range b) { return a.first < b.first; });
  std::vector<Range> all;
  for (const Range range : ranges) {
    if (all.empty() || all.back().end() < range.first) {
      all.push_back(range);
      continue;
    }
    Range& last = all.back();
    const Number end = std::min(last.end(), range.end());
    if (twice != nullptr && range.first < end) twice->push_back({range.first, end - range.first});
    last.count = std::max(last.end(), range.end()) - last.first;
  }
  return all;
}

}  // namespace

std::string Account::check() const { return is_whole() ? std::string{} : what_is_wrong(); }

// Whether the places, each number of a place counted as often as it is there, cover what was submitted exactly once.
bool Account::is_whole() const {
  if (!audit().balanced() || !doubled_.empty()) return false;  // What two have is in no sum: look at it one by one.
  Coverage submitted;
  submitted.add({0, submitted_});
  Coverage places;
  const auto add = [&places](Range range) { places.add(range); };
  std::uint64_t held = 0;
  bool one_is_empty = false;
  leases_.for_each([&](const LeaseEntry& entry) {
    one_is_empty = one_is_empty || entry.lease.remaining.empty();
    held += entry.lease.remaining.count();
    entry.lease.remaining.for_each(add);
  });
  Coverage waiting;
  Coverage lost;
  for (const auto& [due, pending] : delayed_) {
    add(pending.range);
    waiting.add(pending.range);
    if (pending.history.lost) lost.add(pending.range);
  }
  ledger_.settled().for_each(add);
  backlog_.for_each(add);
  awaiting_.for_each(add);
  delayed_numbers_.for_each([&waiting](Range range) { waiting.subtract(range); });
  lost_numbers_.for_each([&lost](Range range) { lost.subtract(range); });
  std::uint64_t of_holders = 0;
  holders_.for_each([&](const LeaseHolder& holder) { of_holders += holder.tasks; });
  return !one_is_empty && held == held_ && of_holders == held_ && places == submitted && waiting == Coverage{} &&
         lost == Coverage{};
}

std::string Account::what_is_wrong() const {
  if (!audit().balanced()) return "the places do not add up to what was submitted";
  std::vector<Range> leased;
  std::uint64_t held = 0;
  bool one_is_empty = false;
  leases_.for_each([&](const LeaseEntry& entry) {
    one_is_empty = one_is_empty || entry.lease.remaining.empty();
    held += entry.lease.remaining.count();
    append(leased, entry.lease.remaining.ranges());
  });
  if (one_is_empty) return "an empty lease is still there";
  std::vector<Range> twice;
  std::vector<Range> places = united(std::move(leased), &twice);
  if (held != held_ || united(std::move(twice)) != doubled_.ranges()) return "the leases are not what is leased";
  std::vector<Range> delayed;
  std::vector<Range> lost;
  for (const auto& [due, pending] : delayed_) {
    delayed.push_back(pending.range);
    if (pending.history.lost) lost.push_back(pending.range);
  }
  append(places, ledger_.settled().ranges());
  append(places, backlog_.ranges());
  append(places, delayed);
  append(places, awaiting_.ranges());
  std::vector<Range> in_two;
  const std::vector<Range> all = united(std::move(places), &in_two);
  if (!in_two.empty()) return "a number is in two places";
  if (all != (submitted_ > 0 ? std::vector{Range{0, submitted_}} : std::vector<Range>{})) return "a number is nowhere";
  if (united(std::move(delayed)) != delayed_numbers_.ranges() || united(std::move(lost)) != lost_numbers_.ranges())
    return "the numbers that are delayed are not those that wait";
  std::uint64_t of_holders = 0;
  holders_.for_each([&](const LeaseHolder& holder) { of_holders += holder.tasks; });
  if (of_holders != held_) return "what the holders have is not what is leased";
  return {};
}

}  // namespace ventile
