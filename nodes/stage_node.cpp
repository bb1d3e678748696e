#include <nodes/stage_node.hpp>

#include <atomic>

#include <nodes/console.hpp>
#include <nodes/functions.hpp>
#include <nodes/reach.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/slots.hpp>
#include <ventile/net/context.hpp>
#include <ventile/pipeline/stage.hpp>

namespace ventile {
namespace {

ExitCode exit_code_of(StageEnding ending) {
  switch (ending) {
    case StageEnding::done:
      return ExitCode::success;
    case StageEnding::interrupted:
      return ExitCode::drain_deadline;
    case StageEnding::hung:
      return ExitCode::task_failed;
    case StageEnding::refused:
      return ExitCode::mismatch;
  }
  return ExitCode::internal;
}

StageOptions stage_options(const WorkerCommand& command, std::uint32_t slots, const Log& log) {
  StageOptions options;
  options.dispatcher = command.connect;
  options.slots = slots;
  options.once = command.once;
  options.drain_timeout = command.drain_timeout;
  options.frame_bytes_max = command.frame_bytes_max;
  options.log = log;
  return options;
}

}  // namespace

int run_stage(const WorkerCommand& command, const std::string& program) {
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const auto fail = [&](ExitCode code, const std::string& why) {
    console.error(code, why);
    return to_int(code);
  };
  TaskRegistry tasks;
  if (Status added = add_functions(tasks, command.plugins, {}, nullptr); !added)
    return fail(ExitCode::usage, added.error().message);
  const AvailableSlots available = available_slots(Machine::here());
  const std::uint32_t slots = command.slots.value_or(available.count);
  if (Status isolated = add_isolation(tasks, command.isolation, slots, console); !isolated)
    return fail(ExitCode::usage, isolated.error().message);
  Stage* running = nullptr;
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
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_descriptor_limit();
  Result<Keys> keys = open_keys(command.keys, {KeyRole::worker}, console.log());
  if (!keys) return fail(ExitCode::usage, keys.error().message);
  warn_if_open(console, command.connect, {command.keys, command.insecure});
  StageOptions options = stage_options(command, slots, console.log());
  options.keys = *std::move(keys);
  Context context{{}, console.log()};
  Stage stage{context, tasks, std::move(options)};
  running = &stage;
  SignalThread signal_thread{std::move(*signals)};
  console.write(Level::info, "a stage of the pipeline at " + command.connect.to_string() + " with " +
                                 std::to_string(slots) + (slots == 1 ? " slot" : " slots") +
                                 (command.slots ? " (--slots)" : " (" + available.reason + ")"));
  const Result<StageReport> report = stage.run();
  if (!report) return fail(ExitCode::unreachable, report.error().message);
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : exit_code_of(report->ending);
  if (code != ExitCode::success)
    console.error(code, report->why.empty() ? "what it had is sent again to others" : report->why);
  console.write(Level::info, "left after " + std::to_string(report->tasks) + " tasks");
  return to_int(code);
}

}  // namespace ventile
