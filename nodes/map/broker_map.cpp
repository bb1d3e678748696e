#include <nodes/map/broker_map.hpp>

#include <atomic>
#include <memory>
#include <utility>

#include <nodes/console.hpp>
#include <nodes/functions.hpp>
#include <nodes/io/output.hpp>
#include <nodes/map/broker_job.hpp>
#include <nodes/map/conduit.hpp>
#include <nodes/map/piece_writer.hpp>
#include <nodes/reach.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/task/registry.hpp>

namespace ventile {
namespace {

constexpr Duration between_looks = std::chrono::milliseconds{200};  // At progress, while nothing comes.

Submit specification_of(const JobOptions& job, const std::string& fold) {
  Submit submit;
  submit.name = job.name;
  submit.function = job.function;
  submit.constants = job.constants;
  submit.constant_count = job.constant_count;
  submit.index = job.index;
  submit.timeout_nanoseconds = static_cast<std::uint64_t>(std::chrono::nanoseconds{job.timeout}.count());
  submit.tries_max = job.tries_max;
  submit.fold = fold;
  return submit;
}

// From what comes in to what is written and known of it, on the main thread.
class Mapping {
public:
  Mapping(BrokerJob& remote, Conduit& conduit, Output& output, FoldAccumulator* fold, VentilatorCallbacks callbacks,
          KeptInputs& inputs)
      : remote_(remote),
        conduit_(conduit),
        output_(output),
        callbacks_(std::move(callbacks)),
        writer_(output, fold, callbacks_, inputs) {}

  // Returns when everything is written, or nothing more will come.
  VentilatorReport run(const std::atomic<bool>& drained, const std::atomic<bool>& cancelled) {
    const TimePoint begin = Clock::now();
    while (true) {
      std::optional<Piece> piece = conduit_.take(unflushed_ ? Duration::zero() : between_looks);
      if (piece)
        write(*piece);
      else if (unflushed_)
        flush();
      else if (conduit_.is_done())
        break;
      look();
    }
    if (error_.empty()) note(writer_.close());
    remote_.finish();
    VentilatorReport report;
    report.ending = ending(report.why, drained, cancelled);
    report.job = to_string(remote_.id());
    report.status = status();
    report.status.audit = account();
    report.status.workers_seen = remote_.workers_seen();
    report.status.counters.retries = remote_.retries();
    report.status.counters.duplicates = remote_.duplicates();
    report.settled_numbers = writer_.ledger().count();
    report.duration = Clock::now() - begin;
    return report;
  }

private:
  BrokerJob& remote_;
  Conduit& conduit_;
  Output& output_;
  VentilatorCallbacks callbacks_;
  PieceWriter writer_;
  std::string error_;  // Of the output; nothing is written any more.
  bool unflushed_ = false;
  bool halted_ = false;
  TimePoint next_look_ = TimePoint::min();

  void write(const Piece& piece) {
    if (error_.empty()) note(writer_.write(piece));
    unflushed_ = error_.empty();
    conduit_.on_written(piece.range);
  }
  void flush() {
    unflushed_ = false;
    note(output_.flush());
  }
  void note(const Status& status) {
    if (status || !error_.empty()) return;
    error_ = status.error().message;
    remote_.cancel(error_);
  }

  void look() {
    if (callbacks_.halt && !halted_ && callbacks_.halt(audit(), conduit_.input_ended()) != HaltDecision::go_on) {
      halted_ = true;
      remote_.cancel("the job was halted");
    }
    const TimePoint now = Clock::now();
    if (now < next_look_) return;
    next_look_ = now + between_looks;
    callbacks_.on_progress(status());
  }

  // What has come: in order, it may be written much later.
  Audit audit() const {
    Audit audit;
    audit.outcomes = remote_.outcomes();
    audit.submitted = conduit_.submitted();
    audit.queued = audit.submitted - audit.settled();
    return audit;
  }
  // What was written.
  Audit account() const {
    Audit audit;
    audit.submitted = conduit_.submitted();
    audit.outcomes = writer_.ledger().outcomes();
    return audit;
  }
  JobStatus status() const {
    JobStatus status;
    status.audit = audit();
    status.input_ended = conduit_.input_ended();
    status.workers = remote_.workers();
    status.slots = remote_.slots();
    if (const Input* input = remote_.input()) {
      status.skipped = input->skipped();
      status.input_bytes = input->bytes_read();
      status.input_bytes_total = input->bytes_total();
    }
    return status;
  }

