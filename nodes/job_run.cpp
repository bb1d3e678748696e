#include <nodes/job_run.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <system_error>

#include <nodes/io/input.hpp>
#include <nodes/io/source.hpp>
#include <nodes/summary.hpp>
#include <nodes/versions.hpp>
#include <ventile/wire/json.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

// Perhaps one that is not there yet. What is written to a device is written over nothing.
bool is_same_file(const std::string& one, const std::string& other) {
  struct stat written {};
  struct stat named {};
  if (other == "-")
    return ::fstat(STDOUT_FILENO, &written) == 0 && ::stat(one.c_str(), &named) == 0 && S_ISREG(named.st_mode) &&
           written.st_dev == named.st_dev && written.st_ino == named.st_ino;
  std::error_code unknown;
  const auto place_of = [&unknown](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path, unknown), unknown);
  };
  const std::filesystem::path place = place_of(one);
  if (unknown || place != place_of(other) || unknown) return false;
  return !std::filesystem::exists(place, unknown) || std::filesystem::is_regular_file(place, unknown);
}

}  // namespace

Status pack_arguments(const std::string& json, std::vector<std::byte>& packed, std::uint32_t& count) {
  Buffer array;
  Packer packer{array};
  if (Status status = pack_json(json, packer); !status)
    return Error{Code::invalid, "--args: " + status.error().message};
  Unpacker unpacker{array};
  if (!unpacker.read_array(count))
    return Error{Code::invalid, "--args: expected a JSON array such as '[100, \"x\"]', found " + json};
  const Bytes values = array.bytes().subspan(unpacker.offset());
  packed.assign(values.begin(), values.end());
  return {};
}

JobRun::JobRun(Console& console, JobCommand command)
    : console_(console),
      command_(std::move(command)),
      progress_(console, choose_progress_style(command_.bar, console.is_terminal(), command_.results_to_terminal,
                                               command_.common.quiet)),
      metrics_(versions()) {
  if (!command_.metrics.empty()) metrics_file_.emplace(command_.metrics, console_.log());
}

Status JobRun::prepare(VentilatorOptions& options) {
  options.job.name = command_.name;
  options.job.function = command_.function;
  options.job.timeout = command_.failure.timeout.value_or(Duration{0});
  options.job.tries_max = command_.failure.retries;
  options.job.on_lost = command_.failure.on_lost;
  if (Status packed = pack_arguments(command_.args, options.job.constants, options.job.constant_count); !packed)
    return packed;
  if (command_.fetched) return {};
  if (command_.range) {
    index_ = {true, command_.range->first, command_.range->step};
    options.job.index = index_;
    options.index_count = command_.range->count();
  } else {
    Result<std::unique_ptr<Input>> input = open_input(command_.input, command_.format, {.skip_bad = command_.skip_bad});
    if (!input) return input.error();
    input_ = std::move(*input);
    if (command_.durable) {
      Result<JobSource> source = describe_source(command_.input, command_.format);
      if (!source) return source.error();
      options.source = std::move(*source);
    }
  }
  if (command_.failure.failed.empty()) return {};
  if (std::error_code unknown;
      input_ != nullptr && std::filesystem::equivalent(command_.failure.failed, command_.input, unknown))
    return Error{Code::invalid, "--failed " + command_.failure.failed +
                                    " is the input itself and would be emptied before it is read; name another file"};
  if (!command_.output.empty() && is_same_file(command_.failure.failed, command_.output))
    return Error{Code::invalid, "--failed " + command_.failure.failed +
                                    " is the output, too, and each would write over the other; name another file"};
  Result<FailedInputs> failed = FailedInputs::open(command_.failure.failed, command_.format, index_);
  if (!failed) return failed.error();
  failed_inputs_ = std::move(*failed);
  return {};
}

