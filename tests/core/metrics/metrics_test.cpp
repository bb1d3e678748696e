#include <ventile/metrics/metrics.hpp>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <ventile/metrics/exposition.hpp>

namespace ventile {
namespace {

TEST(MetricsTest, the_same_name_and_labels_are_the_same_metric) {
  Metrics metrics;
  Counter& first = metrics.counter("tasks_total", "Tasks.", {{"outcome", "done"}, {"kind", "map"}});
  EXPECT_EQ(&first, &metrics.counter("tasks_total", "Tasks.", {{"kind", "map"}, {"outcome", "done"}}));
  EXPECT_NE(&first, &metrics.counter("tasks_total", "Tasks.", {{"kind", "map"}, {"outcome", "failed"}}));
  EXPECT_NE(&first, &metrics.counter("tasks_total", "Tasks."));
}

TEST(MetricsTest, a_reference_is_valid_after_many_more_metrics) {
  Metrics metrics;
  Counter& first = metrics.counter("a_total", "A.");
  Gauge& depth = metrics.gauge("depth", "Depth.", {{"queue", "0"}});
  for (int i = 1; i < 1000; ++i) {
    metrics.counter("a" + std::to_string(i) + "_total", "A.");
    metrics.gauge("depth", "Depth.", {{"queue", std::to_string(i)}});
  }
  first.add(3);
  depth.set(4);
  EXPECT_EQ(metrics.counter("a_total", "A.").value(), 3U);
  EXPECT_EQ(metrics.gauge("depth", "Depth.", {{"queue", "0"}}).value(), 4);
}

TEST(MetricsTest, another_kind_or_help_of_a_known_name_is_refused) {
  Metrics metrics;
  metrics.counter("tasks_total", "Tasks.").add();
  EXPECT_THROW(metrics.gauge("tasks_total", "Tasks."), std::invalid_argument);
  EXPECT_THROW(metrics.counter("tasks_total", "Others."), std::invalid_argument);
  EXPECT_THROW(metrics.counter("tasks_total", "Others.", {{"outcome", "done"}}), std::invalid_argument);
  EXPECT_EQ(metrics.samples(), (std::vector<Sample>{{"tasks_total", "Tasks.", MetricKind::counter, {}, 1}}));
}

TEST(MetricsTest, names_that_prometheus_would_not_read_are_refused) {
  Metrics metrics;
  for (const char* name : {"", "0tasks", "Tasks", "tasks-total", "tasks total", "t\xc3\xa4sks", "tasks\n"})
    EXPECT_THROW(metrics.counter(name, "Tasks."), std::invalid_argument) << name;
  for (const char* label : {"", "0", "a:b", "A", "a-b"})
    EXPECT_THROW(metrics.gauge("depth", "Depth.", {{label, "x"}}), std::invalid_argument) << label;
  EXPECT_TRUE(metrics.samples().empty());
  EXPECT_NO_THROW(metrics.gauge("_job:depth0", "Depth.", {{"_a0", "x"}}));
}

TEST(MetricsTest, a_counter_follows_a_total_but_never_falls) {
  Counter counter;
  counter.raise_to(7);
  counter.raise_to(5);
  EXPECT_EQ(counter.value(), 7U);
  counter.add();
  EXPECT_EQ(counter.value(), 8U);
}

TEST(MetricsTest, no_increment_of_many_threads_is_lost) {
  constexpr int threads = 4;
  constexpr int rounds = 20'000;
  Metrics metrics;
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i)
    running.emplace_back([&] {
      Counter& counter = metrics.counter("rounds_total", "Rounds.");
      Gauge& gauge = metrics.gauge("rounds", "Rounds.");
      for (int round = 0; round < rounds; ++round) {
        counter.add();
        gauge.add(round % 2 == 0 ? 2 : -1);
      }
    });
  for (std::thread& thread : running) thread.join();
  EXPECT_EQ(metrics.counter("rounds_total", "Rounds.").value(), std::uint64_t{threads} * rounds);
  EXPECT_EQ(metrics.gauge("rounds", "Rounds.").value(), threads * rounds / 2);
}

TEST(MetricsTest, metrics_that_were_made_together_share_no_cache_line) {
  Metrics metrics;
  for (const char* label : {"a", "b", "c"}) {
    const Counter& counter = metrics.counter("tasks_total", "Tasks.", {{"outcome", label}});
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&counter) % cache_line_bytes, 0U);
  }
  EXPECT_EQ(sizeof(Counter), cache_line_bytes);
  EXPECT_EQ(sizeof(Gauge), cache_line_bytes);
}

TEST(ExpositionTest, no_metrics_are_no_text) { EXPECT_EQ(exposition(Metrics{}), ""); }

TEST(ExpositionTest, each_name_has_one_heading_and_everything_is_sorted) {
  Metrics metrics;
  metrics.counter("tasks_total", "Tasks.", {{"outcome", "failed"}}).add();
  metrics.gauge("depth", "Depth.").set(-2);
  metrics.counter("tasks_total", "Tasks.", {{"outcome", "done"}}).add(1'000'000);
  EXPECT_EQ(exposition(metrics),
            "# HELP depth Depth.\n"
            "# TYPE depth gauge\n"
            "depth -2\n"
            "# HELP tasks_total Tasks.\n"
            "# TYPE tasks_total counter\n"
            "tasks_total{outcome=\"done\"} 1000000\n"
            "tasks_total{outcome=\"failed\"} 1\n");
}

TEST(ExpositionTest, labels_and_help_are_escaped_each_in_its_way) {
  Metrics metrics;
  metrics.gauge("info", "A \"quoted\" back\\slash\nand a line.", {{"a", "\"\\\n"}, {"b", "\xc3\xa4{},="}}).set(1);
  EXPECT_EQ(exposition(metrics),
            "# HELP info A \"quoted\" back\\\\slash\\nand a line.\n"
            "# TYPE info gauge\n"
            "info{a=\"\\\"\\\\\\n\",b=\"\xc3\xa4{},=\"} 1\n");
}

TEST(ExpositionTest, every_value_is_written_as_prometheus_reads_it) {
  const auto written = [](double value) {
    Metrics metrics;
    metrics.gauge("g", "G.").set(value);
    const std::string text = exposition(metrics);
    return text.substr(text.find("\ng ") + 3);
  };
  constexpr double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(written(0), "0\n");
  EXPECT_EQ(written(0.1), "0.1\n");
  EXPECT_EQ(written(9007199254740992.0), "9007199254740992\n");
  EXPECT_EQ(written(1e300), "1e+300\n");
  EXPECT_EQ(written(infinity), "+Inf\n");
  EXPECT_EQ(written(-infinity), "-Inf\n");
  EXPECT_EQ(written(std::numeric_limits<double>::quiet_NaN()), "NaN\n");
}

}  // namespace
}  // namespace ventile
