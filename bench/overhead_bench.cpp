// What does it cost to remember everything, compared with bare libzmq that remembers nothing?
//
// Ventile's ventilator, worker and sink move tasks of 32 bytes beside the same three roles over bare libzmq, turn by
// turn in one run, best of five each: only their ratio means something on another machine.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <ventile/base/memory.hpp>

#include "bench/child.hpp"
#include "bench/fabric.hpp"
#include "bench/raw_chain.hpp"

namespace ventile::bench {
namespace {

constexpr int rounds = 5;
constexpr std::uint64_t tasks = 5'000'000;
constexpr std::uint64_t index_tasks = 300'000'000;

// Tasks a second that tuned code over bare libzmq was seen to move on the reference machine.
double raw_floor(Transport transport) {
  switch (transport) {
    case Transport::inproc:
      return 5.2e6;
    case Transport::ipc:
      return 3.3e6;
    case Transport::tcp:
      break;
  }
  return 2.65e6;
}

Endpoint endpoint(Transport transport, const std::string& name) {
  const std::string unique = "ventile-bench-" + name + '-' + std::to_string(getpid());
  if (transport == Transport::inproc) return {transport, unique, 0};
  if (transport == Transport::ipc) return {transport, "/tmp/" + unique, 0};
  return {transport, "127.0.0.1", 0};
}

// libzmq's own way to ask for any port.
std::string raw_address(const Endpoint& endpoint) {
  return endpoint.transport == Transport::tcp ? "tcp://127.0.0.1:*" : endpoint.to_string();
}

double quantile(std::vector<double> seconds, double share) {
  const auto at = seconds.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(seconds.size() - 1));
  std::nth_element(seconds.begin(), at, seconds.end());
  return *at;
}

double raw_chain_of_threads(Transport transport, const RawJob& job) {
  RawContext context;
  std::jthread worker;
  std::jthread ventilator;
  return raw_sink(context, raw_address(endpoint(transport, "sink")), job, [&](const std::string& sink) {
    worker = std::jthread{[&, sink] {
      raw_worker(context, raw_address(endpoint(transport, "worker")), sink, job, [&](const std::string& bound) {
        ventilator = std::jthread{[&, bound] { raw_ventilator(context, bound, job); }};
      });
    }};
  });
}

double raw_chain_of_processes(Transport transport, const RawJob& job) {
  RawContext context;
  std::optional<Child> worker;
  std::optional<Child> ventilator;
  const std::string count = std::to_string(job.tasks);
  const std::string bytes = std::to_string(job.bytes);
  return raw_sink(context, raw_address(endpoint(transport, "sink")), job, [&](const std::string& sink) {
    worker.emplace(
        std::vector<std::string>{"raw-worker", raw_address(endpoint(transport, "worker")), sink, count, bytes});
    ventilator.emplace(std::vector<std::string>{"raw-ventilator", worker->line(), count, bytes});
  });
}

void side_by_side(benchmark::State& state, Transport transport, const FabricJob& job, const RawJob& raw_job = {tasks}) {
  const bool threads = transport == Transport::inproc;
  double raw = std::numeric_limits<double>::max();
  std::vector<double> ventile;
  for (auto _ : state) {
    raw =
        std::min(raw, threads ? raw_chain_of_threads(transport, raw_job) : raw_chain_of_processes(transport, raw_job));
    const Endpoint bind = endpoint(transport, "ventilator");
    const double taken = threads ? run_as_threads(bind, job) : run_as_processes(bind, job);
    ventile.push_back(taken);
    state.SetIterationTime(taken);
  }
  const double raw_rate = static_cast<double>(raw_job.tasks) / raw;
  const double rate = static_cast<double>(job.tasks) / quantile(ventile, 0.5);
  state.counters["raw_tasks_per_s"] = raw_rate;
  state.counters["tasks_per_s"] = rate;
  state.counters["ratio_to_raw"] = rate / raw_rate;
  if (raw_job.bytes == task_bytes && raw_rate < raw_floor(transport))
    state.SetLabel("raw is below its floor: a slow or busy machine");
}

void echo(benchmark::State& state, Transport transport) {
  side_by_side(state, transport, {.function = "echo", .tasks = tasks});
}

// Bandwidth: bytes_per_s counts a task's bytes once, though they go over two hops. Over inproc libzmq passes a pointer
// to the same bytes again and again, and we write, copy and check them.
void large(benchmark::State& state, Transport transport, std::size_t bytes) {
  constexpr std::size_t all = std::size_t{1} << 30;
  side_by_side(state, transport, {.function = "echo", .tasks = all / bytes, .bytes = bytes}, {all / bytes, bytes});
  state.counters["bytes_per_s"] = state.counters["tasks_per_s"] * static_cast<double>(bytes);
}

void index_without_fold(benchmark::State& state, Transport transport) {
  side_by_side(state, transport, {.function = "index", .tasks = index_tasks / 10});
}

void index_with_fold(benchmark::State& state, Transport transport) {
  side_by_side(state, transport, {.function = "index", .tasks = index_tasks, .fold = "sum"});
}

void apply(benchmark::internal::Benchmark* benchmark) {
  benchmark->Iterations(rounds)->UseManualTime()->Unit(benchmark::kMillisecond);
}

BENCHMARK_CAPTURE(echo, inproc, Transport::inproc)->Apply(apply);
BENCHMARK_CAPTURE(echo, ipc, Transport::ipc)->Apply(apply);
BENCHMARK_CAPTURE(echo, tcp, Transport::tcp)->Apply(apply);
BENCHMARK_CAPTURE(large, inproc_64K, Transport::inproc, std::size_t{64} << 10)->Apply(apply);
BENCHMARK_CAPTURE(large, ipc_64K, Transport::ipc, std::size_t{64} << 10)->Apply(apply);
BENCHMARK_CAPTURE(large, tcp_64K, Transport::tcp, std::size_t{64} << 10)->Apply(apply);
BENCHMARK_CAPTURE(large, inproc_1M, Transport::inproc, std::size_t{1} << 20)->Apply(apply);
BENCHMARK_CAPTURE(large, ipc_1M, Transport::ipc, std::size_t{1} << 20)->Apply(apply);
BENCHMARK_CAPTURE(large, tcp_1M, Transport::tcp, std::size_t{1} << 20)->Apply(apply);
BENCHMARK_CAPTURE(index_without_fold, inproc, Transport::inproc)->Apply(apply);
BENCHMARK_CAPTURE(index_with_fold, inproc, Transport::inproc)->Apply(apply);
BENCHMARK_CAPTURE(index_with_fold, tcp, Transport::tcp)->Apply(apply);

// --- One at a time: the latency of a lone task -------------------------------------------------------------------

constexpr std::size_t lone_tasks = 5'000;

// Ventile's side has one hand-over more than the raw one: from the thread that reads the input.
void lone_task(benchmark::State& state, Transport transport) {
  std::vector<double> raw;
  std::vector<double> ventile;
  for (auto _ : state) {
    raw = raw_lone_tasks(raw_address(endpoint(transport, "router")), raw_address(endpoint(transport, "pull")),
                         lone_tasks);
    ventile = run_one_by_one(endpoint(transport, "ventilator"), lone_tasks);
    state.SetIterationTime(quantile(ventile, 0.5));
  }
  state.counters["raw_p50_us"] = quantile(raw, 0.5) * 1e6;
  state.counters["raw_p99_us"] = quantile(raw, 0.99) * 1e6;
  state.counters["p50_us"] = quantile(ventile, 0.5) * 1e6;
  state.counters["p99_us"] = quantile(ventile, 0.99) * 1e6;
  state.counters["ratio_to_raw"] = quantile(ventile, 0.5) / quantile(raw, 0.5);
  state.counters["ratio_to_raw_p99"] = quantile(ventile, 0.99) / quantile(raw, 0.99);
}

void once(benchmark::internal::Benchmark* benchmark) {
  benchmark->Iterations(1)->UseManualTime()->Unit(benchmark::kMicrosecond);
}

BENCHMARK_CAPTURE(lone_task, inproc, Transport::inproc)->Apply(once);
BENCHMARK_CAPTURE(lone_task, ipc, Transport::ipc)->Apply(once);
BENCHMARK_CAPTURE(lone_task, tcp, Transport::tcp)->Apply(once);

// --- Roles of this program ---------------------------------------------------------------------------------------

Endpoint parsed(const std::string& address) {
  Result<Endpoint> endpoint = Endpoint::parse(address);
  if (!endpoint) throw std::runtime_error(endpoint.error().message);
  return *endpoint;
}

void run_role(const std::vector<std::string>& words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // Nobody outlives the benchmark.
  const auto announce = [](const std::string& address) { std::cout << address << std::endl; };
  const std::string& role = words.at(0);
  if (role == "raw-ventilator")
    return raw_ventilator(RawContext{}, words.at(1), {std::stoull(words.at(2)), std::stoull(words.at(3))});
  if (role == "raw-worker")
    return raw_worker(RawContext{}, words.at(1), words.at(2), {std::stoull(words.at(3)), std::stoull(words.at(4))},
                      announce);
  if (role == "worker") return run_worker(parsed(words.at(1)));
  run_ventilator(parsed(words.at(1)),
                 {.function = words.at(2), .tasks = std::stoull(words.at(3)), .bytes = std::stoull(words.at(4))},
                 [&](const Endpoint& bound) { announce(bound.to_string()); });
}

}  // namespace
}  // namespace ventile::bench

int main(int argc, char** argv) {
  ventile::keep_freed_memory();  // Of both sides.
  if (argc > 2 && std::string{argv[1]} == "--role") {
    ventile::bench::run_role({argv + 2, argv + argc});
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
