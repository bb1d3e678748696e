// `ventile up`: a broker in this process, and workers beside it.
#include <nodes/node.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <nodes/broker_metrics.hpp>
#include <nodes/console.hpp>
#include <nodes/durable.hpp>
#include <nodes/options.hpp>
#include <nodes/quantity.hpp>
#include <nodes/reach.hpp>
#include <nodes/serving.hpp>
#include <nodes/signal_thread.hpp>
#include <nodes/slots.hpp>
#include <nodes/up/crew.hpp>
#include <nodes/versions.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/broker.hpp>

namespace ventile {
namespace {

constexpr std::string_view program = "ventile up";

struct Size {
  std::uint32_t workers = 1;
  std::uint32_t slots = 1;  // Of each.
};

Size size_of(const UpCommand& command) {
  const std::uint32_t all = available_slots(Machine::here()).count;
  if (command.workers) return {*command.workers, command.slots.value_or(std::max(1U, all / *command.workers))};
  const std::uint32_t slots = command.slots.value_or(1);
  return {std::max(1U, all / slots), slots};
}

std::string described(const Size& size) {
  return std::to_string(size.workers) + (size.workers == 1 ? " worker with " : " workers with ") +
         std::to_string(size.slots) + (size.slots == 1 ? " slot" : " slots") + (size.workers == 1 ? "" : " each");
}

// Where processes of this machine find it.
Endpoint nearby(Endpoint bound) {
  if (bound.is_wildcard()) bound.host = bound.host == "::" ? "::1" : "127.0.0.1";
  return bound;
}

// Whatever a configuration file says to workers, these are ours.
std::vector<std::string> worker_words(const UpCommand& command, const Endpoint& broker, std::uint32_t slots) {
  const CommonOptions& common = command.broker.common;
  std::vector<std::string> words{"ventile",
                                 "worker",
                                 "--connect=" + broker.to_string(),
                                 "--slots=" + std::to_string(slots),
                                 "--drain-timeout=" + to_text(command.drain_timeout),
                                 "--pattern=queue",
                                 "--no-once",
                                 common.verbose ? "--no-quiet" : "--quiet",  // What they are, we say.
                                 common.verbose ? "--verbose" : "--no-verbose",
                                 common.json ? "--json" : "--no-json"};
  words.emplace_back(command.broker.shared_memory ? "--shared-memory" : "--no-shared-memory");
  if (command.broker.insecure) words.emplace_back("--insecure");
  if (!command.broker.keys.empty()) words.push_back("--keys=" + command.broker.keys);
  if (!common.config.empty()) words.push_back("--config=" + common.config);
  words.emplace_back(command.isolation.kind == SlotKind::process ? "--isolation=process" : "--isolation=thread");
  words.push_back("--slot-memory=" + std::to_string(command.isolation.memory_bytes_max));
  for (const std::string& plugin : command.plugins) words.push_back("--plugin=" + plugin);
  if (!command.exec.empty()) words.push_back("--exec=" + command.exec);
  return words;
}

// The address is data, for scripts; what to do with it is for people.
void announce(const Console& console, const UpCommand& command, const Endpoint& bound, const Size& size) {
  const std::string address = nearby(bound).to_string();
  if (command.broker.common.json)
    std::printf("%s\n",
                nlohmann::json{{"schema", 1}, {"address", address}, {"workers", size.workers}, {"slots", size.slots}}
                    .dump()
                    .c_str());
  else
    std::printf("%s\n", address.c_str());
  std::fflush(stdout);
  console.write(Level::info, described(size) + " at " + address + "; Ctrl-C ends them. Next:");
  console.write(Level::info, "  ventile map --connect " + address + " --function NAME < in.jsonl > out.jsonl");
  console.write(Level::info, "  ventile status --connect " + address);
  console.write(Level::info, "  ventile worker --connect " +
                                 (bound.is_wildcard() ? "tcp://HOST:" + std::to_string(bound.port) : address) +
                                 "    # one more");
}

int fail(Console& console, const Error& error, std::string_view hint = "") {
  console.error(ExitCode::unreachable, error.message, hint);
  return to_int(ExitCode::unreachable);
}

int up(const UpCommand& command) {
  const CommonOptions& common = command.broker.common;
  Console console{console_options(std::string{program}, common.quiet, common.verbose, common.json)};
  Reactor reactor;
  Crew* crew = nullptr;
  ExitCode stopped = ExitCode::success;
  Keys keys;
  Result<Signals> signals =
      Signals::listen({.drain =
                           [&](const std::string& message) {
                             console.write(Level::info, message);
                             reactor.post([&] { crew->drain(); });
                           },
                       .cancel =
                           [&](ExitCode code) {
                             console.write(Level::info, "cancelling what runs; once more kills the workers");
                             reactor.post([&, code] {
                               stopped = code;
                               crew->cancel();
                             });
                           },
                       .reload = [&] { reload_keys(keys, console.log()); }});
  if (!signals) {
    console.error(ExitCode::internal, signals.error().message);
    return to_int(ExitCode::internal);
  }
  raise_descriptor_limit();
  if (!command.broker.shared_memory) switch_off_lending();
  Result<Keys> opened = open_keys(command.broker.keys, {KeyRole::dispatcher}, console.log());
  if (!opened) {
    console.error(ExitCode::usage, opened.error().message);
    return to_int(ExitCode::usage);
  }
  keys = *std::move(opened);
  keys.limit_strangers(command.broker.strangers_max);
  warn_if_open(console, command.broker.bind, {command.broker.keys, command.broker.insecure});
  Context context{{}, console.log()};
  Result<BrokerOptions> options = broker_options(command.broker, keys, console.log());
  if (!options) {
    console.error(ExitCode::usage, options.error().message);
    return to_int(ExitCode::usage);
  }
  Broker broker{context, reactor, *std::move(options)};
  if (const Status resumed = broker.open_journal(); !resumed) {
    console.error(exit_code_of(resumed.error().code), resumed.error().message);
    return to_int(exit_code_of(resumed.error().code));
  }
  const Result<Endpoint> bound = broker.bind();
  if (!bound)
    return fail(console, bound.error(),
                "Choose another address with --bind, such as tcp://127.0.0.1:0 for any free port.");
  const Size size = size_of(command);
  bool has_served = false;
  ExitCode code = ExitCode::success;
  Crew workers{reactor,
               {.words = worker_words(command, nearby(*bound), size.slots),
                .workers = size.workers,
                .drain_timeout = command.drain_timeout,
                .log = console.log(),
                .has_served = [&] { return has_served; },
                .on_over =
                    [&](ExitCode ended) {
                      code = ended;
                      console.write(Level::info, farewell(broker.report(), !command.broker.durable.empty()));
                      broker.stop();
                      reactor.call_at(reactor.now() + farewell_max, [&] { reactor.stop(); });
                    }}};
  crew = &workers;
  broker.on_failed([&](const std::string& why) {
    console.error(ExitCode::task_failed, why);
    stopped = ExitCode::task_failed;
    workers.cancel();
  });
  broker.start();
  const BrokerMetricsFile metrics{reactor, broker, command.broker.metrics, console.log()};
  if (const Status started = workers.start(); !started) return fail(console, started.error());
  reactor.on_turn_end([&] {
    broker.on_turn_end();
    if (!has_served) has_served = !broker.report().workers.empty();
  });
  SignalThread signal_thread{std::move(*signals)};
  announce(console, command, *bound, size);
  reactor.run();
  return to_int(stopped != ExitCode::success ? stopped : code);
}

}  // namespace

int run_up(const Invocation& invocation) {
  const Parsed<UpCommand> parsed = parse_up_options(invocation.options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, std::string{program});
  return up(std::get<UpCommand>(parsed));
}

}  // namespace ventile
