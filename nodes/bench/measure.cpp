#include <nodes/bench/measure.hpp>

#include <algorithm>
#include <cmath>
#include <ranges>
#include <stdexcept>
#include <string>

namespace ventile {
namespace {

constexpr std::uint64_t looks_at_clock_every = 256;  // Tasks.
constexpr std::uint64_t latencies_before = 100;      // Not measured: the first ones find everything cold.
constexpr double longest_task = 4.096e-3;            // Seconds.
constexpr std::uint32_t halvings_max = 14;           // To 0.25 µs: below, reading the clock is most of a task.
constexpr std::uint64_t tasks_min = 10;              // Of any length, per slot.

// Tasks 0, 1, … up to the extent.
auto numbers(const Extent& extent) {
  const TimePoint end = extent.tasks > 0 ? never : Clock::now() + extent.time;
  return std::views::iota(std::uint64_t{0}) | std::views::take_while([tasks = extent.tasks, end](std::uint64_t n) {
           if (tasks > 0) return n < tasks;
           return n == 0 || n % looks_at_clock_every != 0 || Clock::now() < end;
         });
}

UsefulShare share_at(Pool& pool, std::uint64_t slots, double task_seconds, const Extent& extent) {
  const double fitting = to_seconds(extent.time) * static_cast<double>(slots) / task_seconds;
  const auto tasks = extent.tasks > 0 ? extent.tasks : std::max(static_cast<std::uint64_t>(fitting), tasks_min * slots);
  const Task<void(double)> spin{"spin"};
  std::uint64_t done = 0;
  const TimePoint start = Clock::now();
  const double microseconds = task_seconds * 1e6;
  auto lengths = std::views::iota(std::uint64_t{0}, tasks) |
                 std::views::transform([microseconds](std::uint64_t) { return microseconds; });
  auto results = pool.map(spin, lengths);
  for (auto at = results.begin(); at != results.end(); ++at) {
    *at;
    ++done;
  }
  const double seconds = to_seconds(Clock::now() - start);
  if (done != tasks) throw std::runtime_error("results are missing");
  return {task_seconds, done, seconds,
          task_seconds * static_cast<double>(done) / (seconds * static_cast<double>(slots))};
}

}  // namespace

Throughput measure_throughput(Pool& pool, std::uint64_t bytes, const Extent& extent) {
  const std::string text(bytes, 'x');
  const Task<std::string(std::string)> echo{"echo"};
  std::uint64_t sent = 0;
  Throughput found;
  const TimePoint start = Clock::now();
  auto texts = numbers(extent) | std::views::transform([&](std::uint64_t n) -> const std::string& {
                 sent = n + 1;
                 return text;
               });
  for (const std::string& result : pool.map(echo, texts)) {
    ++found.tasks;
    found.bytes += result.size();
  }
  found.seconds = to_seconds(Clock::now() - start);
  if (found.tasks != sent || found.bytes != sent * bytes) throw std::runtime_error("results are missing");
  return found;
}

std::vector<double> measure_latency(Pool& pool, std::uint64_t bytes, const Extent& extent) {
  const std::string text(bytes, 'x');
  const Task<std::string(std::string)> echo{"echo"};
  const auto once = [&] {
    const TimePoint start = Clock::now();
    if (pool.submit(echo, text).get() != text) throw std::runtime_error("a result is not what was sent");
    return to_seconds(Clock::now() - start);
  };
  for (std::uint64_t i = 0; i < latencies_before; ++i) once();
  std::vector<double> seconds;
  const TimePoint end = Clock::now() + extent.time;
  while (extent.tasks > 0 ? seconds.size() < extent.tasks : Clock::now() < end) seconds.push_back(once());
  return seconds;
}

std::vector<UsefulShare> measure_overhead(Pool& pool, std::uint64_t slots, const Extent& extent) {
  std::vector<UsefulShare> shares;
  for (std::uint32_t halvings = 0; halvings <= halvings_max; ++halvings) {
    shares.push_back(share_at(pool, slots, std::ldexp(longest_task, -static_cast<int>(halvings)), extent));
    if (shares.back().useful < 0.5) break;
  }
  return shares;
}

double metg(const std::vector<UsefulShare>& shares) {
  if (shares.size() < 2 || shares.back().useful >= 0.5) return 0;
  const UsefulShare& above = shares[shares.size() - 2];
  const UsefulShare& below = shares.back();
  const double part = (above.useful - 0.5) / (above.useful - below.useful);
  return above.task_seconds * std::pow(below.task_seconds / above.task_seconds, part);
}

double quantile(std::vector<double> values, double part) {
  if (values.empty()) return 0;
  const auto at = std::min(static_cast<std::size_t>(part * static_cast<double>(values.size())), values.size() - 1);
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

}  // namespace ventile
