// What a Runner reports. Every number of a batch is in exactly one Finished, Retry or Returned, or was retracted.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// A contiguous run of tasks of one lease has ended. One payload per number: the packed result or, where `failures`
// says so, what pack_error() wrote. If folded, one payload for all of them, and no failures.
struct Finished {
  JobId job;
  LeaseId lease;
  Range range;
  std::uint32_t tries = 0;  // Of each of these tasks, this one included.
  bool folded = false;
  std::uint64_t busy_nanoseconds = 0;  // What one slot needed for the range.
  std::vector<Failure> failures;       // In order of offset.
  std::uint32_t payload_count = 0;
  Buffer payloads;  // Headroom as the RunnerOptions say, then the payload section of wire/payloads.hpp.
};

// A task failed and has tries left.
struct Retry {
  JobId job;
  LeaseId lease;
  Number number = 0;
  std::uint32_t tries = 0;  // This one included.
  std::string kind;
  std::string message;
};

// These tasks were cancelled before they began.
struct Returned {
  JobId job;
  LeaseId lease;
  Range range;
};

// A task did not end within its job's time-out, and its thread cannot be stopped: the slot is given up. The task has
// been reported as failed; what its slot had not begun goes to the others.
struct SlotAbandoned {
  std::uint32_t slot = 0;
  JobId job;
  LeaseId lease;
  Number number = 0;
  std::uint32_t slots_left = 0;  // If 0, nothing more will run: take back what is queued, and leave.
};

// So many running tasks wait for others (blocking.hpp), and their slots run something else.
struct TasksWait {
  std::uint32_t tasks = 0;
};

using RunnerEvent = std::variant<Finished, Retry, Returned, SlotAbandoned, TasksWait>;

}  // namespace ventile
