#include <nodes/node.hpp>

#include <atomic>

#include <nodes/console.hpp>
#include <nodes/durable.hpp>
#include <nodes/functions.hpp>
#include <nodes/io/output.hpp>
#include <nodes/name_wait.hpp>
#include <nodes/options.hpp>
#include <nodes/pulse.hpp>
#include <nodes/reach.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/queue/sink.hpp>
#include <ventile/queue/sink_journal.hpp>

namespace ventile {
namespace {

SinkOptions sink_options(const SinkCommand& command, const Log& log) {
  SinkOptions options;
  options.connect = command.connect;
  options.bind = command.bind;
  options.advertise = command.advertise;
  options.build = versions().program;
  options.fold = command.fold;
  options.ordered = command.ordered;
  options.stay = command.stay;
  options.frame_bytes_max = command.frame_bytes_max;
  options.window_bytes = command.window_bytes;
  options.log = log;
  return options;
}

ExitCode exit_code_of(const SinkReport& report) {
  switch (report.ending) {
    case SinkEnding::done:
      return ExitCode::success;
    case SinkEnding::left:
      return ExitCode::drain_deadline;
    case SinkEnding::failed:
      return ExitCode::task_failed;
    case SinkEnding::refused:
    case SinkEnding::version_mismatch:
      return ExitCode::mismatch;
  }
  return ExitCode::internal;
}

// Opens the output before anything runs, so that a wrong path is an error at once. With --stay, standard output serves
// every job, and a file is opened anew (and refused unless it may be added to).
class Outputs {
public:
  explicit Outputs(const SinkCommand& command) : command_(command) {}

  // `journal` is the folder of a durable sink: the output of the job in it goes on where the journal says that it
  // ended.
  Status open_first(const std::string& journal) {
    Result<std::optional<std::uint64_t>> end = std::optional<std::uint64_t>{};
    if (!journal.empty()) end = output_end_of(journal);
    if (!end) return end.error();
    Result<std::unique_ptr<Output>> output = open(false, *end);
    if (!output) return output.error();
    first_ = std::move(*output);
    return {};
  }
  Result<std::unique_ptr<Output>> next(std::uint64_t job) {
    if (job == 0) return std::move(first_);
    return open(command_.stay, std::nullopt);
  }

private:
  const SinkCommand& command_;
  std::unique_ptr<Output> first_;

  Result<std::unique_ptr<Output>> open(bool again, std::optional<std::uint64_t> cut_at) const {
    return open_output(command_.output, command_.format,
                       {.separator = command_.separator, .resume = command_.resume || again, .cut_at = cut_at});
  }
};

int collect(const SinkCommand& command, const std::string& program) {
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const auto fail = [&](ExitCode code, const std::string& why) {
    console.error(code, why);
    return to_int(code);
  };
  TaskRegistry tasks;
  if (Status added = add_functions(tasks, command.plugins, {}, nullptr); !added)
    return fail(ExitCode::usage, added.error().message);
  std::string journal;
  if (!command.durable.empty()) {
    Result<std::string> folder = durable_folder(command.durable, "sink");
    if (!folder) return fail(ExitCode::usage, folder.error().message);
    journal = *folder;
  }
  Outputs outputs{command};
  if (Status opened = outputs.open_first(journal); !opened)
    return fail(opened.error().code == Code::corrupt ? ExitCode::task_failed : ExitCode::usage, opened.error().message);
  Sink* running = nullptr;
  SignalThread* deadlines = nullptr;
  std::atomic<ExitCode> stopped{ExitCode::success};
  Keys keys;
  NameWait name;
  Result<Signals> signals =
      Signals::listen({.drain =
                           [&](const std::string& message) {
                             console.write(Level::info, message);
                             name.stop();
                             running->drain();
                             deadlines->call_after(command.drain_timeout, [&] { running->leave(); });
                           },
                       .cancel =
                           [&](ExitCode code) {
                             stopped = code;
                             name.stop();
                             running->leave();
                           },
                       .reload = [&] { reload_keys(keys, console.log()); }});
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_descriptor_limit();
  if (!command.shared_memory) switch_off_lending();
  Result<Keys> opened = open_keys(command.keys, {KeyRole::sink}, console.log());
  if (!opened) return fail(ExitCode::usage, opened.error().message);
  keys = *std::move(opened);
  keys.limit_strangers(command.strangers_max);
  warn_if_open(console, command.bind.value_or(command.connect), {command.keys, command.insecure});
  Context context{{}, console.log()};
  SinkOptions options = sink_options(command, console.log());
  options.durable = journal;
  options.keys = keys;
  Pulse pulse{command.pulse, console.log()};
  options.on_tick = [&pulse](bool in_session, TimePoint now) { pulse.beat(in_session, now); };
  Sink sink{context, tasks, std::move(options), [&](std::uint64_t job) { return outputs.next(job); }};
  running = &sink;
  SignalThread signal_thread{std::move(*signals)};
  deadlines = &signal_thread;
  if (!name.wait(command.connect, console.log()))
    return fail(ExitCode::unreachable, "told to stop before " + command.connect.to_string() + " could be looked up");
  const Result<Endpoint> bound = sink.bind();
  if (!bound)
    return fail(bound.error().code == Code::invalid ? ExitCode::usage : ExitCode::unreachable, bound.error().message);
  console.write(Level::info,
                "collecting for " + command.connect.to_string() + "; results come in on " + bound->to_string());
  const Result<SinkReport> report = sink.run();
  if (!report)
    return fail(report.error().code == Code::corrupt ? ExitCode::task_failed : ExitCode::unreachable,
                report.error().message);
  if (const std::string refused = report->refusals.to_text(); !refused.empty())
    console.write(Level::warning, "refused on the results socket: " + refused);
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : exit_code_of(*report);
  if (code != ExitCode::success)
    console.error(code, report->why.empty() ? "it left before its job was over" : report->why);
  return to_int(code);
}

}  // namespace

int run_sink(const Invocation& invocation) {
  const std::string program = "ventile-sink";
  const Parsed<SinkCommand> parsed = parse_sink_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  return collect(std::get<SinkCommand>(parsed), program);
}

}  // namespace ventile
