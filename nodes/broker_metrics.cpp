#include <nodes/broker_metrics.hpp>

#include <numeric>

#include <nodes/versions.hpp>

namespace ventile {
namespace {

constexpr Duration interval = std::chrono::seconds{1};

}  // namespace

BrokerMetrics::BrokerMetrics(const Versions& versions)
    : tasks_(metrics_, versions),
      clients_(metrics_.gauge("ventile_clients", "Clients that are connected.")),
      jobs_(metrics_.gauge("ventile_jobs", "Jobs that are open.")),
      jobs_closed_(metrics_.counter("ventile_jobs_closed_total", "Jobs that are over.")) {}

void BrokerMetrics::update(const Report& report) {
  TaskFigures figures{.finished = report.outcomes, .refused = report.refused, .workers = report.workers.size()};
  for (const JobState& job : report.jobs) {
    figures.waiting += job.queued + job.delayed;
    figures.in_flight += job.leased + job.awaiting;
    for (std::size_t i = 0; i < outcome_count; ++i) figures.finished[i] += job.outcomes[i];
  }
  figures.submitted = std::accumulate(figures.finished.begin(), figures.finished.end(), std::uint64_t{0}) +
                      figures.waiting + figures.in_flight;
  tasks_.update(figures);
  clients_.set(static_cast<double>(report.clients.size()));
  jobs_.set(static_cast<double>(report.jobs.size()));
  jobs_closed_.raise_to(report.jobs_closed);
}

BrokerMetricsFile::BrokerMetricsFile(Reactor& reactor, const Broker& broker, const std::string& path, const Log& log)
    : reactor_(reactor), broker_(broker), metrics_(versions()), file_(path, log) {
  if (!path.empty()) write();
}

BrokerMetricsFile::~BrokerMetricsFile() { reactor_.cancel(timer_); }

void BrokerMetricsFile::write() {
  metrics_.update(broker_.report());
  file_.write(metrics_.metrics());
  timer_ = reactor_.call_at(reactor_.now() + interval, [this] { write(); });
}

}  // namespace ventile
