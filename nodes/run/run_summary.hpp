// What is said at the end of a run in which something failed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nodes/failure_groups.hpp>
#include <nodes/run/task_report.hpp>
#include <ventile/base/clock.hpp>

namespace ventile {

// A task that failed.
struct RunFailure {
  RunInput input;
  std::string how;   // "exit status 3".
  std::string tail;  // The last that it wrote on stderr; may be several lines, may be empty.
};

// Failures as they come, in bounded memory.
class RunFailures {
public:
  static constexpr std::size_t kept_max = 50;           // Whole, for the command that runs them again.
  static constexpr std::size_t kept_bytes_max = 32768;  // Of arguments in these.

  // `message` is what command_task.hpp says of a failure's message.
  void add(RunInput input, std::string_view message);

  std::uint64_t count() const { return groups_.count(); }
  const FailureGroups& groups() const { return groups_; }
  const std::vector<RunFailure>& first() const { return first_; }
  bool kept_all() const { return first_.size() == groups_.count(); }

private:
  FailureGroups groups_;
  std::vector<RunFailure> first_;
  std::size_t kept_bytes_ = 0;
};

struct RunSummary {
  std::uint64_t done = 0;
  std::uint64_t passed_over = 0;  // By --resume.
  std::uint64_t unstarted = 0;    // Or stopped, because the run ended early.
  Duration duration{0};
  std::uint64_t workers_lost = 0;  // Machines that went away with tasks that they had begun or were to begin,
  std::uint64_t requeued = 0;      // and so many of these, which were run elsewhere.
  RunFailures failures;

  // For the command that runs failures again.
  std::vector<std::string> options;  // Without those that say where arguments come from.
  std::vector<std::string> command;
  std::vector<std::string> names;  // Of the arguments' columns.
  std::string joblog;              // Empty: there is none, or it does not say all that a command needs.
  bool arguments_known = true;     // False with --pipe, and if they come from a log.
  bool reads_blocks = false;       // --pipe.
};

// Lines for stderr; empty if every task was done.
std::string summary_text(const RunSummary& summary);
// One document with "schema":1, without a line end.
std::string summary_json(const RunSummary& summary);
// The command that runs only what failed, quoted for a shell; empty if it cannot be told.
std::string rerun_command(const RunSummary& summary);

}  // namespace ventile
