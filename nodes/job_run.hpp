// One job from the ventilator's side, for `ventile-ventilator` and `ventile map`: input, halt rule, progress, summary.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nodes/console.hpp>
#include <nodes/exit_code.hpp>
#include <nodes/failed_inputs.hpp>
#include <nodes/failure_groups.hpp>
#include <nodes/format.hpp>
#include <nodes/job_metrics.hpp>
#include <nodes/metrics_file.hpp>
#include <nodes/node.hpp>
#include <nodes/options.hpp>
#include <nodes/progress.hpp>
#include <ventile/queue/ventilator.hpp>

namespace ventile {

// What both commands say about a job.
struct JobCommand {
  std::string function;
  std::string args = "[]";
  std::string input = "-";
  InputFormat format = InputFormat::lines;
  std::optional<IndexRange> range;
  bool skip_bad = false;
  std::string name;
  bool durable = false;  // Its source must be known well enough to be found again.
  bool fetched = false;  // It has run elsewhere: there is no input.
  FailureOptions failure;
  std::string output;   // Of results, where they are written by this process.
  std::string metrics;  // A file; empty: none.
  std::optional<bool> bar;
  bool results_to_stdout = false;  // So a summary in JSON does not go there.
  bool results_to_terminal = false;
  CommonOptions common;
  Invocation invocation;  // For the command that runs failures again.
};

// Lives as long as the Ventilator that uses its callbacks.
class JobRun {
public:
  JobRun(Console& console, JobCommand command);

  // Opens the input (and the file for failed inputs) and fills in what `options` says of the job. Errors are the
  // user's: Code::invalid for an argument, Code::unavailable for a file.
  Status prepare(VentilatorOptions& options);
  std::unique_ptr<Input> take_input() { return std::move(input_); }
  VentilatorCallbacks callbacks();

  // Prints the summary, on stdout as JSON if asked for, and says how the process should end.
  ExitCode finish(const VentilatorReport& report);

private:
  Console& console_;
  JobCommand command_;
  std::unique_ptr<Input> input_;
  std::optional<FailedInputs> failed_inputs_;
  FailureGroups failures_;
  ProgressBar progress_;
  JobMetrics metrics_;
  std::optional<MetricsFile> metrics_file_;
  IndexRule index_;

  HaltDecision decide_halt(const Audit& audit, bool input_ended) const;
};

// A JSON array as packed values, one after the other.
Status pack_arguments(const std::string& json, std::vector<std::byte>& packed, std::uint32_t& count);

}  // namespace ventile
