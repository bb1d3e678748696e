// A file of metrics for the textfile collector of Prometheus' node exporter.
#pragma once

#include <string>

#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/metrics/metrics.hpp>

namespace ventile {

// Whoever reads the file finds it whole: it is written beside itself, as FILE.tmp, and renamed. A failure is logged
// once and otherwise ignored, since the work matters more than its figures. Not thread-safe.
class MetricsFile {
public:
  MetricsFile(std::string path, Log log);

  // Writes, unless that was done less than a second before `now`.
  void refresh(const Metrics& metrics, TimePoint now);
  void write(const Metrics& metrics);

private:
  std::string path_;
  Log log_;
  TimePoint next_ = TimePoint::min();
  bool failure_said_ = false;
};

}  // namespace ventile