VentilatorCallbacks JobRun::callbacks() {
  VentilatorCallbacks callbacks;
  if (command_.failure.halt)
    callbacks.halt = [this](const Audit& audit, bool ended) { return decide_halt(audit, ended); };
  callbacks.on_failures = [this](const FailureNote& note) {
    failures_.add(note.range,
                  note.kind.empty() ? note.message.string() : note.kind.string() + ": " + note.message.string());
    if (failed_inputs_ && index_.enabled) failed_inputs_->add_indices(note.range);
  };
  if (failed_inputs_ && !index_.enabled)
    callbacks.on_failure = [this](Number, Bytes payload, const FailureNote&) { failed_inputs_->add(payload); };
  callbacks.on_progress = [this](const JobStatus& status) {
    const auto outcome = [&](Outcome o) { return status.audit.outcomes[static_cast<std::size_t>(o)]; };
    progress_.update({.finished = status.audit.settled(),
                      .failed = status.audit.settled() - outcome(Outcome::done),
                      .requeued = status.counters.requeued_batches,
                      .workers = status.workers,
                      .total = status.input_ended ? std::optional{status.audit.submitted} : std::nullopt},
                     Clock::now());
    metrics_.update(status);
    if (metrics_file_) metrics_file_->refresh(metrics_.metrics(), Clock::now());
  };
  return callbacks;
}

HaltDecision JobRun::decide_halt(const Audit& audit, bool input_ended) const {
  const std::uint64_t done = audit.outcomes[static_cast<std::size_t>(Outcome::done)];
  const HaltCounts counts{audit.settled() - done, done, input_ended ? std::optional{audit.submitted} : std::nullopt};
  if (!command_.failure.halt->reached(counts)) return HaltDecision::go_on;
  return command_.failure.halt->when == HaltRule::When::now ? HaltDecision::now : HaltDecision::soon;
}

ExitCode JobRun::finish(const VentilatorReport& report) {
  progress_.finish();
  metrics_.update(report.status);
  if (metrics_file_) metrics_file_->write(metrics_.metrics());
  if (failed_inputs_)
    if (Status closed = failed_inputs_->close(); !closed) console_.write(Level::error, closed.error().message);
  const Audit& audit = report.status.audit;
  const auto outcome = [&](Outcome o) { return audit.outcomes[static_cast<std::size_t>(o)]; };
  JobSummary summary;
  summary.name = command_.name;
  summary.job = report.job;
  summary.duration = report.duration;
  summary.submitted = audit.submitted;
  summary.skipped = report.status.skipped;
  summary.done = outcome(Outcome::done);
  summary.failed = outcome(Outcome::failed);
  summary.dead = outcome(Outcome::dead);
  summary.lost = outcome(Outcome::lost);
  summary.expired = outcome(Outcome::expired);
  summary.cancelled = outcome(Outcome::cancelled);
  summary.settled = report.settled_numbers;
  summary.is_part = report.is_part;
  summary.workers_seen = report.status.workers_seen;
  summary.batches_requeued = report.status.counters.requeued_batches;
  summary.batches_speculative = report.status.counters.speculative;
  summary.duplicates_dropped = report.status.counters.duplicates;
  summary.refused = report.status.refused;
  summary.retries = report.status.counters.retries;
  summary.begun_again = report.status.counters.begun_again;
  summary.failures = failures_;
  summary.failed_file = command_.failure.failed;
  summary.command = command_.invocation.program;
  summary.command.insert(summary.command.end(), command_.invocation.options.begin(), command_.invocation.options.end());
  if (command_.range)
    summary.command.insert(summary.command.end(), {"--format", "jsonl"});  // As FailedInputs writes them.
  if (command_.common.json)
    std::fprintf(command_.results_to_stdout ? stderr : stdout, "%s\n", summary_json(summary).c_str());
  else if (!command_.common.quiet)
    std::fputs(summary_text(summary).c_str(), stderr);
  switch (report.ending) {
    case VentilatorEnding::done:
      return summary.done == audit.submitted ? ExitCode::success : ExitCode::task_failed;
    case VentilatorEnding::halted:
      return ExitCode::ended_early;
    case VentilatorEnding::drained:
      if (audit.settled() != summary.done + summary.cancelled) return ExitCode::task_failed;
      return summary.cancelled == 0 ? ExitCode::success : ExitCode::ended_early;
    case VentilatorEnding::bad_input:
    case VentilatorEnding::failed:
      return ExitCode::task_failed;
    case VentilatorEnding::abandoned:
      return ExitCode::drain_deadline;
    case VentilatorEnding::finished_before:
      return ExitCode::success;
  }
  return ExitCode::internal;
}

}  // namespace ventile
