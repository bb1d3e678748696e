#include <nodes/task_metrics.hpp>

#include <string>

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

std::array<Counter*, refusal_reasons> refused_counters(Metrics& metrics) {
  std::array<Counter*, refusal_reasons> counters{};
  for (std::size_t i = 0; i < refusal_reasons; ++i)
    counters[i] = &metrics.counter("ventile_messages_refused_total", "Messages that were not taken, by reason.",
                                   {{"reason", RefusalCounts::key(i)}});
  return counters;
}

}  // namespace

Gauge& workers_gauge(Metrics& metrics, const char* state) {
  return metrics.gauge("ventile_workers", "Workers that have joined: connected now, or gone.", {{"state", state}});
}

TaskMetrics::TaskMetrics(Metrics& metrics, const Versions& versions)
    : submitted_(metrics.counter("ventile_tasks_submitted_total", "Tasks that were submitted.")),
      finished_(finished_counters(metrics)),
      messages_refused_(refused_counters(metrics)),
      queue_depth_(metrics.gauge("ventile_queue_depth", "Tasks that wait for a worker or for their next try.")),
      in_flight_(metrics.gauge("ventile_tasks_in_flight",
                               "Tasks that a worker has, or whose outcome the sink has not confirmed.")),
      workers_connected_(workers_gauge(metrics, "connected")) {
  metrics
      .gauge("ventile_build_info", "Always 1; the labels say what runs.",
             {{"version", versions.program}, {"protocol", versions.protocol}, {"libzmq", versions.libzmq}})
      .set(1);
}

void TaskMetrics::update(const TaskFigures& figures) {
  submitted_.raise_to(figures.submitted);
  for (std::size_t i = 0; i < outcome_count; ++i) finished_[i]->raise_to(figures.finished[i]);
  for (std::size_t i = 0; i < refusal_reasons; ++i) messages_refused_[i]->raise_to(figures.refused[i]);
  queue_depth_.set(static_cast<double>(figures.waiting));
  in_flight_.set(static_cast<double>(figures.in_flight));
  workers_connected_.set(static_cast<double>(figures.workers));
}

}  // namespace ventile
