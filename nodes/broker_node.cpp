// `ventile-broker`: a dispatcher for many clients and workers, until it is told to stop.
#include <nodes/node.hpp>

#include <nodes/console.hpp>
#include <nodes/options.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/broker.hpp>

namespace ventile {
namespace {

constexpr Duration farewell_max = std::chrono::milliseconds{200};

// What is open is not lost: its clients have it, and submit it again when there is a broker.
std::string farewell(const Report& report) {
  std::uint64_t open = 0;
  for (const JobState& job : report.jobs) open += job.queued + job.delayed + job.leased + job.awaiting;
  if (open == 0) return "stopping; nothing is open";
  return "stopping; " + std::to_string(open) + (open == 1 ? " task is" : " tasks are") +
         " open, and will be submitted again by their clients when a broker is back";
}

int serve(const BrokerCommand& command, const std::string& program) {
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  Reactor reactor;
  Broker* running = nullptr;
  const auto stop = [&](const std::string& message) {
    reactor.post([&, message] {
      if (message.empty()) return reactor.stop();
      console.write(Level::info, farewell(running->report()));
      running->stop();
      reactor.call_at(reactor.now() + farewell_max, [&] { reactor.stop(); });
    });
  };
  Result<Signals> signals = Signals::listen({.drain = stop, .cancel = [&](ExitCode) { stop({}); }, .reload = [] {}});
  if (!signals) {
    console.error(ExitCode::internal, signals.error().message);
    return to_int(ExitCode::internal);
  }
  raise_file_limit();
  BrokerOptions options;
  options.bind = command.bind;
  options.dispatcher.heartbeat = command.timings.heartbeat;
  options.dispatcher.lease = command.timings.lease;
  options.frame_bytes_max = command.frame_bytes_max;
  options.log = console.log();
  Context context{{}, console.log()};
  Broker broker{context, reactor, std::move(options)};
  running = &broker;
  const Result<Endpoint> bound = broker.bind();
  if (!bound) {
    console.error(ExitCode::unreachable, bound.error().message);
    return to_int(ExitCode::unreachable);
  }
  broker.start();
  reactor.on_turn_end([&broker] { broker.on_turn_end(); });
  SignalThread signal_thread{std::move(*signals)};
  console.write(Level::info, "serving clients and workers on " + bound->to_string());
  reactor.run();
  return to_int(ExitCode::success);
}

}  // namespace

int run_broker(const Invocation& invocation) {
  const std::string program = "ventile-broker";
  const Parsed<BrokerCommand> parsed = parse_broker_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  return serve(std::get<BrokerCommand>(parsed), program);
}

}  // namespace ventile
