#include <nodes/job_metrics.hpp>

#include <algorithm>
#include <string>

#include <ventile/wire/outcome.hpp>

namespace ventile {
namespace {

std::array<Counter*, outcome_count> finished_counters(Metrics& metrics) {
  std::array<Counter*, outcome_count> counters{};
  for (std::size_t i = 0; i < outcome_count; ++i) {
    const std::string outcome{to_string(static_cast<Outcome>(i))};
    counters[i] =
        &metrics.counter("ventile_tasks_finished_total", "Tasks that have their outcome.", {{"outcome", outcome}});
  }
  return counters;
}

Gauge& workers_gauge(Metrics& metrics, const std::string& state) {
  return metrics.gauge("ventile_workers", "Workers that have joined: connected now, or gone.", {{"state", state}});
}

}  // namespace

JobMetrics::JobMetrics(const Versions& versions)
    : submitted_(metrics_.counter("ventile_tasks_submitted_total", "Tasks read from the input.")),
      finished_(finished_counters(metrics_)),
      duplicate_(metrics_.counter("ventile_tasks_duplicate_total", "Results that the sink had already, and dropped.")),
      batches_requeued_(metrics_.counter("ventile_batches_requeued_total",
                                         "Batches taken back from workers with tasks still open in them.")),
      messages_refused_(
          metrics_.counter("ventile_messages_refused_total", "Messages that were malformed or out of place.")),
      queue_depth_(metrics_.gauge("ventile_queue_depth", "Tasks that wait for a worker or for their next try.")),
      in_flight_(metrics_.gauge("ventile_tasks_in_flight",
                                "Tasks that a worker has, or whose outcome the sink has not confirmed.")),
      workers_connected_(workers_gauge(metrics_, "connected")),
      workers_gone_(workers_gauge(metrics_, "gone")) {
  metrics_
      .gauge("ventile_build_info", "Always 1; the labels say what runs.",
             {{"version", versions.program}, {"protocol", versions.protocol}, {"libzmq", versions.libzmq}})
      .set(1);
}

void JobMetrics::update(const JobStatus& status) {
  const Audit& audit = status.audit;
  submitted_.raise_to(audit.submitted);
  for (std::size_t i = 0; i < outcome_count; ++i) finished_[i]->raise_to(audit.outcomes[i]);
  duplicate_.raise_to(status.counters.duplicates);
  batches_requeued_.raise_to(status.counters.requeued_batches);
  messages_refused_.raise_to(status.refused);
  queue_depth_.set(static_cast<double>(audit.queued + audit.delayed));
  in_flight_.set(static_cast<double>(audit.leased + audit.awaiting));
  workers_connected_.set(static_cast<double>(status.workers));
  // A worker that comes back before its old session is closed is connected twice and seen once.
  workers_gone_.set(static_cast<double>(status.workers_seen - std::min(status.workers_seen, status.workers)));
}

}  // namespace ventile
