// Runs tasks on threads of their own, off the reactor, so that a busy worker still answers.
//
//   reactor ---- start(batch) ----> queue ----> slots (one thread each) ---- events ----> callback
//
// A free slot takes the oldest batch from the queue; if there is none, the back half of what the slot with most left
// has not begun. Thus slots share a batch without talking to each other while they work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/task/batch.hpp>
#include <ventile/task/event.hpp>
#include <ventile/task/run.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct RunnerOptions {
  std::uint32_t slots = 1;
  RunOptions run;                                 // Its `slot` is ignored.
  Duration stop_grace = std::chrono::seconds{1};  // How long the destructor waits for running tasks.
  std::uint32_t spares_max = 256;  // Threads that run in place of slots whose tasks wait: see blocking.hpp.
};

// Called on the slots' threads: a push into a queue is what it is meant for, and a full queue may hold them up. Must
// neither call the Runner nor throw.
using RunnerCallback = std::function<void(RunnerEvent)>;

// What a slot does. `since` is exact for tasks longer than a claim, and otherwise when a tick first saw the number.
struct SlotStatus {
  enum class State : std::uint8_t { idle, running, abandoned };
  State state = State::idle;
  JobId job;
  LeaseId lease;
  Number number = 0;
  TimePoint since;
  std::optional<Milestone> milestone;  // What the task has said of itself.
};

// Tasks given back before they began.
struct Retracted {
  JobId job;
  LeaseId lease;
  Range range;
  bool operator==(const Retracted&) const = default;
};

// All functions may be called from any thread; usually they all are from the reactor's.
class Runner {
public:
  // Starts the slots' threads, with all signals blocked in them and named slot-0, slot-1, …
  Runner(const RunnerOptions& options, RunnerCallback callback);
  // Drops what has not begun, asks running tasks to stop and waits `stop_grace` for them. A thread that does not come
  // back, or was abandoned before, is left behind: it owns all it touches, and does not call the callback any more.
  // The callback must not wait for whoever destroys the Runner.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Queues a batch. Every one of its numbers comes out exactly once: in an event, of the callback or returned from
  // cancel() or tick(), or from retract().
  void start(std::shared_ptr<const Batch> batch);

  // Takes back what has not begun of a lease, its highest numbers first, at most `count_max` tasks.
  std::vector<Range> retract(LeaseId lease, std::uint64_t count_max = UINT64_MAX);
  // Takes back all that has not begun.
  std::vector<Retracted> retract_all();

  // What has not begun is Returned; running tasks see their stop token and are reported as they end. Of a lease, only
  // the numbers in `range`. A little may come back through the callback instead.
  [[nodiscard]] std::vector<RunnerEvent> cancel(LeaseId lease, Range range = {0, UINT64_MAX});
  [[nodiscard]] std::vector<RunnerEvent> cancel(JobId job);

  // Gives up slots whose tasks are over their job's time-out. To be called every few milliseconds; costs little.
  [[nodiscard]] std::vector<RunnerEvent> tick(TimePoint now);

  std::vector<SlotStatus> status() const;
  std::uint32_t idle_slots() const;
  std::uint32_t slot_count() const;  // With those that were lent to tasks which wait, and those that were given up.
  std::uint64_t queued() const;      // Tasks that have not begun.

private:
  friend class BlockingScope;
  class State;
  std::shared_ptr<State> state_;  // Shared with the threads, of which some may be left behind.
};

}  // namespace ventile
