// Does it matter to the tasks per second how many workers are connected?
//
// Ventilator and sink are processes of their own, as are the workers: two with one worker each, or ten with a hundred
// each, on threads of their own, every one with its own session and connections over tcp. The clock starts when all are
// there.
#include <benchmark/benchmark.h>
#include <signal.h>
#include <sys/prctl.h>

#include <algorithm>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <ventile/base/memory.hpp>

#include "bench/fabric.hpp"

namespace ventile::bench {
namespace {

constexpr int rounds = 3;
const Endpoint bind{Transport::tcp, "127.0.0.1", 0};

Endpoint parsed(const std::string& address) {
  Result<Endpoint> endpoint = Endpoint::parse(address);
  if (!endpoint) throw std::runtime_error(endpoint.error().message);
  return *endpoint;
}

double median(std::vector<JobRate> rates, double JobRate::*which) {
  std::sort(rates.begin(), rates.end(), [which](const JobRate& a, const JobRate& b) { return a.*which < b.*which; });
  return rates[rates.size() / 2].*which;
}

void many_workers(benchmark::State& state, const FabricJob& job) {
  const auto workers = static_cast<std::uint32_t>(state.range(0));
  std::vector<JobRate> two;
  std::vector<JobRate> many;
  for (auto _ : state) {
    two.push_back(run_with_workers(bind, job, {.processes = 2, .workers_each = 1}));
    many.push_back(run_with_workers(bind, job, {.processes = 10, .workers_each = workers / 10}));
    state.SetIterationTime(many.back().seconds);
  }
  state.counters["tasks_per_s"] = median(many, &JobRate::per_second);
  state.counters["of_2_workers"] = median(two, &JobRate::per_second);
  state.counters["ratio_to_2_workers"] = median(many, &JobRate::per_second) / median(two, &JobRate::per_second);
  state.counters["ratio_of_whole_jobs"] = median(two, &JobRate::seconds) / median(many, &JobRate::seconds);
}

void apply(benchmark::internal::Benchmark* benchmark) {
  benchmark->Arg(100)->Arg(1'000)->Iterations(rounds)->UseManualTime()->Unit(benchmark::kMillisecond);
}

// Batches of one size, whatever the number of workers. Two of them get 16,000 echoes at once, 500,000 indices and
// 5,000,000 folded ones; smaller batches cost a thousand workers more than two.
BENCHMARK_CAPTURE(many_workers, index_in_equal_batches,
                  FabricJob{.function = "index", .tasks = 500'000'000, .batch = 180'000})
    ->Apply(apply);
BENCHMARK_CAPTURE(many_workers, echo_in_equal_batches,
                  FabricJob{.function = "echo", .tasks = 200'000'000, .batch = 16'000})
    ->Apply(apply);
BENCHMARK_CAPTURE(many_workers, echo_in_small_batches,
                  FabricJob{.function = "echo", .tasks = 100'000'000, .batch = 4'000})
    ->Apply(apply);
BENCHMARK_CAPTURE(many_workers, fold_in_equal_batches,
                  FabricJob{.function = "index", .tasks = 6'000'000'000, .fold = "sum", .batch = 1'000'000})
    ->Apply(apply);
// As the dispatcher sizes them.
BENCHMARK_CAPTURE(many_workers, index, FabricJob{.function = "index", .tasks = 100'000'000})->Apply(apply);
BENCHMARK_CAPTURE(many_workers, echo, FabricJob{.function = "echo", .tasks = 20'000'000})->Apply(apply);

// Tasks that wait for something else, 10 ms each: how many batches of one task can be told out and taken in?
void nap(benchmark::State& state) {
  const FabricJob job{.function = "nap", .tasks = 100'000};
  const auto workers = static_cast<std::uint32_t>(state.range(0));
  double seconds = 0;
  for (auto _ : state) {
    const double taken = run_with_workers(bind, job, {.processes = 10, .workers_each = workers / 10}).seconds;
    seconds += taken;
    state.SetIterationTime(taken);
  }
  const double each = seconds / static_cast<double>(state.iterations());
  state.counters["tasks_per_s"] = static_cast<double>(job.tasks) / each;
  state.counters["utilisation"] = static_cast<double>(job.tasks) * 0.010 / (each * workers);
}
BENCHMARK(nap)->Apply(apply);

void run_role(const std::vector<std::string>& words) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // Nobody outlives the benchmark.
  if (words.at(0) == "workers")
    return run_workers(parsed(words.at(1)), static_cast<std::uint32_t>(std::stoul(words.at(2))),
                       [] { std::cout << "ready" << std::endl; });
  run_ventilator(parsed(words.at(1)),
                 {.function = words.at(2),
                  .tasks = std::stoull(words.at(3)),
                  .bytes = std::stoull(words.at(4)),
                  .batch = std::stoull(words.at(5))},
                 [](const Endpoint& bound) { std::cout << bound.to_string() << std::endl; });
}

}  // namespace
}  // namespace ventile::bench

int main(int argc, char** argv) {
  ventile::keep_freed_memory();
  if (argc > 2 && std::string{argv[1]} == "--role") {
    ventile::bench::run_role({argv + 2, argv + argc});
    return 0;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
}
