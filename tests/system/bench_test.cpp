// `ventile bench` as users start it: that its counts are exact and its output can be read, never how fast it is.
#include <csignal>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <tests/system/children.hpp>
#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class BenchTest : public SystemTest {
protected:
  nlohmann::json measure(Arguments arguments) {
    arguments.insert(arguments.begin(), "bench");
    arguments.emplace_back("--json");
    Process& bench = start("ventile", arguments);
    EXPECT_EQ(bench.wait(), 0) << bench.errors();
    nlohmann::json found = nlohmann::json::parse(bench.output(), nullptr, false);
    EXPECT_FALSE(found.is_discarded()) << bench.output();
    EXPECT_EQ(found["schema"], 1);
    EXPECT_GT(found["machine"]["processors"], 0);
    EXPECT_TRUE(found["versions"]["ventile"].is_string());
    return found;
  }
};

class OverTransport : public BenchTest, public testing::WithParamInterface<std::string> {};

TEST_P(OverTransport, throughput_counts_every_task_and_byte) {
  const nlohmann::json found =
      measure({"throughput", "--transport", GetParam(), "--workers", "2", "--bytes", "100", "--tasks", "3000"});
  EXPECT_EQ(found["tasks"], 3000);
  EXPECT_EQ(found["bytes_echoed"], 300'000);
  EXPECT_EQ(found["transport"], GetParam());
  EXPECT_EQ(found["slots"], 2);
  EXPECT_GT(found["tasks_per_second"], 0);
}

INSTANTIATE_TEST_SUITE_P(Every, OverTransport, testing::Values("inproc", "ipc", "tcp"),
                         [](const auto& transport) { return transport.param; });

TEST_F(BenchTest, latency_has_a_time_for_every_task) {
  const nlohmann::json found = measure({"latency", "--workers", "1", "--tasks", "200"});
  EXPECT_EQ(found["tasks"], 200);
  EXPECT_GT(found["p50_seconds"], 0);
  EXPECT_GE(found["p99_seconds"], found["p50_seconds"]);
  EXPECT_GE(found["p999_seconds"], found["p99_seconds"]);
}

TEST_F(BenchTest, overhead_runs_so_many_tasks_of_each_length) {
  const nlohmann::json found = measure({"overhead", "--workers", "1", "--tasks", "50"});
  ASSERT_FALSE(found["shares"].empty());
  for (const nlohmann::json& share : found["shares"]) {
    EXPECT_EQ(share["tasks"], 50);
    EXPECT_GT(share["useful_share"], 0);
    EXPECT_LE(share["useful_share"], 1);
  }
  EXPECT_EQ(found["tasks"], 50 * found["shares"].size());
}

TEST_F(BenchTest, a_broker_that_is_there_is_measured_with_the_workers_it_has) {
  Process& broker = start("ventile-broker", {"--bind", "tcp://127.0.0.1:0"});
  const std::string said = broker.line_with("serving clients and workers on ");
  const std::string address = said.substr(said.rfind(' ') + 1);
  start("ventile-worker", {"--connect", address, "-j", "2"});
  const nlohmann::json found = measure({"throughput", "--connect", address, "--tasks", "1000"});
  EXPECT_EQ(found["tasks"], 1000);
  EXPECT_EQ(found["slots"], 2);
}

TEST_F(BenchTest, people_get_a_table_with_machine_and_versions) {
  Process& bench = start("ventile", {"bench", "throughput", "--tasks", "1000"});
  EXPECT_EQ(bench.wait(), 0) << bench.errors();
  for (const char* part : {"throughput over inproc", "1000 tasks in ", "tasks/s", "processors: ", "libzmq "})
    EXPECT_NE(bench.output().find(part), std::string::npos) << bench.output();
}

// Its workers had finished what they had when they were told to end, for as long as 30 s.
TEST_F(BenchTest, its_processes_end_with_it_whatever_they_do) {
  for (const int signal : {SIGINT, SIGKILL}) {
    Process& bench =
        start("ventile", {"bench", "throughput", "--transport", "tcp", "--workers", "2", "--seconds", "600"});
    const std::vector<Witness> children = children_of(bench.pid(), 3);
    for (const Witness& child : children) child.signal(SIGSTOP);  // It hears nothing that it could put off.
    bench.signal(signal);
    for (const Witness& child : children) EXPECT_TRUE(child.sees_the_end()) << "a process outlives the measurement";
  }
}

TEST_F(BenchTest, what_it_does_not_measure_is_a_usage_error) {
  for (const Arguments& arguments : {Arguments{"bench"}, {"bench", "beauty"}, {"bench", "latency", "--frobnicate"}})
    EXPECT_EQ(start("ventile", arguments).wait(), 2);
}

}  // namespace
}  // namespace ventile
