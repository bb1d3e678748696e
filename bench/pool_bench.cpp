// How the pool compares with oneTBB and with raw threads, in the same run. Without libtbb-dev the comparison is left
// out.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#ifdef VENTILE_HAVE_TBB
#include <tbb/blocked_range.h>
#include <tbb/global_control.h>
#include <tbb/parallel_reduce.h>
#include <tbb/task_group.h>
#endif

#include <ventile/ventile.hpp>

#include "bench/raw_chain.hpp"

namespace {

constexpr std::uint32_t threads = 2;
constexpr std::int64_t tasks_each = 1'000'000;

std::int64_t identity(std::int64_t n) { return n; }

struct Tasks {
  ventile::TaskRegistry registry;
  ventile::Task<std::int64_t(std::int64_t)> identity_task = registry.add("identity", identity);
};

void pool_map(benchmark::State& state) {
  Tasks tasks;
  ventile::Pool pool{tasks.registry, {.threads = threads}};
  std::vector<std::int64_t> values(tasks_each);
  std::iota(values.begin(), values.end(), 1'000'000'000'000);
  std::int64_t sum = 0;
  for (auto _ : state)
    for (const std::int64_t n : pool.map(tasks.identity_task, values)) sum += n;
  benchmark::DoNotOptimize(sum);
  state.SetItemsProcessed(state.iterations() * tasks_each);
}
BENCHMARK(pool_map)->UseRealTime()->Unit(benchmark::kMillisecond);

void pool_for_index_reduced(benchmark::State& state) {
  Tasks tasks;
  ventile::Pool pool{tasks.registry, {.threads = threads}};
  constexpr std::int64_t count = 20 * tasks_each;
  for (auto _ : state) benchmark::DoNotOptimize(pool.for_index(tasks.identity_task, 0, count, std::plus<>{}));
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(pool_for_index_reduced)->UseRealTime()->Unit(benchmark::kMillisecond);

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// One task at a time, against raw messages as overhead_bench defines them: the same hops over inproc, and the thread
// that waits for the result is woken by the one that has it.
void pool_submit_get(benchmark::State& state) {
  constexpr int rounds = 5;
  constexpr std::size_t count = 2000;
  std::vector<double> raw;
  std::vector<double> ours;
  for (auto _ : state) {
    for (int round = 0; round < rounds; ++round) {
      const std::string name = "inproc://lone-" + std::to_string(round);
      for (const double seconds : ventile::bench::raw_lone_tasks(name + "-router", name + "-pull", count))
        raw.push_back(seconds);
      Tasks tasks;
      ventile::Pool pool{tasks.registry, {.threads = threads}};
      for (std::size_t i = 0; i < count; ++i) {
        const auto start = std::chrono::steady_clock::now();
        benchmark::DoNotOptimize(pool.submit(tasks.identity_task, 1).get());
        ours.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      }
    }
  }
  state.counters["raw_microseconds"] = 1e6 * median(raw);
  state.counters["microseconds"] = 1e6 * median(ours);
  state.counters["ratio_to_raw"] = median(ours) / median(raw);
}
BENCHMARK(pool_submit_get)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

#ifdef VENTILE_HAVE_TBB
void tbb_task_group(benchmark::State& state) {
  const tbb::global_control limit{tbb::global_control::max_allowed_parallelism, threads};
  std::vector<std::int64_t> results(tasks_each);
  for (auto _ : state) {
    tbb::task_group group;
    for (std::int64_t n = 0; n < tasks_each; ++n)
      group.run([&results, n] { results[static_cast<std::size_t>(n)] = identity(n); });
    group.wait();
  }
  state.SetItemsProcessed(state.iterations() * tasks_each);
}
BENCHMARK(tbb_task_group)->UseRealTime()->Unit(benchmark::kMillisecond);

void tbb_parallel_reduce_grain_1(benchmark::State& state) {
  const tbb::global_control limit{tbb::global_control::max_allowed_parallelism, threads};
  constexpr std::int64_t count = 20 * tasks_each;
  for (auto _ : state)
    benchmark::DoNotOptimize(tbb::parallel_reduce(
        tbb::blocked_range<std::int64_t>(0, count, 1), std::int64_t{0},
        [](const tbb::blocked_range<std::int64_t>& range, std::int64_t sum) {
          for (std::int64_t n = range.begin(); n != range.end(); ++n) sum += identity(n);
          return sum;
        },
        std::plus<>{}, tbb::simple_partitioner{}));
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(tbb_parallel_reduce_grain_1)->UseRealTime()->Unit(benchmark::kMillisecond);
#endif

}  // namespace

BENCHMARK_MAIN();
