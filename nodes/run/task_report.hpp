// What a task of `ventile run` is given, and what it reports. They travel as payloads.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <nodes/run/spill.hpp>
#include <nodes/run/travelling_files.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/output.hpp>

namespace ventile {

// The payload of a task.
struct RunInput {
  std::uint64_t sequence = 0;  // Its place in the run, from 1: {#}. Gaps are tasks that --resume has passed over.
  std::vector<std::string> arguments;
  std::string standard_input;
  std::vector<TravellingFile> files;  // For a machine that does not have them.

  static auto fields(auto& self) { return std::tie(self.sequence, self.arguments, self.standard_input, self.files); }
  bool operator==(const RunInput&) const = default;
};

// The result of a task, or the detail of its failure.
struct RunReport {
  std::uint64_t sequence = 0;
  std::vector<std::string> arguments;  // With --results.
  std::string command;                 // With --joblog: as quoted_for_reading() writes it.
  std::string tag;                     // With --tag: what stands before every line.
  double started = 0;                  // Seconds since 1970, for people.
  double seconds = 0;
  std::int32_t exit_code = -1;  // -1: it did not end by exiting.
  std::int32_t signal = 0;
  CapturedOutput standard_output;
  CapturedOutput standard_error;
  std::string host;                   // The machine that ran it, if it was another one.
  std::uint64_t spill_key = 0;        // Of the file that outputs too large for memory are in.
  std::vector<TravellingFile> files;  // From another machine: those of --return, in their order.

  static auto fields(auto& self) {
    return std::tie(self.sequence, self.arguments, self.command, self.tag, self.started, self.seconds, self.exit_code,
                    self.signal, self.standard_output, self.standard_error, self.host, self.spill_key, self.files);
  }
};

// The kinds of failure.
namespace run_failure {
inline constexpr std::string_view exit = "exit";            // Exit status other than 0.
inline constexpr std::string_view signal = "signal";        // A signal ended it.
inline constexpr std::string_view timeout = "timeout";      // Ended because its time was over.
inline constexpr std::string_view spawn = "spawn";          // It could not be started.
inline constexpr std::string_view transfer = "transfer";    // A file that it needs has not come there.
inline constexpr std::string_view bring_back = "return";    // A file that it was to make is not there.
inline constexpr std::string_view output = "output";        // Ended because its output could not be kept.
inline constexpr std::string_view cancelled = "cancelled";  // Ended because the run was.
inline constexpr std::string_view unstarted = "unstarted";  // Never started, because the run has ended early.
}  // namespace run_failure

// A result as the sink gives it.
struct RunResult {
  std::string kind;  // Of the failure; empty: none.
  std::string message;
  bool has_report = false;
  RunReport report;
};
Result<RunResult> read_result(const ResultItem& item);

}  // namespace ventile
