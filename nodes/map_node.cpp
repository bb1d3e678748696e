// `ventile map`: ventilator, worker and sink as threads of one process, for a function over an input; or, with
// --connect, a client of a broker.
#include <nodes/node.hpp>

#include <unistd.h>

#include <atomic>
#include <memory>
#include <utility>

#include <nodes/companions.hpp>
#include <nodes/console.hpp>
#include <nodes/functions.hpp>
#include <nodes/io/output.hpp>
#include <nodes/job_run.hpp>
#include <nodes/map/broker_map.hpp>
#include <nodes/options.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/slots.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/queue/ventilator.hpp>

namespace ventile {
namespace {

constexpr Duration cancel_timeout = std::chrono::seconds{5};

JobCommand job_command(const MapCommand& command, const Invocation& invocation) {
  JobCommand job;
  job.function = command.function;
  job.args = command.args;
  job.input = command.input;
  job.format = command.format;
  job.range = command.range;
  job.skip_bad = command.skip_bad;
  job.name = command.fetch.empty() ? command.job : command.fetch;
  job.durable = command.keep;
  job.fetched = !command.fetch.empty();
  job.failure = command.failure;
  job.output = command.output;
  job.metrics = command.metrics;
  job.bar = command.bar;
  job.results_to_stdout = command.output == "-";
  job.results_to_terminal = job.results_to_stdout && isatty(STDOUT_FILENO) == 1;
  job.common = command.common;
  job.invocation = invocation;
  return job;
}

std::string how_to_get(const std::string& function) {
  if (function == "exec") return "name the command that runs each task with --exec 'CMD {}', or choose a --function";
  return "load the plugin that has it with --plugin";
}

SinkOptions sink_options(const MapCommand& command, const Endpoint& dispatcher, const Log& log) {
  SinkOptions options = companion_sink(dispatcher, log);
  options.fold = command.fold;
  options.ordered = command.ordered && command.fold.empty();
  return options;
}

int map(const MapCommand& command, const Invocation& invocation, const std::string& program) {
  std::shared_ptr<const Zygote> zygote;
  if (!command.exec.empty()) {
    Result<Zygote> started = Zygote::start();  // Before any thread.
    if (!started) return say({ExitCode::unreachable, started.error().message, {}, command.common.json}, program);
    zygote = std::make_shared<const Zygote>(std::move(*started));
  }
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  const auto fail = [&](ExitCode code, const std::string& why) {
    console.error(code, why);
    return to_int(code);
  };
  TaskRegistry tasks;
  if (Status added = add_functions(tasks, command.plugins, command.exec, zygote); !added)
    return fail(ExitCode::usage, added.error().message);
  if (tasks.find(command.function) == nullptr)
    return fail(ExitCode::usage, "there is no function '" + command.function + "'; " + how_to_get(command.function));
  if (!command.fold.empty() && tasks.find_fold(command.fold) == nullptr)
    return fail(ExitCode::usage,
                "there is no reducer '" + command.fold + "'; load the plugin that has it with --plugin");
  const std::uint32_t slots = command.slots.value_or(available_slots(Machine::here()).count);
  if (Status isolated = add_isolation(tasks, command.isolation, slots, console); !isolated)
    return fail(ExitCode::usage, isolated.error().message);

  Ventilator* running = nullptr;
  SignalThread* deadlines = nullptr;
  std::atomic<ExitCode> stopped{ExitCode::success};
  Result<Signals> signals = Signals::listen({.drain =
                                                 [&](const std::string& message) {
                                                   console.write(Level::info, message);
                                                   running->drain();
                                                 },
                                             .cancel =
                                                 [&](ExitCode code) {
                                                   stopped = code;
                                                   running->cancel();
                                                   deadlines->call_after(cancel_timeout, [&] { running->leave(); });
                                                 },
                                             .reload = [] {}});
  if (!signals) return fail(ExitCode::internal, signals.error().message);
  raise_descriptor_limit();
  JobRun job{console, job_command(command, invocation)};
  VentilatorOptions options;
  options.log = warnings_of(console.log());
  options.bind = private_endpoint(program, command.transport);
  if (Status prepared = job.prepare(options); !prepared) return fail(ExitCode::usage, prepared.error().message);
  Result<std::unique_ptr<Output>> output = open_output(command.output, command.output_format);
  if (!output) return fail(ExitCode::usage, output.error().message);

  Context context{{}, console.log()};
  Ventilator ventilator{context, std::move(options), job.take_input(), job.callbacks()};
  running = &ventilator;
  const Result<Endpoint> bound = ventilator.bind();
  if (!bound) return fail(ExitCode::unreachable, bound.error().message);
  Companions companions{context, tasks, companion_worker(*bound, slots, console.log()),
                        sink_options(command, *bound, console.log()), std::move(*output)};
  SignalThread signal_thread{std::move(*signals)};
  deadlines = &signal_thread;
  if (Status started = companions.start(); !started) return fail(ExitCode::unreachable, started.error().message);
  const Result<VentilatorReport> report = ventilator.run();
  companions.finish(report, signal_thread);
  if (!report) return fail(ExitCode::unreachable, report.error().message);
  const VentilatorReport& ended = *report;
  const ExitCode finished = job.finish(ended);
  const ExitCode code = stopped != ExitCode::success ? stopped.load() : finished;
  if (!ended.why.empty() && code != ExitCode::success) console.error(code, ended.why);
  return to_int(code);
}

}  // namespace

int run_map(const Invocation& invocation) {
  const std::string program = "ventile-map";
  const Parsed<MapCommand> parsed = parse_map_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  const auto& command = std::get<MapCommand>(parsed);
  if (command.connect) return map_at_broker(command, job_command(command, invocation), program);
  return map(command, invocation, program);
}

}  // namespace ventile
