// How much of the cores' time is useful work, when nobody sets a chunk size?
//
// Two slots run tasks of a known length, with ventilator, worker and sink as threads or over tcp in one process. Beside
// each job runs the best that these cores can do with the same tasks: two threads that each do half of them in a plain
// loop and remember nothing. The useful share is that loop's time over ours.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "bench/fabric.hpp"

#include <ventile/base/clock.hpp>

namespace ventile::bench {
namespace {

constexpr std::uint32_t slots = 2;

// Nothing can be left out of it, and it touches no memory.
std::int64_t turn(std::int64_t value, std::uint64_t times) {
  auto x = static_cast<std::uint64_t>(value) | 1;
  for (std::uint64_t i = 0; i < times; ++i) {
    x = x * 6364136223846793005ULL + 1442695040888963407ULL;
    benchmark::DoNotOptimize(x);
  }
  return static_cast<std::int64_t>(x >> 40);
}

// Turns in a second while both cores turn; the best of three.
double turns_per_second() {
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    constexpr std::uint64_t times = 30'000'000;
    const TimePoint start = Clock::now();
    {
      const std::jthread other{[] { benchmark::DoNotOptimize(turn(1, times)); }};
      benchmark::DoNotOptimize(turn(2, times));
    }
    best = std::max(best, static_cast<double>(times) / to_seconds(Clock::now() - start));
  }
  return best;
}

using Length = std::function<std::uint64_t(std::int64_t)>;  // Of a task, in turns.

// The next task for whoever is free: the best that can be done with tasks of unknown lengths.
double plain_loop(std::uint64_t tasks, std::uint64_t chunk, const Length& length) {
  std::atomic<std::uint64_t> next{0};
  const auto work = [&] {
    std::int64_t sum = 0;
    for (std::uint64_t at = next.fetch_add(chunk); at < tasks; at = next.fetch_add(chunk))
      for (std::uint64_t i = at; i < std::min(at + chunk, tasks); ++i) {
        const auto number = static_cast<std::int64_t>(i);
        sum += turn(number, length(number));
      }
    benchmark::DoNotOptimize(sum);
  };
  const TimePoint start = Clock::now();
  {
    const std::jthread other{work};
    work();
  }
  return to_seconds(Clock::now() - start);
}

double fabric(bool tcp, std::uint64_t tasks, const std::string& fold, const Length& length) {
  const Endpoint bind = tcp ? Endpoint{Transport::tcp, "127.0.0.1", 0}
                            : Endpoint{Transport::inproc, "ventile-useful-" + std::to_string(getpid()), 0};
  return run_as_threads(
      bind, {.function = "work", .tasks = tasks, .fold = fold, .slots = slots, .work = [&length](std::int64_t number) {
               return turn(number, length(number));
             }});
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// Tasks of equal length for about `seconds` on two slots. Returns the median share of three.
double useful_share(bool tcp, double task_seconds, double seconds, double speed, const std::string& fold) {
  const auto times = std::max<std::uint64_t>(static_cast<std::uint64_t>(task_seconds * speed), 1);
  const auto tasks = static_cast<std::uint64_t>(seconds * slots / task_seconds);
  const Length length = [times](std::int64_t) { return times; };
  std::vector<double> shares;
  for (int round = 0; round < 3; ++round) {
    const double ideal = plain_loop(tasks, std::max<std::uint64_t>(tasks / 1000, 1), length);
    shares.push_back(ideal / fabric(tcp, tasks, fold, length));
  }
  return median(shares);
}

void share(benchmark::State& state, bool tcp, double task_seconds) {
  const double speed = turns_per_second();
  double found = 0;
  while (state.KeepRunning()) found = useful_share(tcp, task_seconds, 2, speed, {});
  state.counters["useful_share"] = found;
}

void once(benchmark::internal::Benchmark* benchmark) { benchmark->Iterations(1)->Unit(benchmark::kMillisecond); }

BENCHMARK_CAPTURE(share, inproc_100us, false, 100e-6)->Apply(once);
BENCHMARK_CAPTURE(share, inproc_1ms, false, 1e-3)->Apply(once);
BENCHMARK_CAPTURE(share, tcp_100us, true, 100e-6)->Apply(once);
BENCHMARK_CAPTURE(share, tcp_1ms, true, 1e-3)->Apply(once);

}  // namespace
}  // namespace ventile::bench

BENCHMARK_MAIN();
