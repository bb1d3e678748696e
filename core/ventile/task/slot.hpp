// One thread's worth of a Runner: the share of a batch that it works on, and what others may do to it meanwhile.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/task/batch.hpp>
#include <ventile/task/event.hpp>
#include <ventile/task/run.hpp>
#include <ventile/task/runner.hpp>

namespace ventile {

// Which tasks a retraction or a cancellation means: all, or a job's, or those of a lease in a range.
struct Selection {
  std::optional<JobId> job;
  std::optional<LeaseId> lease;
  Range range{0, UINT64_MAX};

  bool matches(const Batch& batch) const {
    return (!job || *job == batch.job().id) && (!lease || *lease == batch.lease());
  }
  // The selected part of `share`, which matches.
  Share part_of(const Share& share) const;
};

// The slot's thread claims tasks from the front of the share; others take from its back. Both under a lock that the
// thread takes once per claim and that is almost never contended. work() is for the slot's thread, everything else
// for any thread.
//
//            assign()             work() is over, release()
//   [Idle] ------------> [Working] ------------------------> [Idle]
//                            |
//                            '---- abandon() ----> [Abandoned], for ever: what its thread still does is dropped
class Slot final : private RunOwner {
public:
  Slot(const RunOptions& options, const RunnerCallback& callback);

  // Gives an idle slot its next share.
  void assign(Share share);
  // Runs the share.
  void work();
  // The running task is about to wait: reports what came before it, and gives away what has not begun.
  void let_go() { run_.let_go(); }
  Share take_unbegun();
  // Makes the slot idle. Returns what of its share was not run after all.
  std::vector<Share> release();

  bool idle() const;
  bool abandoned() const;
  std::uint32_t unbegun() const;
  SlotStatus status() const;

  // Others may have what it has claimed behind the task that runs, if that is selected.
  void loosen(const Selection& selection);
  // The same if that task has run for so long that the rest of the claim is late; call it now and then.
  void loosen_if_late(TimePoint now);

  // How many tasks steal() would take: half of what has not begun, unless that is over within one claim.
  std::uint32_t stealable() const;
  Share steal();

  // What has not begun, if it is selected; and at most `count_max` tasks from its back, taken away.
  Share selected(const Selection& selection) const;
  Share retract(const Selection& selection, std::uint32_t count_max);

  // Takes away the selected tasks that have not begun. A task that runs is to be told by whoever holds no lock.
  struct Cancelled {
    Share dropped;
    Share moved;  // What came behind it, for other slots.
    std::optional<std::stop_source> stop;
  };
  Cancelled cancel(const Selection& selection);

  // Gives the slot up if its task is over its job's time-out.
  struct Overdue {
    Share task;  // The one task.
    Duration ran{0};
    std::vector<Share> rest;  // For other slots: what has not begun, and what is finished but not reported.
    std::stop_source stop;    // To be requested by whoever holds no lock.
  };
  std::optional<Overdue> abandon_if_overdue(TimePoint now);

  // Gives the slot up for good: after this returns it does not call the callback any more.
  void abandon();

private:
  const RunnerCallback& callback_;
  TaskRun run_;

  mutable std::mutex mutex_;
  std::condition_variable reported_something_;  // reporting_ has become false.
  bool abandoned_ = false;
  bool reporting_ = false;  // The callback is being called.
  Share share_;             // What has not been claimed; its batch is null if the slot is idle.
  Claim claim_;             // What the thread has claimed last.
  TimePoint claimed_at_;
  std::uint64_t claims_ = 0;
  std::uint32_t claim_count_ = 1;   // How many tasks a claim asks for.
  std::uint32_t reported_ = 0;      // Tasks before this offset are reported.
  std::optional<Range> cancelled_;  // Ends the pass; what is claimed and not begun is dropped if it is in here.
  std::vector<Share> unclaimed_;    // By the end of a pass: claimed, but not run.
  std::stop_source stop_;
  bool stopped_ = false;  // Somebody has a copy of stop_ and will request a stop.
  struct Sighting {
    std::uint64_t claim = 0;
    std::uint32_t offset = TaskRun::no_task;
    TimePoint since;
  } seen_;

  // Calls the callback without the lock, which is held before and after. Not once abandoned.
  void emit(std::unique_lock<std::mutex>& lock, RunnerEvent event);
  std::uint32_t stealable_count() const;
  // What the claim holds from the running task on; all of it if none of it has begun.
  Share unfinished() const;
  void look(std::uint32_t running, TimePoint now);
  void loosen_claim();
  Claim claim(std::uint32_t next, std::uint32_t count, TimePoint now) override;
  void report(std::uint32_t count, RunnerEvent event) override;
  void unclaim(std::uint32_t begin) override;
};

}  // namespace ventile
