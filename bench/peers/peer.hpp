// What every program of bench/compare has in common: the task, the clock, and how it is asked.
//
//   PEER throughput TASKS NANOSECONDS   runs TASKS tasks of so much work on two workers; prints the seconds it took
//   PEER latency TASKS                  one task at a time; prints the median round trip in microseconds
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <vector>

namespace peer {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline std::uint64_t churn(std::uint64_t value, std::uint64_t rounds) {
  for (std::uint64_t i = 0; i < rounds; ++i) value = value * 6364136223846793005U + 1442695040888963407U;
  return value;
}

// Rounds of churn() in a nanosecond. A task is so many rounds, not so much time: who is preempted in it has not worked.
inline double rounds_per_nanosecond() {
  static const double rate = [] {
    double best = 0;
    volatile std::uint64_t sink = 0;
    for (int i = 0; i < 9; ++i) {
      const auto start = Clock::now();
      sink = churn(static_cast<std::uint64_t>(i), 1'000'000);
      best = std::max(best, 1'000'000 / (seconds_since(start) * 1e9));
    }
    return best;
  }();
  return rate;
}

// The task: takes its number and how many rounds to work, returns the number.
inline std::uint64_t task(std::uint64_t number, std::uint64_t rounds) {
  if (rounds == 0) return number;
  volatile std::uint64_t sink = churn(number, rounds);
  (void)sink;
  return number;
}

// Sum of all results, to be sure that each came.
inline std::uint64_t sum_below(std::uint64_t count) { return count * (count - 1) / 2; }

struct Peer {
  std::function<std::uint64_t(std::uint64_t tasks, std::uint64_t rounds)> all;  // Returns the sum of the results.
  std::function<void()> one;
};

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

inline int run(int argc, char** argv, const Peer& peer) {
  if (argc < 3) fail("usage: PEER throughput TASKS NANOSECONDS | latency TASKS");
  const std::uint64_t tasks = std::strtoull(argv[2], nullptr, 10);
  if (std::strcmp(argv[1], "throughput") == 0) {
    const double nanoseconds = argc > 3 ? std::strtod(argv[3], nullptr) : 0;
    const auto rounds = static_cast<std::uint64_t>(nanoseconds * (nanoseconds > 0 ? rounds_per_nanosecond() : 0));
    peer.all(std::min<std::uint64_t>(tasks, 1000), rounds);  // To be warm.
    const auto start = Clock::now();
    const std::uint64_t sum = peer.all(tasks, rounds);
    const double seconds = seconds_since(start);
    if (sum != sum_below(tasks)) fail("not every result came");
    std::printf("%.9f\n", seconds);
    return 0;
  }
  std::vector<double> times;
  for (std::uint64_t i = 0; i < tasks; ++i) {
    const auto start = Clock::now();
    peer.one();
    times.push_back(seconds_since(start) * 1e6);
  }
  std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
  std::printf("%.3f\n", times[times.size() / 2]);
  return 0;
}

}  // namespace peer
