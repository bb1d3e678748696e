// A broker's figures as metrics, kept in a file.
#pragma once

#include <string>

#include <nodes/metrics_file.hpp>
#include <nodes/task_metrics.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/broker.hpp>

namespace ventile {

// Of all clients' jobs together: those that are open and, in what only grows, those that are over.
class BrokerMetrics {
public:
  explicit BrokerMetrics(const Versions& versions);

  void update(const Report& report);
  const Metrics& metrics() const { return metrics_; }

private:
  Metrics metrics_;
  TaskMetrics tasks_;
  Gauge& clients_;
  Gauge& jobs_;
  Counter& jobs_closed_;
};

// Writes them to `path` every second, if that is not empty, as long as it lives. On the broker's reactor's thread.
class BrokerMetricsFile {
public:
  BrokerMetricsFile(Reactor& reactor, const Broker& broker, const std::string& path, const Log& log);
  ~BrokerMetricsFile();
  BrokerMetricsFile(const BrokerMetricsFile&) = delete;
  BrokerMetricsFile& operator=(const BrokerMetricsFile&) = delete;

private:
  Reactor& reactor_;
  const Broker& broker_;
  BrokerMetrics metrics_;
  MetricsFile file_;
  TimerId timer_;

  void write();
};

}  // namespace ventile
