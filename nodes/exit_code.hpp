// How a command ends: the number its caller sees, and the last words that go with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace ventile {

enum class ExitCode : std::uint8_t {
  success = 0,         // All tasks done, or a clean drain.
  task_failed = 1,     // Ran, and at least one task failed.
  usage = 2,           // The command line, the environment or a configuration file is wrong.
  unreachable = 3,     // Cannot bind, connect or reach a peer in time.
  mismatch = 4,        // The peer speaks another protocol version, or authentication failed.
  ended_early = 5,     // Ended by --halt, or cancelled, or drained in the middle of a range.
  drain_deadline = 6,  // The drain deadline passed; tasks were handed back.
  internal = 70,       // A bug of ours.
  job_timeout = 124,   // The deadline of the whole command (--job-timeout) was reached.
  interrupted = 130,   // A second SIGINT.
  terminated = 143,    // A second SIGTERM.
};

constexpr int to_int(ExitCode code) { return static_cast<int>(code); }

// One snake_case word, as `--json` errors carry it in "code". Never changes once published.
constexpr std::string_view to_string(ExitCode code) {
  switch (code) {
    case ExitCode::success:
      return "success";
    case ExitCode::task_failed:
      return "task_failed";
    case ExitCode::usage:
      return "usage";
    case ExitCode::unreachable:
      return "unreachable";
    case ExitCode::mismatch:
      return "mismatch";
    case ExitCode::ended_early:
      return "ended_early";
    case ExitCode::drain_deadline:
      return "drain_deadline";
    case ExitCode::internal:
      return "internal";
    case ExitCode::job_timeout:
      return "job_timeout";
    case ExitCode::interrupted:
      return "interrupted";
    case ExitCode::terminated:
      return "terminated";
  }
  return "internal";
}

// A command that ends before it has begun: help, a version, or an error.
struct ExitNow {
  ExitCode code = ExitCode::usage;
  std::string text;   // For stdout if the code is success, else the message for stderr.
  std::string hint;   // What to do about it; may be several lines, may be empty.
  bool json = false;  // Say it as a JSON document.
};

// What parsing gives: the options, or the reason to end at once.
template <class Options>
using Parsed = std::variant<Options, ExitNow>;

}  // namespace ventile
