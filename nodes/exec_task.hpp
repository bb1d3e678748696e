// The built-in function `exec`: a task that is a command.
//
// Its input is one value, put into the command's words in the place of {} (strings and binaries as they are, anything
// else as JSON). Its result, and the detail of its failure, is a map:
//
//   exit                integer, if it exited
//   signal              integer, if a signal ended it
//   stdout              string of whatever bytes it wrote
//   stdout_truncated    true, if it wrote more than is kept
//   stderr              string: the end of what it wrote
//   user, system, wall  seconds
//   max_rss_kb          integer
//
// Only exit status 0 is a success. The kinds of failure: exit, signal, timeout, spawn (it could not be started),
// cancelled, arguments.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <ventile/task/registry.hpp>
#include <ventile/task/zygote.hpp>

namespace ventile {

struct ExecOptions {
  std::vector<std::string> words;  // The command, as split_words() gives it.
  std::string worker;              // For VENTILE_WORKER.
  std::size_t stdout_bytes_max = 16U << 20;
  Duration kill_after = std::chrono::seconds{2};
};

// Registers `exec` as not repeatable. It ends its command, with all of its group, when the task's time is over or it is
// told to stop. The command finds VENTILE_JOB, _TASK, _ATTEMPT, _WORKER and _SLOT in its environment.
void add_exec_task(TaskRegistry& tasks, std::shared_ptr<const Zygote> zygote, ExecOptions options);

}  // namespace ventile
