// The figures that every dispatcher has, whether it serves one job or many.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <nodes/settings.hpp>
#include <ventile/metrics/metrics.hpp>
#include <ventile/queue/refusals.hpp>
#include <ventile/wire/outcome.hpp>

namespace ventile {

// The tasks submitted are always those in the queue, those in flight and those finished.
struct TaskFigures {
  std::uint64_t submitted = 0;
  std::uint64_t waiting = 0;    // For a worker, or for their next try.
  std::uint64_t in_flight = 0;  // A worker has them, or their outcome is not confirmed.
  std::array<std::uint64_t, outcome_count> finished{};
  RefusalCounts::Counts refused{};  // Messages, by reason.
  std::size_t workers = 0;          // Connected now.
};

// Adds its metrics to `metrics`, which outlives it.
class TaskMetrics {
public:
  TaskMetrics(Metrics& metrics, const Versions& versions);

  void update(const TaskFigures& figures);

private:
  Counter& submitted_;
  std::array<Counter*, outcome_count> finished_;
  std::array<Counter*, refusal_reasons> messages_refused_;
  Gauge& queue_depth_;
  Gauge& in_flight_;
  Gauge& workers_connected_;
};

// Workers in one state, "connected" or "gone".
Gauge& workers_gauge(Metrics& metrics, const char* state);

}  // namespace ventile
