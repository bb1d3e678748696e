// `ventile broker --durable`: killed at any moment and started again with the same command, it has every open job.
#include <csignal>
#include <string>
#include <vector>

#include <tests/system/cluster.hpp>

namespace ventile {
namespace {

constexpr std::int64_t tasks = 1000;

class DurableBrokerTest : public ClusterTest {
protected:
  DurableBrokerTest() { address = "tcp://127.0.0.1:" + std::to_string(free_port()); }

  Process& start_broker() { return start("ventile-broker", {"--bind", address, "--durable", path("state")}); }
  Process& serving_broker() {
    Process& broker = start_broker();
    broker.line_with("serving clients and workers on ");
    return broker;
  }
  void start_workers(int count) {
    for (int i = 0; i < count; ++i)
      start("ventile-worker", {"--connect", address, "-j", "1", "--plugin", SYSTEM_PLUGIN});
  }
  Process& start_holding_map(const Gate& gate) {
    std::string lines;
    for (std::int64_t i = 0; i < tasks; ++i) lines += std::to_string(i) + "\n";
    return start_map({"--input", write("tasks", lines), "--function", "hold", "--args", gate.arguments(),
                      "--output-format", "raw", "--json"});
  }
  static void expect_whole(Process& map) {
    EXPECT_EQ(map.wait(), 0) << map.errors();
    const Summary summary = summary_in(map.errors());
    EXPECT_EQ(summary.done, 1000U);
    EXPECT_EQ(summary.lost, 0U);
    EXPECT_EQ(summary.counted_twice, 0U);
    std::vector<std::string> expected;
    for (std::int64_t i = 0; i < tasks; ++i) expected.push_back(std::to_string(i));
    EXPECT_EQ(lines_of_text(map.output()), expected);
  }
};

TEST_F(DurableBrokerTest, one_that_is_killed_resumes_its_jobs) {
  Process& first = serving_broker();
  start_workers(2);
  Gate gate{path("gate")};
  gate.mark(700);
  Process& map = start_holding_map(gate);
  gate.next();
  first.kill();
  first.wait();
  Process& second = start_broker();
  EXPECT_NE(second.line_with("resumed 1 job from "), "");
  gate.open(700);
  expect_whole(map);
}

TEST_F(DurableBrokerTest, one_that_is_told_to_stop_resumes_its_jobs) {
  Process& first = serving_broker();
  start_workers(2);
  Gate gate{path("gate")};
  gate.mark(700);
  Process& map = start_holding_map(gate);
  gate.next();
  first.signal(SIGTERM);
  EXPECT_EQ(first.wait(), 0);
  EXPECT_NE(first.errors().find("on the disk: start the broker again to go on"), std::string::npos) << first.errors();
  Process& second = start_broker();
  EXPECT_NE(second.line_with("resumed 1 job from "), "");
  gate.open(700);
  expect_whole(map);
}

TEST_F(DurableBrokerTest, one_that_is_killed_with_all_its_workers_resumes_its_jobs) {
  Process& broker = serving_broker();
  Process& worker = start("ventile-worker", {"--connect", address, "-j", "1", "--plugin", SYSTEM_PLUGIN});
  Gate gate{path("gate")};
  gate.mark(700);
  Process& map = start_holding_map(gate);
  gate.next();
  worker.kill();
  broker.kill();
  worker.wait();
  broker.wait();
  gate.open(700);
  EXPECT_NE(start_broker().line_with("resumed 1 job from "), "");
  start_workers(1);
  expect_whole(map);
}

// As of a ventilator: the third death is the last, and the broker of the first two is gone.
TEST_F(DurableBrokerTest, how_often_a_task_has_killed_outlives_the_broker) {
  Process& first = serving_broker();
  Gate gate{path("gate")};
  gate.mark(5);
  Process& map =
      start_map({"--input", write("tasks", "5\n"), "--function", "hold", "--args", gate.arguments(), "--json"});
  const auto start_one = [this]() -> Process& {
    return start("ventile-worker", {"--connect", address, "-j", "1", "--plugin", SYSTEM_PLUGIN});
  };
  die_in_the_midst(gate, 5, start_one, first);
  die_in_the_midst(gate, 5, start_one, first);
  Process& third = worker_in_the_midst(gate, 5, start_one);
  first.kill();
  first.wait();
  third.kill();
  third.wait();
  Process& second = start_broker();
  EXPECT_NE(second.line_with("resumed 1 job from "), "");
  die_in_the_midst(gate, 5, start_one, second);
  EXPECT_EQ(map.wait(), 1) << map.errors();
  EXPECT_EQ(summary_in(map.errors()).dead, 1U);
}

TEST_F(DurableBrokerTest, a_job_that_is_over_is_not_resumed) {
  Process& first = serving_broker();
  start_workers(1);
  Process& map = start_map({"--range", "0:10", "--function", "index"});
  EXPECT_EQ(map.wait(), 0) << map.errors();
  first.kill();
  first.wait();
  Process& second = serving_broker();
  EXPECT_EQ(second.errors().find("resumed"), std::string::npos) << second.errors();
}

TEST_F(DurableBrokerTest, its_journal_can_be_looked_into_and_belongs_to_one_broker) {
  Process& first = serving_broker();
  Process& second = start("ventile-broker", {"--bind", "tcp://127.0.0.1:0", "--durable", path("state")});
  EXPECT_EQ(second.wait(), 3);
  EXPECT_NE(second.errors().find(path("state") + "/broker"), std::string::npos) << second.errors();
  first.kill();
  first.wait();
  for (const char* const what : {"inspect", "verify", "repair"}) {
    Process& look = start("ventile", {"journal", what, path("state") + "/broker"});
    EXPECT_EQ(look.wait(), 0) << look.errors();
  }
  Process& inspect = start("ventile", {"journal", "inspect", path("state") + "/broker"});
  EXPECT_EQ(inspect.wait(), 0);
  EXPECT_NE(inspect.output().find("journal of a broker"), std::string::npos) << inspect.output();
}

TEST_F(DurableBrokerTest, up_resumes_the_jobs_of_its_broker) {
  Gate gate{path("gate")};
  gate.mark(700);
  const Arguments arguments{"-w", "1", "-j", "1", "--plugin", SYSTEM_PLUGIN, "--durable", path("state")};
  Process& first = start_up(arguments);
  Process& map = start_holding_map(gate);
  gate.next();
  first.kill();
  first.wait();
  gate.open(700);
  Process& second = start_up(arguments);
  EXPECT_NE(second.errors().find("resumed 1 job from "), std::string::npos) << second.errors();
  expect_whole(map);
}

}  // namespace
}  // namespace ventile
