// The account of one job: where every one of its numbers is, and the proof that none is anywhere else.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/queue/backlog.hpp>
#include <ventile/queue/lease.hpp>
#include <ventile/queue/ledger.hpp>
#include <ventile/queue/suspects.hpp>

namespace ventile {

// Numbers that wait before they are tried again; or, if they are lost, for the worker that had them.
struct Delayed {
  TimePoint due;
  Pending pending;
};

// What an operator may check at any time: submitted = queued + delayed + leased + awaiting + Σ outcomes.
struct Audit {
  std::uint64_t submitted = 0;
  std::uint64_t queued = 0;
  std::uint64_t delayed = 0;
  std::uint64_t leased = 0;    // Numbers with at least one lease, however many copies run.
  std::uint64_t awaiting = 0;  // Outcomes proposed to the sink, without its verdict.
  std::array<std::uint64_t, outcome_count> outcomes{};

  std::uint64_t settled() const;
  bool balanced() const { return submitted == queued + delayed + leased + awaiting + settled(); }
};

// A number is in exactly one of these places, and moves only along the arrows:
//
//                 grant                 settle
//    [queued] ------------> [leased] ------------> [settled]
//     ^    ^                 |    |                  ^   ^
//     |    '--- release -----'    | fail             |   |
//     |                           v        settle    |   |
//     '----- due ---------- [delayed] ---------------'   |     (what is lost is never due, but proposed)
//                                                        |
//    [queued], [delayed], [leased] -- propose --> [awaiting]
//
// settle applies from every place: a late result of a lost lease may come at any time, and it counts. Knows no
// messages, no workers but their sessions' names, and no clock. Not thread-safe.
class Account {
public:
  // The next `count` numbers have been submitted; returns them.
  Range offer(std::uint64_t count, std::uint64_t bytes);
  std::uint64_t submitted() const { return submitted_; }

  // Takes tasks from the front of the backlog into a new lease. None if the limits let nothing through.
  Lease* grant(LeaseId id, SessionId holder, const Backlog::Limits& limits, TimePoint now);
  // A second copy of what remains of a lease, for another worker. The lease has none yet, and is none.
  Lease& grant_copy(LeaseId id, SessionId holder, Lease& original, TimePoint now);
  // A returning worker still holds these numbers under its old lease: gives back what could be taken from the
  // backlog, and of what was lost, into a lease of that name. The rest is settled or somebody else's.
  std::vector<Range> adopt(LeaseId id, SessionId holder, Range range, TimePoint now);

  // Whoever was taken for dead while it ran these is alive: they are no suspects for that, wherever they are now.
  // Returns those that were.
  std::vector<Range> exonerate(Range range);
  // In an earlier life of the dispatcher workers died with these: of what is queued.
  void accuse(const Suspect& suspect);

  // These numbers of a lease will be settled: asks for the memory in which they are found, and when that has come, for
  // the lease itself, and when that has come, for what its holder has.
  void fetch_ahead_place(LeaseId id, Range range) const {
    leases_.fetch_ahead(id);
    ledger_.settled().fetch_ahead(range.first);
  }
  void fetch_ahead_lease(LeaseId id) const;
  void fetch_ahead_holder(LeaseId id) const;
  Lease* find(LeaseId id);
  const Lease* find(LeaseId id) const;
  // Those that are wanted, oldest first. Looks at every lease.
  template <class Wanted>
  std::vector<LeaseId> leases_where(Wanted wanted) const;
  std::vector<LeaseId> leases_of(SessionId holder) const;  // Oldest first.
  const Lease* oldest_of(SessionId holder) const;          // None if it holds none.
  std::uint64_t held_by(SessionId holder) const;           // Tasks.
  std::size_t lease_count_of(SessionId holder) const;
  // The session is over, and has no leases left.
  void forget(SessionId holder);

