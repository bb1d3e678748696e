#include <nodes/job_metrics.hpp>

#include <algorithm>

namespace ventile {

JobMetrics::JobMetrics(const Versions& versions)
    : tasks_(metrics_, versions),
      duplicate_(metrics_.counter("ventile_tasks_duplicate_total", "Results that the sink had already, and dropped.")),
      batches_requeued_(metrics_.counter("ventile_batches_requeued_total",
                                         "Batches taken back from workers with tasks still open in them.")),
      workers_gone_(workers_gauge(metrics_, "gone")) {}

void JobMetrics::update(const JobStatus& status) {
  const Audit& audit = status.audit;
  tasks_.update({.submitted = audit.submitted,
                 .waiting = audit.queued + audit.delayed,
                 .in_flight = audit.leased + audit.awaiting,
                 .finished = audit.outcomes,
                 .refused = status.refused.by_reason(),
                 .workers = status.workers});
  duplicate_.raise_to(status.counters.duplicates);
  batches_requeued_.raise_to(status.counters.requeued_batches);
  // A worker that comes back before its old session is closed is connected twice and seen once.
  workers_gone_.set(static_cast<double>(status.workers_seen - std::min(status.workers_seen, status.workers)));
}

}  // namespace ventile
