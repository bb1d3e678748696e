// `ventile map`: ventilator, worker and sink as threads of one process, for a function over an input.
#include <nodes/node.hpp>

#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <thread>

#include <nodes/console.hpp>
#include <nodes/functions.hpp>
#include <nodes/io/output.hpp>
#include <nodes/job_run.hpp>
#include <nodes/options.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/slots.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/queue/sink.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/queue/worker.hpp>

namespace ventile {
namespace {

constexpr Duration farewell_max = std::chrono::seconds{2};
constexpr Duration cancel_timeout = std::chrono::seconds{5};

Endpoint private_endpoint(Transport transport) {
  const std::string unique = "ventile-map-" + std::to_string(getpid());
  switch (transport) {
    case Transport::inproc:
      return {Transport::inproc, unique, 0};
    case Transport::ipc:
      return {Transport::ipc, "/tmp/" + unique, 0};
    case Transport::tcp:
      break;
  }
  return {Transport::tcp, "127.0.0.1", 0};
}

JobCommand job_command(const MapCommand& command, const Invocation& invocation) {
  JobCommand job;
  job.function = command.function;
  job.args = command.args;
  job.input = command.input;
  job.format = command.format;
  job.range = command.range;
  job.skip_bad = command.skip_bad;
  job.failure = command.failure;
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

// The worker and the sink of this process, each with its thread.
class Companions {
public:
  Companions(Context& context, const TaskRegistry& tasks, const MapCommand& command, const Endpoint& dispatcher,
             std::uint32_t slots, std::unique_ptr<Output> output, const Log& log)
      : worker_(context, tasks, worker_options(dispatcher, slots, log)),
        output_(std::move(output)),
        sink_(context, tasks, sink_options(command, dispatcher, log),
              [this](std::uint64_t) -> Result<std::unique_ptr<Output>> { return std::move(output_); }) {}
  ~Companions() {
    if (worker_thread_.joinable()) worker_thread_.join();
    if (sink_thread_.joinable()) sink_thread_.join();
  }

  Status start() {
    if (const Result<Endpoint> bound = sink_.bind(); !bound) return bound.error();
    sink_thread_ = std::thread([this] { (void)sink_.run(); });
    worker_thread_ = std::thread([this] { (void)worker_.run(); });
    return {};
  }
  // The job is over, one way or another.
  void stop() {
    worker_.abandon();
    sink_.leave();
  }

private:
  Worker worker_;
  std::unique_ptr<Output> output_;
  Sink sink_;
  std::thread worker_thread_;
  std::thread sink_thread_;

  // Only what goes wrong is news: everybody is in this process.
  static Log warnings_of(const Log& log) {
    return Log{[log](Level level, std::string_view line) {
      if (level >= Level::warning) log.write(level, line);
    }};
  }
  static WorkerOptions worker_options(const Endpoint& dispatcher, std::uint32_t slots, const Log& log) {
    WorkerOptions options;
    options.connect = dispatcher;
    options.slots = slots;
    options.build = versions().program;
    options.once = true;
    options.log = warnings_of(log);
    return options;
  }
  static SinkOptions sink_options(const MapCommand& command, const Endpoint& dispatcher, const Log& log) {
    SinkOptions options;
    options.connect = dispatcher;
    options.build = versions().program;
    options.fold = command.fold;
    options.ordered = command.ordered && command.fold.empty();
    options.log = warnings_of(log);
    return options;
  }
};

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
  raise_file_limit();
  JobRun job{console, job_command(command, invocation)};
  VentilatorOptions options;
  options.log = Log{[&console](Level level, std::string_view line) {
    if (level >= Level::warning) console.write(level, line);
  }};
  options.bind = private_endpoint(command.transport);
  if (Status prepared = job.prepare(options); !prepared) return fail(ExitCode::usage, prepared.error().message);
  Result<std::unique_ptr<Output>> output = open_output(command.output, command.output_format);
  if (!output) return fail(ExitCode::usage, output.error().message);

  Context context{{}, console.log()};
  Ventilator ventilator{context, std::move(options), job.take_input(), job.callbacks()};
  running = &ventilator;
  const Result<Endpoint> bound = ventilator.bind();
  if (!bound) return fail(ExitCode::unreachable, bound.error().message);
  const std::uint32_t slots = command.slots.value_or(available_slots(Machine::here()).count);
  std::optional<Result<VentilatorReport>> report;
  {
    SignalThread signal_thread{std::move(*signals)};
    deadlines = &signal_thread;
    Companions companions{context, tasks, command, *bound, slots, std::move(*output), console.log()};
    if (Status started = companions.start(); !started) return fail(ExitCode::unreachable, started.error().message);
    report = ventilator.run();
    if (*report && (*report)->ending == VentilatorEnding::done)
      signal_thread.call_after(farewell_max, [&] { companions.stop(); });  // They know; unless a connection broke.
    else
      companions.stop();
  }
  if (!*report) return fail(ExitCode::unreachable, report->error().message);
  const VentilatorReport& ended = **report;
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
  return map(std::get<MapCommand>(parsed), invocation, program);
}

}  // namespace ventile
