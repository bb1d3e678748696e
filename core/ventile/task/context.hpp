// What a running task may ask: who am I, and should I stop?
#pragma once

#include <cstdint>
#include <stop_token>
#include <string_view>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>

namespace ventile {

class TaskRun;

// An optional first parameter of every task function. Valid during the call only; used by the calling thread only,
// except for the stop token, which may be copied and kept.
class TaskContext {
public:
  explicit TaskContext(TaskRun& run) : run_(&run) {}

  JobId job() const;
  Number number() const;
  std::uint32_t attempt() const;  // 1 the first time.
  std::uint32_t slot() const;     // Counts from 0 within the worker.

  // The job was cancelled, the task's time is up, or the worker is told to leave at once. A task that takes long
  // should look now and then, and end: whatever it returns or throws is then of little interest.
  bool stop_requested() const;
  std::stop_token stop_token() const;

  // How far this call is, from 0 to 1, and in words (a line of up to 256
  // bytes; control characters become blanks). For people: `ventile why JOB:TASK`,
  // `ventile status` and Pool::stats() show what was last said, about half a second later. Costs a lock and a copy, so
  // say it when something has changed and not in every turn of a loop.
  void progress(double fraction, std::string_view message = {}) const;

  TimePoint deadline() const;  // When the job's time-out for this task is over; `never` without one.

private:
  TaskRun* run_;
};

}  // namespace ventile
