#include <nodes/job_metrics.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nodes/broker_metrics.hpp>
#include <nodes/metrics_file.hpp>
#include <tests/nodes/temporary_folder.hpp>
#include <ventile/metrics/exposition.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using namespace std::chrono_literals;

const Versions some_versions{"1.2.3", "1", "4.3.4"};

// A job in the middle: no two figures that are equal, so that none can stand in for another.
JobStatus some_status() {
  JobStatus status;
  status.audit = {.submitted = 1111,
                  .queued = 10,
                  .delayed = 20,
                  .leased = 300,
                  .awaiting = 400,
                  .outcomes = {301, 42, 13, 14, 5, 6}};
  status.counters.duplicates = 8;
  status.counters.requeued_batches = 9;
  status.workers = 3;
  status.workers_seen = 7;
  status.refused.count(RefusedFor::out_of_place, 11);
  return status;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(JobMetricsTest, every_figure_of_the_status_is_published_under_its_name) {
  JobMetrics job{some_versions};
  job.update(some_status());
  std::string values;
  std::istringstream lines{exposition(job.metrics())};
  for (std::string line; std::getline(lines, line);)
    if (!line.starts_with('#')) values += line + '\n';
  EXPECT_EQ(values,
            "ventile_batches_requeued_total 9\n"
            "ventile_build_info{libzmq=\"4.3.4\",protocol=\"1\",version=\"1.2.3\"} 1\n"
            "ventile_messages_refused_total{reason=\"forged\"} 0\n"
            "ventile_messages_refused_total{reason=\"malformed\"} 0\n"
            "ventile_messages_refused_total{reason=\"out_of_place\"} 11\n"
            "ventile_messages_refused_total{reason=\"over_limit\"} 0\n"
            "ventile_messages_refused_total{reason=\"revoked\"} 0\n"
            "ventile_messages_refused_total{reason=\"unauthorized\"} 0\n"
            "ventile_messages_refused_total{reason=\"version\"} 0\n"
            "ventile_queue_depth 30\n"
            "ventile_tasks_duplicate_total 8\n"
            "ventile_tasks_finished_total{outcome=\"cancelled\"} 6\n"
            "ventile_tasks_finished_total{outcome=\"dead\"} 13\n"
            "ventile_tasks_finished_total{outcome=\"done\"} 301\n"
            "ventile_tasks_finished_total{outcome=\"expired\"} 5\n"
            "ventile_tasks_finished_total{outcome=\"failed\"} 42\n"
            "ventile_tasks_finished_total{outcome=\"lost\"} 14\n"
            "ventile_tasks_in_flight 700\n"
            "ventile_tasks_submitted_total 1111\n"
            "ventile_workers{state=\"connected\"} 3\n"
            "ventile_workers{state=\"gone\"} 4\n");
}

TEST(JobMetricsTest, a_second_status_replaces_the_first_and_is_not_added) {
  JobMetrics job{some_versions};
  job.update(some_status());
  JobStatus later = some_status();
  later.audit.submitted = 1112;
  later.audit.queued = 0;
  job.update(later);
  EXPECT_THAT(exposition(job.metrics()), HasSubstr("\nventile_tasks_submitted_total 1112\n"));
  EXPECT_THAT(exposition(job.metrics()), HasSubstr("\nventile_queue_depth 20\n"));
}

TEST(JobMetricsTest, a_worker_that_is_back_before_its_old_session_has_closed_is_not_gone) {
  JobMetrics job{some_versions};
  JobStatus status = some_status();
  status.workers = 2;
  status.workers_seen = 1;
  job.update(status);
  EXPECT_THAT(exposition(job.metrics()), HasSubstr("\nventile_workers{state=\"gone\"} 0\n"));
}

TEST(BrokerMetricsTest, open_jobs_and_those_that_are_over_add_up) {
  Report report;
  report.clients.resize(2);
  report.workers.resize(3);
  report.jobs_closed = 7;
  report.outcomes = {1000, 200, 0, 0, 0, 0};
  report.refused = {0, 0, 0, 0, 11, 0};
  report.jobs = {{.submitted = 90, .queued = 40, .delayed = 5, .leased = 20, .awaiting = 10, .outcomes = {15}},
                 {.submitted = 8, .queued = 6, .leased = 1, .outcomes = {0, 1}}};
  BrokerMetrics broker{some_versions};
  broker.update(report);
  const std::string text = exposition(broker.metrics());
  for (const char* line :
       {"ventile_clients 2", "ventile_jobs 2", "ventile_jobs_closed_total 7",
        "ventile_messages_refused_total{reason=\"forged\"} 11", "ventile_queue_depth 51", "ventile_tasks_in_flight 31",
        "ventile_tasks_finished_total{outcome=\"done\"} 1015", "ventile_tasks_finished_total{outcome=\"failed\"} 201",
        "ventile_tasks_submitted_total 1298", "ventile_workers{state=\"connected\"} 3"})
    EXPECT_THAT(text, HasSubstr("\n" + std::string{line} + "\n"));
}

class MetricsFileTest : public testing::Test {
protected:
  TemporaryFolder folder;
  std::vector<std::string> said;
  Log log{[this](Level level, std::string_view line) {
    EXPECT_EQ(level, Level::error);
    said.emplace_back(line);
  }};
  Metrics metrics;
  Gauge& gauge = metrics.gauge("depth", "Depth.");
  const TimePoint start{1h};
};

TEST_F(MetricsFileTest, the_file_is_refreshed_once_a_second_and_written_whenever_asked) {
  const auto path = folder.path() / "job.prom";
  MetricsFile file{path.string(), log};
  file.refresh(metrics, start);
  gauge.set(1);
  file.refresh(metrics, start + 999ms);
  EXPECT_THAT(text_of(path), HasSubstr("\ndepth 0\n"));
  file.refresh(metrics, start + 1s);
  EXPECT_THAT(text_of(path), HasSubstr("\ndepth 1\n"));
  gauge.set(2);
  file.write(metrics);
  EXPECT_EQ(text_of(path), exposition(metrics));
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".tmp"));
  EXPECT_TRUE(said.empty());
}

TEST_F(MetricsFileTest, a_reader_that_has_the_file_open_keeps_what_it_began_to_read) {
  const auto path = folder.path() / "job.prom";
  MetricsFile file{path.string(), log};
  file.write(metrics);
  std::ifstream reader{path};
  gauge.set(1);
  file.write(metrics);
  const std::string read{std::istreambuf_iterator<char>{reader}, {}};
  EXPECT_THAT(read, HasSubstr("\ndepth 0\n"));
}

TEST_F(MetricsFileTest, a_file_that_cannot_be_written_is_named_once) {
  const std::string path = (folder.path() / "missing" / "job.prom").string();
  MetricsFile file{path, log};
  file.refresh(metrics, start);
  file.refresh(metrics, start + 1s);
  file.write(metrics);
  EXPECT_THAT(said, ElementsAre("cannot write the metrics to " + path + ": No such file or directory"));
}

}  // namespace
}  // namespace ventile
