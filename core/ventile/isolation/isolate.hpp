// Runs task functions in processes of their own, so that a crash, an abort(), a leak or an endless loop in user code
// ends that process and never the node.
//
//   slot (a thread)                       child process                    server process
//    | -- fork, for a slot ---------------------------------------------->  | forked before any thread
//    |                                      | <---------------- fork -----  |
//    | -- a group: job, arguments --------> |                               |
//    | <- results, as they are finished --- |                               |
//    | <- the group has ended ------------- |                               |
//    |                                     (dies)                           |
//    | <- how it died ----------------------------------------------------- | reaps, kills its process group
//
// A child runs the same functions by the same loop as a slot's thread would (run.hpp): they are there because the
// server, and so each child, is a clone of the process that registered them. What a plugin read or computed as it was
// loaded is in memory once for all children, as long as nobody writes to it.
//
// A group is the rest of a slot's claim, of about `group_duration`: that pays for the way there and back.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>
#include <ventile/task/registry.hpp>

namespace ventile {

struct IsolationOptions {
  std::uint32_t slots = 1;  // So many children are made ahead.
  // A task whose process dies as often, while it is the only one that this process ever ran, is dead. A death in
  // company does not count: an earlier task may have done the damage.
  std::uint32_t crashes_max = 3;
  // Private memory of a child beyond what it began with; 0: no limit. Beyond it allocations fail, and a child that
  // keeps half of it between tasks is replaced.
  std::uint64_t memory_bytes_max = 0;
  // A task that was told to stop is killed after so long.
  Duration kill_after = std::chrono::seconds{5};
  // The server process is gone, and nothing can run any more: the node should end at once, so that others get what it
  // had. Called on any slot's thread; none: tasks fail, of kind "isolation".
  std::function<void(const std::string& why)> on_gone;
};

// From now on the functions of `tasks` run in children, but for those that are processes already (enforces_timeout).
// Call it once all functions are there and before any thread is started. Whatever is open stays open in the children:
// a function may use what its plugin has opened.
//
// The functions' outcomes are what they would be on a thread, and besides:
//   dead       kind "crash": its process died in it, crashes_max times alone, or once if it must not run twice;
//              the message has the signal or exit status and the last line that it wrote to stderr
//   failed     kind "timeout": it ran for longer than the job's time-out; kind "cancelled": it did not stop when told
// What a child writes to stderr comes out on ours.
Status isolate(TaskRegistry& tasks, IsolationOptions options);

}  // namespace ventile
