// A job's figures as metrics.
#pragma once

#include <array>

#include <nodes/settings.hpp>
#include <ventile/metrics/metrics.hpp>
#include <ventile/queue/ventilator.hpp>

namespace ventile {

// The tasks submitted are always those in the queue, those in flight and those finished.
class JobMetrics {
public:
  explicit JobMetrics(const Versions& versions);

  void update(const JobStatus& status);
  const Metrics& metrics() const { return metrics_; }

private:
  Metrics metrics_;
  Counter& submitted_;
  std::array<Counter*, outcome_count> finished_;
  Counter& duplicate_;
  Counter& batches_requeued_;
  Counter& messages_refused_;
  Gauge& queue_depth_;
  Gauge& in_flight_;
  Gauge& workers_connected_;
  Gauge& workers_gone_;
};

}  // namespace ventile
