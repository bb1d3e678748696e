// `ventile bench`: what Ventile does on this machine and network, by the calls that every program can make.
#include <nodes/node.hpp>

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <nlohmann/json.hpp>

#include <nodes/bench/local_cluster.hpp>
#include <nodes/bench/measure.hpp>
#include <nodes/builtin_tasks.hpp>
#include <nodes/console.hpp>
#include <nodes/options.hpp>
#include <nodes/reach.hpp>
#include <nodes/slots.hpp>
#include <nodes/versions.hpp>

namespace ventile {
namespace {

using Json = nlohmann::json;

constexpr std::string_view program = "ventile bench";
constexpr std::string_view usage = "usage: ventile bench throughput|latency|overhead [OPTION…]";
constexpr Duration between_looks = std::chrono::milliseconds{10};
constexpr Duration patience = std::chrono::seconds{10};  // For workers that have not come yet.

Json machine() {
  std::string processor = "unknown";
  std::ifstream information{"/proc/cpuinfo"};
  for (std::string line; std::getline(information, line);) {
    if (!line.starts_with("model name")) continue;
    processor = line.substr(std::min(line.find(": ") + 2, line.size()));
    break;
  }
  utsname system{};
  uname(&system);
  double load = 0;
  getloadavg(&load, 1);
  return {{"processor", processor},
          {"processors", available_slots(Machine::here()).count},
          {"load", load},
          {"system", std::string{system.sysname} + " " + system.release}};
}

// Waits until the pool has as many slots, or any if that is 0. Returns what it has; 0 if they do not come.
std::uint64_t wait_for_slots(Pool& pool, std::uint64_t wanted) {
  const TimePoint end = Clock::now() + patience;
  std::uint64_t slots = 0;
  while (Clock::now() < end) {
    slots = pool.stats().slots;
    if (slots > 0 && slots >= wanted) return slots;
    std::this_thread::sleep_for(between_looks);
  }
  return wanted == 0 ? slots : 0;
}

Json throughput_document(Pool& pool, const BenchCommand& command, const Extent& extent) {
  const Throughput found = measure_throughput(pool, command.bytes, extent);
  return {{"tasks", found.tasks},
          {"bytes_echoed", found.bytes},
          {"seconds", found.seconds},
          {"tasks_per_second", static_cast<double>(found.tasks) / found.seconds},
          {"bytes_per_second", static_cast<double>(found.bytes) / found.seconds}};
}

Json latency_document(Pool& pool, const BenchCommand& command, const Extent& extent) {
  const std::vector<double> seconds = measure_latency(pool, command.bytes, extent);
  return {{"tasks", seconds.size()},
          {"p50_seconds", quantile(seconds, 0.5)},
          {"p99_seconds", quantile(seconds, 0.99)},
          {"p999_seconds", quantile(seconds, 0.999)}};
}

Json overhead_document(Pool& pool, std::uint64_t slots, const Extent& extent) {
  const std::vector<UsefulShare> shares = measure_overhead(pool, slots, extent);
  Json rows = Json::array();
  std::uint64_t tasks = 0;
  for (const UsefulShare& share : shares) {
    tasks += share.tasks;
    rows.push_back({{"task_seconds", share.task_seconds},
                    {"tasks", share.tasks},
                    {"seconds", share.seconds},
                    {"useful_share", share.useful}});
  }
  const double smallest = metg(shares);
  return {{"tasks", tasks}, {"shares", rows}, {"metg_seconds", smallest > 0 ? Json(smallest) : Json()}};
}

void print_measured(const Json& found) {
  const auto number = [&](const char* name) { return found[name].get<double>(); };
  if (found["measured"] == "throughput") {
    std::printf("%llu tasks in %s: %s tasks/s, %s bytes/s each way\n", found["tasks"].get<unsigned long long>(),
                rounded(from_seconds(number("seconds"))).c_str(), rounded(number("tasks_per_second")).c_str(),
                rounded(number("bytes_per_second")).c_str());
  } else if (found["measured"] == "latency") {
    std::printf("%llu tasks, one at a time, submit to result\n", found["tasks"].get<unsigned long long>());
    for (const auto& [name, key] : {std::pair{"p50", "p50_seconds"}, {"p99", "p99_seconds"}, {"p99.9", "p999_seconds"}})
      std::printf("  %-6s %10.1f µs\n", name, number(key) * 1e6);
  } else {
    std::printf("  %12s %12s %8s\n", "task", "tasks", "useful");
    for (const Json& row : found["shares"])
      std::printf("  %9.2f µs %12llu %6.1f %%\n", row["task_seconds"].get<double>() * 1e6,
                  row["tasks"].get<unsigned long long>(), row["useful_share"].get<double>() * 100);
    if (found["metg_seconds"].is_null())
      std::printf("half of the time is not yet lost at the shortest\n");
    else
      std::printf("half of the time is useful from %.2f µs a task on, METG(50 %%)\n", number("metg_seconds") * 1e6);
  }
}

void print_text(const Json& found) {
  const Json& here = found["machine"];
  std::printf("%s over %s, slots: %llu", found["measured"].get<std::string>().c_str(),
              found["transport"].get<std::string>().c_str(), found["slots"].get<unsigned long long>());
  if (found.contains("bytes")) std::printf(", echo of %llu bytes", found["bytes"].get<unsigned long long>());
  std::printf("\n");
  print_measured(found);
  std::printf("on %s, processors: %u, load %.1f, %s; ventile %s, libzmq %s\n",
              here["processor"].get<std::string>().c_str(), here["processors"].get<unsigned>(),
              here["load"].get<double>(), here["system"].get<std::string>().c_str(), versions().program.c_str(),
              versions().libzmq.c_str());
}

std::string_view name_of(Transport transport) {
  return transport == Transport::tcp ? "tcp" : transport == Transport::ipc ? "ipc" : "inproc";
}

int measure(const std::string& what, const BenchCommand& command) {
  Console console{
      console_options(std::string{program}, command.common.quiet, command.common.verbose, command.common.json)};
  const std::uint32_t workers = command.workers.value_or(available_slots(Machine::here()).count);
  const Json here = machine();  // Before we are its load.
  LocalCluster cluster;
  std::optional<std::string> address;
  if (command.connect) {
    if (const Result<Keys> keys = open_keys(command.keys, {KeyRole::client}, console.log()); !keys) {
      console.error(ExitCode::usage, keys.error().message);
      return to_int(ExitCode::usage);
    }
    warn_if_open(console, *command.connect, {command.keys, command.insecure});
    address = command.connect->to_string();
  } else if (command.transport != Transport::inproc) {
    if (Status started = cluster.start(command.transport, workers); !started) {
      console.error(ExitCode::unreachable, started.error().message);
      return to_int(ExitCode::unreachable);
    }
    address = cluster.address();
  }
  TaskRegistry tasks;
  add_builtin_tasks(tasks);
  PoolOptions options{.threads = workers, .on_destruction = Shutdown::cancel, .log = console.log()};
  if (command.connect) options.keys = command.keys;
  Pool pool = address ? Pool{tasks, *address, std::move(options)} : Pool{tasks, std::move(options)};
  const std::uint64_t slots = wait_for_slots(pool, command.connect ? 0 : workers);
  if (slots == 0) {
    console.error(ExitCode::unreachable, "no worker at " + address.value_or("inproc") + " within 10 s",
                  "Start `ventile broker` and `ventile worker` there, or leave --connect out.");
    return to_int(ExitCode::unreachable);
  }
  cluster.close_door();
  const Extent extent{command.tasks.value_or(0), command.seconds};
  Json found = what == "throughput" ? throughput_document(pool, command, extent)
               : what == "latency"  ? latency_document(pool, command, extent)
                                    : overhead_document(pool, slots, extent);
  found["schema"] = 1;
  found["measured"] = what;
  found["transport"] = name_of(command.connect ? command.connect->transport : command.transport);
  found["slots"] = slots;
  if (what != "overhead") found["bytes"] = command.bytes;
  found["machine"] = here;
  found["versions"] = {{"ventile", versions().program}, {"libzmq", versions().libzmq}};
  if (command.common.json)
    std::printf("%s\n", found.dump().c_str());
  else
    print_text(found);
  return to_int(ExitCode::success);
}

}  // namespace

int run_bench(const Invocation& invocation) {
  std::vector<std::string> options = invocation.options;
  std::string what;
  if (!options.empty() && !options.front().starts_with('-')) {
    what = options.front();
    options.erase(options.begin());
  }
  const Parsed<BenchCommand> parsed = parse_bench_options(options, Surroundings::of_process(versions()));
  if (const auto* exit = std::get_if<ExitNow>(&parsed)) return say(*exit, std::string{program});
  const auto& command = std::get<BenchCommand>(parsed);
  if (what != "throughput" && what != "latency" && what != "overhead")
    return say(
        {ExitCode::usage,
         what.empty() ? "expected what to measure" : "expected throughput, latency or overhead, got \"" + what + "\"",
         std::string{usage}, command.common.json},
        std::string{program});
  try {
    return measure(what, command);
  } catch (const std::exception& problem) {
    return say({ExitCode::task_failed, problem.what(), {}, command.common.json}, std::string{program});
  }
}

}  // namespace ventile
