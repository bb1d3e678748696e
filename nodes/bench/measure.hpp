// What `ventile bench` measures, on any pool: only what every program can call is timed.
#pragma once

#include <cstdint>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/compute/pool.hpp>

namespace ventile {

// All below run functions that every worker has, and throw TaskError if a task fails and std::runtime_error if a
// result is missing or is not what it should be.

// A measurement ends after so many tasks or, if `tasks` is 0, after so much time.
struct Extent {
  std::uint64_t tasks = 0;
  Duration time = std::chrono::seconds{3};
};

struct Throughput {
  std::uint64_t tasks = 0;
  std::uint64_t bytes = 0;  // Of the results' text, in all.
  double seconds = 0;
};
// Maps `echo` over texts of so many bytes; the results are taken in order, counted and their sizes added up.
Throughput measure_throughput(Pool& pool, std::uint64_t bytes, const Extent& extent);

// Seconds of submit(echo, text).get(), one at a time; some that are not measured go first.
std::vector<double> measure_latency(Pool& pool, std::uint64_t bytes, const Extent& extent);

struct UsefulShare {
  double task_seconds = 0;
  std::uint64_t tasks = 0;
  double seconds = 0;
  double useful = 0;  // What the tasks were to take, over what the slots had: 1 is perfect.
};
// Maps `spin` at falling lengths of tasks until less than half of the slots' time is useful. `extent` is that of each.
// A task spins for its length of the processor's time: what others took from it meanwhile is not useful.
std::vector<UsefulShare> measure_overhead(Pool& pool, std::uint64_t slots, const Extent& extent);
// The smallest length of a task at which half of the time is useful, between the two measured ones on both sides of
// it; 0 if none was as small as that.
double metg(const std::vector<UsefulShare>& shares);

// The value below which that part of them lies; 0 of none.
double quantile(std::vector<double> values, double part);

}  // namespace ventile
