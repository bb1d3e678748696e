// Who comes when, over what, and in which order results leave.
#include <algorithm>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class EveryStartOrder : public SystemTest, public testing::WithParamInterface<const char*> {};

TEST_P(EveryStartOrder, leads_to_the_same_results) {
  address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process* ventilator = nullptr;
  Process* sink = nullptr;
  for (const char role : std::string{GetParam()}) {
    if (role == 'v') {
      ventilator = &start_ventilator({"--range", "0:1000", "--function", "index"});
    } else if (role == 'w') {
      start_worker().line_with("working for");
    } else {
      sink = &start_sink();
      sink->line_with("collecting for");
    }
  }
  EXPECT_EQ(exact_summary(*ventilator).done, 1000U);
  EXPECT_EQ(sink->wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
}

INSTANTIATE_TEST_SUITE_P(SixWays, EveryStartOrder, testing::Values("vws", "vsw", "wvs", "wsv", "svw", "swv"),
                         [](const auto& order) { return std::string{order.param}; });

TEST_F(SystemTest, a_worker_that_joins_late_takes_what_is_queued_behind_a_busy_one) {
  Gate gate{path("gate")};
  gate.mark(3);
  Process& ventilator = start_ventilator({"--range", "0:100", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink({"--format", "raw"});
  const Process& first = start_worker();
  EXPECT_EQ(gate.next().worker, first.pid());
  start_worker();
  sink.output_lines(99);
  gate.open(3);
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 100U);
  EXPECT_EQ(summary.workers_seen, 2U);
}

TEST_F(SystemTest, a_worker_told_to_work_once_leaves_with_the_job) {
  Process& ventilator = start_ventilator({"--range", "0:10", "--function", "index"});
  Process& worker = start_worker({"-j", "1", "--once"});
  start_sink();
  EXPECT_EQ(exact_summary(ventilator).done, 10U);
  EXPECT_EQ(worker.wait(), 0);
}

TEST_F(SystemTest, a_sink_and_a_worker_that_stay_serve_the_next_job_at_the_address) {
  address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& sink = start_sink({"--stay", "--output", path("results"), "--format", "raw"});
  Process& worker = start_worker();
  EXPECT_EQ(exact_summary(start_ventilator({"--range", "0:500", "--function", "index"})).done, 500U);
  EXPECT_EQ(exact_summary(start_ventilator({"--range", "500:1000", "--function", "index"})).done, 500U);
  sink.signal(SIGTERM);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_TRUE(worker.running());
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
}

TEST_F(SystemTest, a_function_that_no_worker_has_is_named_on_both_sides) {
  Process& ventilator = start_ventilator({"--range", "0:10", "--function", "fetch_the_moon"});
  start_sink();
  Process& worker = start_worker();
  EXPECT_NE(ventilator.line_with("has the function 'fetch_the_moon'"), "");
  EXPECT_NE(worker.line_with("fetch_the_moon"), "");
}

TEST_F(SystemTest, whoever_waits_says_for_whom_and_where) {
  address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& worker = start_worker();
  Process& sink = start_sink();
  EXPECT_NE(worker.line_with("waiting for a dispatcher at " + address_), "");
  EXPECT_NE(sink.line_with("waiting for the dispatcher at " + address_), "");
}

TEST_F(SystemTest, a_ventilator_says_that_it_waits_for_a_sink_and_then_for_a_worker) {
  Process& ventilator = start_ventilator({"--range", "0:10", "--function", "index"});
  EXPECT_NE(ventilator.line_with("no sink has connected"), "");
  start_sink();
  EXPECT_NE(ventilator.line_with("no worker has connected"), "");
}

TEST_F(SystemTest, ordered_output_is_in_order_though_tasks_end_out_of_order) {
  Gate gate{path("gate")};
  gate.mark(0);
  gate.mark(15'000);
  Process& ventilator = start_ventilator({"--range", "0:20000", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink({"--format", "raw", "--ordered"});
  for (int i = 0; i < 4; ++i) start_worker();
  const std::int64_t one = gate.next().number;
  EXPECT_EQ(one + gate.next().number, 15'000) << "a task far behind has begun while the first one runs";
  gate.open(15'000);
  gate.open(0);
  EXPECT_EQ(exact_summary(ventilator).done, 20'000U);
  EXPECT_EQ(sink.wait(), 0);
  std::string expected;
  for (int number = 0; number < 20'000; ++number) expected += std::to_string(number) + "\n";
  EXPECT_EQ(sink.output(), expected);
}

class EveryFold : public SystemTest, public testing::WithParamInterface<std::pair<const char*, const char*>> {};

TEST_P(EveryFold, of_many_workers_results_is_one_value) {
  Process& ventilator = start_ventilator({"--range", "1:100001", "--function", "index"});
  Process& sink = start_sink({"--format", "raw", "--fold", GetParam().first});
  for (int i = 0; i < 3; ++i) start_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 100'000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sink.output(), std::string{GetParam().second} + "\n");
}

INSTANTIATE_TEST_SUITE_P(Named, EveryFold,
                         testing::Values(std::pair{"sum", "5000050000"}, std::pair{"min", "1"},
                                         std::pair{"max", "100000"}, std::pair{"count", "100000"}),
                         [](const auto& fold) { return std::string{fold.param.first}; });

class EveryTransport : public SystemTest, public testing::WithParamInterface<const char*> {};

TEST_P(EveryTransport, gives_the_same_output) {
  std::string lines;
  std::string expected;
  for (int number = 0; number < 5000; ++number) {
    lines += "{\"n\":" + std::to_string(number) + "}\n";
    expected += R"({"task":)" + std::to_string(number) + R"(,"outcome":"done","value":{"n":)" + std::to_string(number) +
                R"(},"tries":1})" + "\n";
  }
  Process& map = start(
      "ventile", {"map", "--function", "echo", "--input", write("input", lines), "-j", "2", "--transport", GetParam()});
  EXPECT_EQ(map.wait(), 0);
  EXPECT_EQ(map.output(), expected);
}

INSTANTIATE_TEST_SUITE_P(OfMap, EveryTransport, testing::Values("inproc", "ipc", "tcp"),
                         [](const auto& transport) { return std::string{transport.param}; });

}  // namespace
}  // namespace ventile
