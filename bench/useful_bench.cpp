// How much of the cores' time is useful work, when nobody sets a chunk size?
//
// Two slots run tasks of a known length, with ventilator, worker and sink as threads or over tcp in one process. Beside
// each job runs the best that these cores can do with the same tasks: two threads that each do half of them in a plain
// loop and remember nothing. The useful share is that loop's time over ours.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
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

// The smallest task at which half of the cores' time is useful, METG(50 %): lengths are halved until less is, and the
// answer lies between the last two, on logarithmic scales.
void metg(benchmark::State& state, bool tcp, const std::string& fold) {
  const double speed = turns_per_second();
  double found = 0;
  while (state.KeepRunning()) {
    double above = 1;
    double length = 16e-6;
    double share = useful_share(tcp, length, 0.5, speed, fold);
    while (share > 0.5 && length > 20e-9) {
      above = share;
      length /= 2;
      share = useful_share(tcp, length, 0.5, speed, fold);
    }
    found = share > 0.5 ? 0 : length * std::exp2((0.5 - share) / (above - share));
  }
  state.counters["metg_us"] = found * 1e6;  // 0: below 20 ns.
}

// Durations from a log-normal distribution between 1 us and 1 s. The best schedule is not known, but none ends before
// the longest task, nor before both cores have done half of all; the plain loop takes whatever is next.
void mixed(benchmark::State& state, bool tcp) {
  constexpr std::uint64_t tasks = 4'000;
  const double speed = turns_per_second();
  std::mt19937_64 random{5};
  std::lognormal_distribution<double> seconds{std::log(100e-6), 2.0};
  std::vector<double> lengths(tasks);
  for (double& each : lengths) each = std::clamp(seconds(random), 1e-6, 1.0);
  const double all = std::accumulate(lengths.begin(), lengths.end(), 0.0);
  const Length turns = [&](std::int64_t number) {
    return static_cast<std::uint64_t>(lengths[static_cast<std::size_t>(number)] * speed);
  };
  std::vector<double> ratios;
  double plain = 0;
  while (state.KeepRunning()) {
    for (int round = 0; round < 3; ++round) {
      plain = plain_loop(tasks, 1, turns);
      ratios.push_back(fabric(tcp, tasks, {}, turns) / plain);
    }
  }
  state.counters["ratio_to_plain_loop"] = median(ratios);
  state.counters["plain_loop_to_bound"] =
      plain / std::max(all / slots, *std::max_element(lengths.begin(), lengths.end()));
}

void once(benchmark::internal::Benchmark* benchmark) { benchmark->Iterations(1)->Unit(benchmark::kMillisecond); }

BENCHMARK_CAPTURE(share, inproc_100us, false, 100e-6)->Apply(once);
BENCHMARK_CAPTURE(share, inproc_1ms, false, 1e-3)->Apply(once);
BENCHMARK_CAPTURE(share, tcp_100us, true, 100e-6)->Apply(once);
BENCHMARK_CAPTURE(share, tcp_1ms, true, 1e-3)->Apply(once);
BENCHMARK_CAPTURE(metg, inproc, false, {})->Apply(once);
BENCHMARK_CAPTURE(metg, inproc_folded, false, "sum")->Apply(once);
BENCHMARK_CAPTURE(metg, tcp, true, {})->Apply(once);
BENCHMARK_CAPTURE(mixed, inproc, false)->Apply(once);
BENCHMARK_CAPTURE(mixed, tcp, true)->Apply(once);

}  // namespace
}  // namespace ventile::bench

BENCHMARK_MAIN();
