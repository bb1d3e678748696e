// Slots that take as long as the scenario says, in place of task/runner.hpp's threads.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include <ventile/base/interval_set.hpp>
#include <ventile/queue/session.hpp>
#include <ventile/wire/messages.hpp>

#include "tests/simulation/scenario.hpp"

namespace ventile::simulation {

// What comes out of it, as in task/event.hpp: each number in exactly one of these, unless it was retracted.
struct Finished {
  JobId job;
  Results results;  // Without its payloads, which are told by value_of().
};
struct Retry {
  JobId job;
  LeaseId lease;
  Number number = 0;
};
struct Returned {
  JobId job;
  LeaseId lease;
  Range range;
};
struct SlotAbandoned {
  std::uint32_t slots_left = 0;
};
using RunnerEvent = std::variant<Finished, Retry, Returned, SlotAbandoned>;

struct Retracted {
  JobId job;
  LeaseId lease;
  Range range;
};

// What the world remembers of tasks, whichever worker ran them.
struct Fates {
  std::set<Number> failed_once;
  std::set<std::pair<JobId, Number>> begun;  // And not failed since with tries left: those that must not begin again.
  std::map<Number, std::uint32_t> failures;  // Of those that always fail: how often they did.
};

class Runner {
public:
  using OnEvents = std::function<void(std::vector<RunnerEvent>)>;

  // `die` kills the process: a task was poisonous.
  Runner(Process& process, const Scenario& scenario, Fates& fates, OnEvents on_events, std::function<void()> die);

  void start(JobId job, LeaseId lease, Range range, std::uint32_t tries, bool folded);
  std::vector<Range> retract(LeaseId lease, std::uint64_t count);
  std::vector<Retracted> retract_all();
  void cancel(LeaseId lease, Range range);
  void cancel(JobId job);
  std::vector<RunningTask> running() const;
  // Nothing that runs ends before that time, not even by its time-out.
  void stick(TimePoint until) { stuck_until_ = until; }

private:
  struct Batch {
    JobId job;
    LeaseId lease;
    IntervalSet waiting;
    std::uint32_t tries = 0;
    bool folded = false;
  };
  // Numbers that a slot runs one after the other.
  struct Claim {
    Batch batch;  // Without `waiting`.
    Range range;
    TimePoint since;
    Duration busy{0};
    IntervalSet cancelled;  // Told to stop.
  };
  struct Slot {
    std::shared_ptr<Claim> claim;
    bool abandoned = false;
  };

  Process& process_;
  const Scenario& scenario_;
  Fates& fates_;
  OnEvents on_events_;
  std::function<void()> die_;
  std::vector<Slot> slots_;
  std::deque<Batch> batches_;
  TimePoint stuck_until_{};

  void fill();
  void claim(Slot& slot, Batch& batch);
  void finish(Slot& slot, const std::shared_ptr<Claim>& claim);
  void abandon(Slot& slot, const std::shared_ptr<Claim>& claim);
  template <class Matches>
  void cancel_if(Matches matches, Range range);
  Duration duration() const;
};

}  // namespace ventile::simulation
