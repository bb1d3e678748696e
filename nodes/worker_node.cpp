#include <nodes/node.hpp>

#include <atomic>
#include <memory>
#include <utility>

#include <nodes/confinement_of.hpp>
#include <nodes/console.hpp>
#include <nodes/functions.hpp>
#include <nodes/options.hpp>
#include <nodes/pulse.hpp>
#include <nodes/reach.hpp>
#include <nodes/run/lent_slots.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/slots.hpp>
#include <nodes/stage_node.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/queue/worker.hpp>

namespace ventile {
namespace {

WorkerOptions worker_options(const WorkerCommand& command, std::uint32_t slots, const Log& log) {
  WorkerOptions options;
  options.connect = command.connect;
  options.slots = slots;
  options.build = versions().program;
  options.once = command.once;
  options.stop_when_alone = command.exec == exec_anything;
  options.drain_timeout = command.drain_timeout;
  options.frame_bytes_max = command.frame_bytes_max;
  options.credit_tasks = command.credit_tasks;
  options.credit_bytes = command.credit_bytes;
  options.kept_bytes_max = command.kept_bytes_max;
  options.log = log;
  return options;
}

ExitCode exit_code_of(WorkerEnding ending) {
  switch (ending) {
    case WorkerEnding::done:
      return ExitCode::success;
    case WorkerEnding::handed_back:
      return ExitCode::drain_deadline;
    case WorkerEnding::hung:
      return ExitCode::task_failed;
    case WorkerEnding::refused:
    case WorkerEnding::version_mismatch:
      return ExitCode::mismatch;
  }
  return ExitCode::internal;
}

int work(const WorkerCommand& command, const std::string& program) {
  std::shared_ptr<const Zygote> zygote;
  if (!command.exec.empty()) {
    Result<Confinement> confinement = confinement_of(command.command_limits);
    if (!confinement) return say({ExitCode::usage, confinement.error().message, {}, command.common.json}, program);
    Result<Zygote> started = Zygote::start({.confinement = *std::move(confinement)});  // Before any thread.
    if (!started) return say({ExitCode::unreachable, started.error().message, {}, command.common.json}, program);
    zygote = std::make_shared<const Zygote>(std::move(*started));
  }
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const AvailableSlots available = available_slots(Machine::here());
  const std::uint32_t slots = command.slots.value_or(available.count);
  const bool lends = command.exec == exec_anything;
  TaskRegistry tasks;
  if (Status added = add_functions(tasks, command.plugins, lends ? std::string{} : command.exec, zygote); !added) {
    console.error(ExitCode::usage, added.error().message);
    return to_int(ExitCode::usage);
  }
  if (Status isolated = add_isolation(tasks, command.isolation, slots, console); !isolated) {
    console.error(ExitCode::usage, isolated.error().message);
    return to_int(ExitCode::usage);
  }
  if (lends) add_lent_run(tasks, zygote, slots, host_name());
  Worker* running = nullptr;
  std::atomic<ExitCode> stopped{ExitCode::success};
  Result<Signals> signals = Signals::listen({.drain =
                                                 [&](const std::string& message) {
                                                   console.write(Level::info, message);
                                                   running->drain();
                                                 },
                                             .cancel =
                                                 [&](ExitCode code) {
                                                   stopped = code;
                                                   running->abandon();
                                                 },
                                             .reload = [] {}});
  if (!signals) {
    console.error(ExitCode::internal, signals.error().message);
    return to_int(ExitCode::internal);
  }
  raise_descriptor_limit();
  if (!command.shared_memory) switch_off_lending();
  Result<Keys> keys = open_keys(command.keys, {KeyRole::worker}, console.log());
  if (!keys) {
    console.error(ExitCode::usage, keys.error().message);
    return to_int(ExitCode::usage);
  }
  warn_if_open(console, command.connect, {command.keys, command.insecure});
  WorkerOptions options = worker_options(command, slots, console.log());
  options.keys = *std::move(keys);
  Pulse pulse{command.pulse, console.log()};
  options.on_tick = [&pulse](bool in_session, TimePoint now) { pulse.beat(in_session, now); };
  Context context{{}, console.log()};
  Worker worker{context, tasks, std::move(options)};
  running = &worker;
  SignalThread signal_thread{std::move(*signals)};
  console.write(Level::info, "working for " + command.connect.to_string() + " with " + std::to_string(slots) +
                                 (slots == 1 ? " slot" : " slots") +
                                 (command.slots ? " (--slots)" : " (" + available.reason + ")") +
                                 (command.isolation.kind == SlotKind::process ? ", each a process" : ""));
  const Result<WorkerReport> report = worker.run();
  if (!report) {
    console.error(ExitCode::unreachable, report.error().message);
    return to_int(ExitCode::unreachable);
  }
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : exit_code_of(report->ending);
  if (code != ExitCode::success) console.error(code, report->why.empty() ? "tasks were handed back" : report->why);
  console.write(Level::info, "left after " + std::to_string(report->tasks) + " tasks");
  return to_int(code);
}

}  // namespace

int run_worker(const Invocation& invocation) {
  const std::string program = "ventile-worker";
  const Parsed<WorkerCommand> parsed = parse_worker_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  const auto& command = std::get<WorkerCommand>(parsed);
  return command.pattern == Pattern::pipeline ? run_stage(command, program) : work(command, program);
}

}  // namespace ventile
