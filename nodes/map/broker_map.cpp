#include <nodes/map/broker_map.hpp>

#include <atomic>
#include <memory>
#include <utility>

#include <fmt/format.h>

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
  submit.once = job.on_lost == OnLost::fail;
  return submit;
}

// By which another input is told from it.
std::string source_of(const VentilatorOptions& prepared) {
  const JobSource& source = prepared.source;
  if (prepared.job.index.enabled)
    return fmt::format("{} numbers from {} by {}", prepared.index_count, prepared.job.index.start,
                       prepared.job.index.step);
  if (!source.reread) return fmt::format("{}, read as {}", source.name, source.format);
  return fmt::format("{} of {} bytes with checksum {:08x}, read as {}", source.name, source.bytes, source.checksum,
                     source.format);
}

std::string how_to_fetch(const MapCommand& command) {
  return fmt::format("ventile map --connect {}{} --fetch {}{}", command.connect->to_string(),
                     command.keys.empty() ? "" : " --keys " + command.keys, command.job,
                     command.fold.empty() ? "" : " --fold " + command.fold);
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
    const bool fetched = conduit_.is_fetched();
    const bool has_none = writer_.ledger().count(Outcome::done) == 0 && !conduit_.error().empty();
    if (error_.empty()) note(has_none ? output_.close() : writer_.close(fetched));  // No fold of nothing, if it failed.
    if (error_.empty() && fetched) remote_.confirm();
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
    report.is_part = conduit_.is_fetching() && !fetched;
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
    remote_.taken(piece.bytes());
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
    if (error_.empty() && remote_.is_cancelled_by_another()) return VentilatorEnding::halted;
    if (!error_.empty() || !conduit_.error().empty()) return VentilatorEnding::failed;
    if (halted_ || cancelled) return VentilatorEnding::halted;
    if (!why.empty()) return VentilatorEnding::bad_input;
    return drained ? VentilatorEnding::drained : VentilatorEnding::done;
  }
};

// Of one that had no job, because of the broker.
std::optional<ExitCode> code_of(const BrokerJob& job) {
  if (job.is_refused()) return ExitCode::mismatch;
  return job.is_unanswered() ? std::optional{ExitCode::unreachable} : std::nullopt;
}

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
  std::atomic<BrokerJob*> running = nullptr;
  std::atomic<bool> drained{false};
  std::atomic<bool> cancelled{false};
  std::atomic<ExitCode> stopped{ExitCode::success};
  Result<Signals> signals = Signals::listen(
      {.drain =
           [&](const std::string& message) {
             console.write(Level::info,
                           command.keep ? "leaving the job to the broker; press Ctrl-C again to cancel it" : message);
             drained = true;
             running.load()->drain();
           },
       .cancel =
           [&](ExitCode code) {
             stopped = code;
             cancelled = true;
             running.load()->cancel("the job was cancelled");
           },
       .reload = [] {}});
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_descriptor_limit();
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
  const bool fetching = command.keep || !command.fetch.empty();
  const bool ordered = command.ordered && fold == nullptr;
  KeptInputs inputs{callbacks.on_failure != nullptr};
  KeptInputs no_inputs{false};
  Context context{{}, console.log()};
  BrokerJobOptions options{.connect = *command.connect,
                           .keys = *keys,
                           .build = versions().program,
                           .specification = specification_of(prepared.job, command.fold),
                           .index_count = prepared.index_count,
                           .fetch = {},
                           .connect_timeout = command.connect_timeout,
                           .log = console.log()};
  BrokerJobOptions bringing = options;
  bringing.specification.kept = true;
  bringing.specification.source = source_of(prepared);
  if (fetching) options.fetch = Fetch{command.keep ? command.job : command.fetch, command.fold, ordered, {}, {}};
  Conduit handing_over{false, {}};
  Conduit conduit{ordered, {}, fetching};
  BrokerJob bringer{context, std::move(bringing), command.keep ? job.take_input() : nullptr, handing_over, no_inputs};
  BrokerJob remote{context, std::move(options), job.take_input(), conduit, inputs};
  running = command.keep ? &bringer : &remote;
  if (Status started = running.load()->start(); !started) return fail(ExitCode::unreachable, started.error().message);
  SignalThread signal_thread{std::move(*signals)};
  const auto leave = [&] {
    console.write(Level::info,
                  "job '" + command.job + "' is the broker's now; to fetch its results: " + how_to_fetch(command));
    return to_int(ExitCode::success);
  };
  if (command.keep) {
    const std::string why = bringer.wait_until_handed_over();
    bringer.finish();
    if (cancelled) return fail(stopped, why.empty() ? "the job was cancelled" : why);
    if (!why.empty()) return fail(code_of(bringer).value_or(drained ? ExitCode::ended_early : ExitCode::usage), why);
    if (!bringer.input_error().empty()) console.write(Level::error, bringer.input_error());
    if (drained) return leave();
    running = &remote;
    if (Status started = remote.start(); !started) return fail(ExitCode::unreachable, started.error().message);
    if (drained) remote.drain();
  }
  Mapping mapping{remote, conduit, **output, fold.get(), std::move(callbacks), inputs};
  const VentilatorReport report = mapping.run(drained, cancelled);
  if (command.keep && drained && !conduit.is_fetched()) return leave();
  if (fetching && drained && !conduit.is_fetched())
    return fail(ExitCode::task_failed, "not everything was fetched; the broker keeps it");
  if (fetching && conduit.is_fetched() && !remote.is_over() && report.why.empty())
    console.write(Level::warning, "everything is fetched, but the broker has not answered: it may still keep the job");
  const std::optional<ExitCode> rejected = code_of(remote);
  const ExitCode finished = rejected ? *rejected : job.finish(report);
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : finished;
  if (!report.why.empty() && code != ExitCode::success) console.error(code, report.why);
  return to_int(code);
}

}  // namespace ventile
