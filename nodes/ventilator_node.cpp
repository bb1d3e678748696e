#include <nodes/node.hpp>

#include <unistd.h>

#include <atomic>

#include <nodes/console.hpp>
#include <nodes/durable.hpp>
#include <nodes/job_run.hpp>
#include <nodes/options.hpp>
#include <nodes/reach.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/stream_thread.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/queue/ventilator.hpp>

namespace ventile {
namespace {

constexpr Duration cancel_timeout = std::chrono::seconds{5};  // After a second signal, then leave whatever is open.

JobCommand job_command(const VentilatorCommand& command, const Invocation& invocation) {
  JobCommand job;
  job.function = command.function;
  job.args = command.args;
  job.input = command.input;
  job.format = command.format;
  job.range = command.range;
  job.skip_bad = command.skip_bad;
  job.name = command.job;
  job.durable = !command.durable.empty();
  job.failure = command.failure;
  job.metrics = command.metrics;
  job.bar = command.bar;
  job.common = command.common;
  job.invocation = invocation;
  return job;
}

VentilatorOptions ventilator_options(const VentilatorCommand& command, const Log& log) {
  VentilatorOptions options;
  options.bind = command.bind;
  options.feed.window_bytes = command.window_bytes;
  options.dispatcher.heartbeat = command.timings.heartbeat;
  options.dispatcher.lease = command.timings.lease;
  options.dispatcher.max_crashes = command.max_crashes;
  options.dispatcher.key_limits = {command.key_limits.sessions_max, command.key_limits.slots_max};
  options.dispatcher.speculate = command.speculate;
  options.frame_bytes_max = command.frame_bytes_max;
  options.log = log;
  return options;
}

int ventilate(const VentilatorCommand& command, const Invocation& invocation, const std::string& program) {
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const auto fail = [&](ExitCode code, const std::string& why) {
    console.error(code, why);
    return to_int(code);
  };
  Ventilator* running = nullptr;
  SignalThread* deadlines = nullptr;
  std::atomic<ExitCode> stopped{ExitCode::success};
  Keys keys;
  const auto cancel = [&](ExitCode code) {
    stopped = code;
    running->cancel();
    deadlines->call_after(cancel_timeout, [&] { running->leave(); });
  };
  Result<Signals> signals =
      Signals::listen({.drain =
                           [&](const std::string& message) {
                             console.write(Level::info, message);
                             running->drain();
                             deadlines->call_after(command.drain_timeout, [&] { running->leave(); });
                           },
                       .cancel = cancel,
                       .reload = [&] { reload_keys(keys, console.log()); }});
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_descriptor_limit();
  if (!command.shared_memory) switch_off_lending();
  Result<Keys> opened = open_keys(command.keys, {KeyRole::dispatcher}, console.log());
  if (!opened) return fail(ExitCode::usage, opened.error().message);
  keys = *std::move(opened);
  keys.limit_strangers(command.strangers_max);
  warn_if_open(console, command.bind, {command.keys, command.insecure});
  JobRun job{console, job_command(command, invocation)};
  VentilatorOptions options = ventilator_options(command, console.log());
  if (Status prepared = job.prepare(options); !prepared) return fail(ExitCode::usage, prepared.error().message);
  if (!command.durable.empty()) {
    Result<std::string> folder = durable_folder(command.durable, "job-" + command.job);
    if (!folder) return fail(ExitCode::usage, folder.error().message);
    options.durable = *folder;
  }
  options.keys = keys;
  Context context{{}, console.log()};
  Ventilator ventilator{context, std::move(options), job.take_input(), job.callbacks()};
  running = &ventilator;
  const Result<Endpoint> bound = ventilator.bind();
  if (!bound) return fail(exit_code_of(bound.error().code), bound.error().message);
  SignalThread signal_thread{std::move(*signals)};
  deadlines = &signal_thread;
  if (command.job_timeout) signal_thread.call_after(*command.job_timeout, [&] { cancel(ExitCode::job_timeout); });
  StreamThread stream;
  if (command.pattern == Pattern::pipeline)
    if (Status started = stream.start(context, command, *bound, keys, console.log()); !started)
      return fail(ExitCode::unreachable, started.error().message);
  console.write(Level::info, "serving tasks of '" + command.function + "' on " + bound->to_string());
  const Result<VentilatorReport> report = ventilator.run();
  if (!report) return fail(ExitCode::unreachable, report.error().message);
  if (report->ending == VentilatorEnding::finished_before) {
    console.write(Level::info, "job '" + command.job + "' is finished already; to run it again, remove " +
                                   command.durable + "/job-" + command.job);
    return to_int(ExitCode::success);
  }
  const ExitCode ended = job.finish(*report);
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : ended;
  if (!report->why.empty() && code != ExitCode::success) console.error(code, report->why);
  return to_int(code);
}

}  // namespace

int run_ventilator(const Invocation& invocation) {
  const std::string program = "ventile-ventilator";
  const Parsed<VentilatorCommand> parsed =
      parse_ventilator_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  return ventilate(std::get<VentilatorCommand>(parsed), invocation, program);
}

}  // namespace ventile