  // Every number of `range` that has no outcome gets one; `exceptions` are those that are not done. The numbers leave
  // whatever place they were in. Returns the leases, other than `winner`, that held some of them (their copies are
  // now useless), with the numbers.
  struct Loser {
    LeaseId lease;
    SessionId holder;
    Range range;
  };
  std::vector<Loser> settle(Range range, const std::vector<RangeOutcome>& exceptions, LeaseId winner);

  // A lease loses these numbers without an outcome. Those that no other lease holds go back to the backlog with
  // `history` (or wait until `due`). Returns how many went back. The lease ends when nothing remains of it.
  std::uint64_t release(LeaseId id, Range range, const History& history, std::optional<TimePoint> due = std::nullopt);

  // These numbers of the backlog may have begun in an earlier life: they wait as lost ones do.
  void set_aside(Range range, TimePoint due);
  // What was lost and has waited long enough.
  std::vector<Range> lost(TimePoint now) const;
  bool is_lost(Number number) const { return lost_numbers_.contains(number); }
  std::uint64_t lost_count() const { return lost_numbers_.count(); }
  // Moves due numbers back to the backlog, but for those that are lost; returns how many.
  std::uint64_t wake_delayed(TimePoint now);
  std::optional<TimePoint> next_due() const;

  // Takes numbers out of their places because an outcome for them is proposed to the sink. Only those that are
  // queued, delayed or leased; returns them. Leases that held them, most likely `holder`, lose them.
  std::vector<Range> propose(Range range, LeaseId holder = {});
  // Everything that no worker has or may have begun: for cancelling a job.
  std::vector<Range> propose_waiting();
  // Proposals to repeat to a sink that has come back.
  std::vector<Range> awaiting() const { return awaiting_.ranges(); }

  Audit audit() const;
  // The same, counted afresh from the places themselves, with every number accounted for: for simulations and
  // debugging. Returns what is wrong, or an empty string. Costs as much as there are runs of numbers.
  std::string check() const;

  const Ledger& ledger() const { return ledger_; }
  const Backlog& backlog() const { return backlog_; }
  std::uint64_t leased_count() const { return held_ - doubled_.count(); }
  std::uint64_t awaiting_count() const { return awaiting_.count(); }
  std::size_t lease_count() const { return leases_.size(); }
  bool all_settled() const { return ledger_.count() == submitted_; }

private:
  std::uint64_t submitted_ = 0;
  Backlog backlog_;
  std::multimap<TimePoint, Pending> delayed_;
  IntervalSet delayed_numbers_;
  IntervalSet lost_numbers_;  // Of these.
  LeaseTable leases_;
  LeaseHolders holders_;
  std::uint64_t held_ = 0;  // Sum of all leases' remaining.
  IntervalSet doubled_;     // Numbers with two leases, while copies run. (Of a copy there is never another.)
  IntervalSet awaiting_;
  Ledger ledger_;

  Lease& insert_lease(LeaseId id, SessionId holder, const Pending& pending, TimePoint now);
  void end_if_empty(LeaseEntry* entry);
  std::vector<Loser> take_from_leases(Range range);
  std::uint64_t take_from(LeaseEntry& entry, Range range);      // Its holder has finished them; returns how many.
  std::uint64_t withdraw_from(LeaseEntry& entry, Range range);  // Its holder will not, or in vain; the same.
  std::vector<Loser> take_from_others(Range range, std::uint64_t taken, bool doubled);
  void delay(const Pending& pending, TimePoint due);
  std::uint64_t remove_delayed(Range range);
  std::vector<Pending> take_lost(Range range);
  bool is_whole() const;
  std::string what_is_wrong() const;
};

template <class Wanted>
std::vector<LeaseId> Account::leases_where(Wanted wanted) const {
  std::vector<std::pair<TimePoint, LeaseId>> found;
  leases_.for_each([&](const LeaseEntry& entry) {
    if (wanted(entry.lease)) found.emplace_back(entry.lease.granted, entry.lease.id);
  });
  std::sort(found.begin(), found.end());
  std::vector<LeaseId> ids;
  for (const auto& [granted, id] : found) ids.push_back(id);
  return ids;
}

}  // namespace ventile
