// `ventile-broker`: a dispatcher for many clients and workers, until it is told to stop.
#include <nodes/node.hpp>

#include <utility>

#include <nodes/broker_metrics.hpp>
#include <nodes/console.hpp>
#include <nodes/durable.hpp>
#include <nodes/options.hpp>
#include <nodes/reach.hpp>
#include <nodes/serving.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/broker.hpp>

namespace ventile {
namespace {

int serve(const BrokerCommand& command, const std::string& program) {
  Console console{console_options(program, command.common.quiet, command.common.verbose, command.common.json)};
  Reactor reactor;
  Broker* running = nullptr;
  std::string failure;
  const auto stop = [&](const std::string& message) {
    reactor.post([&, message] {
      if (message.empty()) return reactor.stop();
      console.write(Level::info, farewell(running->report(), !command.durable.empty()));
      running->stop();
      reactor.call_at(reactor.now() + farewell_max, [&] { reactor.stop(); });
    });
  };
  Keys keys;
  Result<Signals> signals = Signals::listen(
      {.drain = stop, .cancel = [&](ExitCode) { stop({}); }, .reload = [&] { reload_keys(keys, console.log()); }});
  if (!signals) {
    console.error(ExitCode::internal, signals.error().message);
    return to_int(ExitCode::internal);
  }
  raise_descriptor_limit();
  if (!command.shared_memory) switch_off_lending();
  Result<Keys> opened = open_keys(command.keys, {KeyRole::dispatcher}, console.log());
  if (!opened) {
    console.error(ExitCode::usage, opened.error().message);
    return to_int(ExitCode::usage);
  }
  keys = *std::move(opened);
  keys.limit_strangers(command.strangers_max);
  warn_if_open(console, command.bind, {command.keys, command.insecure});
  Context context{{}, console.log()};
  Result<BrokerOptions> options = broker_options(command, keys, console.log());
  if (!options) {
    console.error(ExitCode::usage, options.error().message);
    return to_int(ExitCode::usage);
  }
  Broker broker{context, reactor, *std::move(options)};
  running = &broker;
  const Result<Endpoint> bound = broker.bind();
  if (!bound) {
    const ExitCode code = exit_code_of(bound.error().code);
    console.error(code, bound.error().message);
    return to_int(code);
  }
  broker.on_failed([&](const std::string& why) {
    failure = why;
    reactor.stop();
  });
  broker.start();
  const BrokerMetricsFile metrics{reactor, broker, command.metrics, console.log()};
  reactor.on_turn_end([&broker] { broker.on_turn_end(); });
  SignalThread signal_thread{std::move(*signals)};
  console.write(Level::info, "serving clients and workers on " + bound->to_string());
  reactor.run();
  if (failure.empty()) return to_int(ExitCode::success);
  console.error(ExitCode::task_failed, failure);
  return to_int(ExitCode::task_failed);
}

}  // namespace

int run_broker(const Invocation& invocation) {
  const std::string program = "ventile-broker";
  const Parsed<BrokerCommand> parsed = parse_broker_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, program);
  return serve(std::get<BrokerCommand>(parsed), program);
}

}  // namespace ventile
