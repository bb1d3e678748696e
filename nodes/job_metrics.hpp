// A job's figures as metrics.
#pragma once

#include <nodes/task_metrics.hpp>
#include <ventile/queue/ventilator.hpp>

namespace ventile {

class JobMetrics {
public:
  explicit JobMetrics(const Versions& versions);

  void update(const JobStatus& status);
  const Metrics& metrics() const { return metrics_; }

private:
  Metrics metrics_;
  TaskMetrics tasks_;
  Counter& duplicate_;
  Counter& batches_requeued_;
  Gauge& workers_gone_;
};

}  // namespace ventile
