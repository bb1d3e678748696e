// What a node counts about itself. Each node owns its Metrics; there is no registry of the process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ventile {

// Two metrics that different threads write never share a line of the cache.
inline constexpr std::size_t cache_line_bytes = 64;

// Only grows. Thread-safe; orders nothing else in memory.
class alignas(cache_line_bytes) Counter {
public:
  Counter() = default;
  Counter(const Counter&) = delete;
  Counter& operator=(const Counter&) = delete;

  void add(std::uint64_t count = 1) { value_.fetch_add(count, std::memory_order_relaxed); }
  // Follows a total that is kept elsewhere. A total below the value is an old one, and changes nothing.
  void raise_to(std::uint64_t total);
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> value_{0};
};

// Goes up and down. Thread-safe; orders nothing else in memory.
class alignas(cache_line_bytes) Gauge {
public:
  Gauge() = default;
  Gauge(const Gauge&) = delete;
  Gauge& operator=(const Gauge&) = delete;

  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double change) { value_.fetch_add(change, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

private:
  std::atomic<double> value_{0};
};

enum class MetricKind : std::uint8_t { counter, gauge };

using Labels = std::map<std::string, std::string, std::less<>>;  // Name to value; a value may be any UTF-8.

// The value of one metric at one moment.
struct Sample {
  std::string name;
  std::string help;
  MetricKind kind = MetricKind::counter;
  Labels labels;
  double value = 0;

  bool operator==(const Sample&) const = default;
};

// Thread-safe. Neither copies nor moves: the references it gives are valid as long as it lives.
class Metrics {
public:
  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The metric of this name and these labels, made at its first mention. Takes a lock: ask once, then keep the
  // reference. Throws std::invalid_argument for a name outside [a-z_:][a-z0-9_:]*, a label's name outside
  // [a-z_][a-z0-9_]*, and a name that is already there as another kind or with another help.
  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});

  // All of them, by name and then by labels. Each value is read once; they are not of one instant.
  std::vector<Sample> samples() const;

private:
  template <class Metric>
  using Series = std::map<Labels, Metric>;
  struct Family {
    std::string help;
    std::variant<Series<Counter>, Series<Gauge>> series;
  };

  mutable std::mutex mutex_;
  std::map<std::string, Family, std::less<>> families_;

  template <class Metric>
  Metric& find_or_make(std::string_view name, std::string_view help, const Labels& labels);
};

}  // namespace ventile