  VentilatorEnding ending(std::string& why, bool drained, bool cancelled) const {
    why = !error_.empty() ? error_ : !conduit_.error().empty() ? conduit_.error() : remote_.input_error();
    if (!error_.empty() || !conduit_.error().empty()) return VentilatorEnding::failed;
    if (halted_ || cancelled) return VentilatorEnding::halted;
    if (!why.empty()) return VentilatorEnding::bad_input;
    return drained ? VentilatorEnding::drained : VentilatorEnding::done;
  }
};

}  // namespace

int map_at_broker(const MapCommand& command, JobCommand job_command, const std::string& program) {
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const auto fail = [&](ExitCode code, const std::string& why) {
    console.error(code, why);
    return to_int(code);
  };
  TaskRegistry tasks;  // For its reducers: what the workers have combined is combined here.
  if (Status added = add_functions(tasks, command.plugins, {}, nullptr); !added)
    return fail(ExitCode::usage, added.error().message);
  if (!command.fold.empty() && tasks.find_fold(command.fold) == nullptr)
    return fail(ExitCode::usage, "there is no reducer '" + command.fold +
                                     "' here; load the plugin that has it with --plugin, with --connect, too");
  BrokerJob* running = nullptr;
  std::atomic<bool> drained{false};
  std::atomic<bool> cancelled{false};
  std::atomic<ExitCode> stopped{ExitCode::success};
  Result<Signals> signals = Signals::listen({.drain =
                                                 [&](const std::string& message) {
                                                   console.write(Level::info, message);
                                                   drained = true;
                                                   running->drain();
                                                 },
                                             .cancel =
                                                 [&](ExitCode code) {
                                                   stopped = code;
                                                   cancelled = true;
                                                   running->cancel("the job was cancelled");
                                                 },
                                             .reload = [] {}});
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_file_limit();
  const Result<Keys> keys = open_keys(command.keys, {KeyRole::client}, console.log());
  if (!keys) return fail(ExitCode::usage, keys.error().message);
  warn_if_open(console, *command.connect, {command.keys, command.insecure});
  JobRun job{console, std::move(job_command)};
  VentilatorOptions prepared;
  if (Status status = job.prepare(prepared); !status) return fail(ExitCode::usage, status.error().message);
  Result<std::unique_ptr<Output>> output = open_output(command.output, command.output_format);
  if (!output) return fail(ExitCode::usage, output.error().message);
  const std::unique_ptr<FoldAccumulator> fold = command.fold.empty() ? nullptr : tasks.find_fold(command.fold)->start();

  VentilatorCallbacks callbacks = job.callbacks();
  Conduit conduit{command.ordered && fold == nullptr, {}};
  KeptInputs inputs{callbacks.on_failure != nullptr};
  Context context{{}, console.log()};
  BrokerJob remote{context,
                   {.connect = *command.connect,
                    .keys = *keys,
                    .build = versions().program,
                    .specification = specification_of(prepared.job, command.fold),
                    .index_count = prepared.index_count,
                    .log = console.log()},
                   job.take_input(),
                   conduit,
                   inputs};
  running = &remote;
  if (Status started = remote.start(); !started) return fail(ExitCode::unreachable, started.error().message);
  SignalThread signal_thread{std::move(*signals)};
  Mapping mapping{remote, conduit, **output, fold.get(), std::move(callbacks), inputs};
  const VentilatorReport report = mapping.run(drained, cancelled);
  const ExitCode finished = remote.is_refused() ? ExitCode::mismatch : job.finish(report);
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : finished;
  if (!report.why.empty() && code != ExitCode::success) console.error(code, report.why);
  return to_int(code);
}

}  // namespace ventile
