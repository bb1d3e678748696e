// `ventile map --connect`: a function of a broker's workers over an input.
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <tests/system/cluster.hpp>

namespace ventile {
namespace {

class BrokerMapTest : public ClusterTest {
protected:
  // With the plugin.
  Process& start_up() { return ClusterTest::start_up({"-w", "2", "-j", "1", "--plugin", SYSTEM_PLUGIN}); }

  // The map has ended with this code and this account, with nothing lost or counted twice.
  static Summary exact(Process& map, int code = 0) {
    EXPECT_EQ(map.wait(), code) << map.errors();
    Summary summary = summary_in(map.errors());
    EXPECT_EQ(summary.lost, 0U);
    EXPECT_EQ(summary.counted_twice, 0U);
    EXPECT_EQ(summary.settled, summary.submitted);
    return summary;
  }
  static std::vector<std::string> in_order(std::int64_t count) {
    std::vector<std::string> lines;
    for (std::int64_t i = 0; i < count; ++i) lines.push_back(std::to_string(i));
    return lines;
  }
};

TEST_F(BrokerMapTest, results_are_in_the_order_of_their_tasks) {
  start_up();
  Process& map = start_map({"--range", "0:20000", "--function", "index", "--output-format", "raw", "--json"});
  const Summary summary = exact(map);
  EXPECT_EQ(summary.done, 20'000U);
  EXPECT_GE(summary.workers_seen, 1U);
  EXPECT_EQ(lines_of_text(map.output()), in_order(20'000));
}

TEST_F(BrokerMapTest, results_may_come_as_they_come) {
  start_up();
  Process& map = start_map({"--range", "0:20000", "--function", "index", "--output-format", "raw", "--no-ordered"});
  EXPECT_EQ(map.wait(), 0) << map.errors();
  std::vector<std::string> lines = lines_of_text(map.output());
  std::sort(lines.begin(), lines.end());
  EXPECT_EQ(lines, numbers_below(20'000));
}

// One format, one exit code, one summary: where the function ran is not to be seen.
TEST_F(BrokerMapTest, it_says_what_a_map_on_this_machine_says) {
  start_up();
  const std::string input = write("input", "1\n\"two\"\n[3]\n4\n");
  const Arguments arguments{"--function", "index", "--input", input, "--json"};
  Process& there = start_map(arguments);
  Arguments local = arguments;
  local.insert(local.begin(), "map");
  Process& here = start("ventile", local);
  EXPECT_EQ(there.wait(), here.wait());
  EXPECT_EQ(there.output(), here.output());
  const Summary remote = summary_in(there.errors());
  EXPECT_EQ(remote.submitted, 4U);
  EXPECT_EQ(remote.failed, summary_in(here.errors()).failed);
  EXPECT_EQ(remote.failures, summary_in(here.errors()).failures);
}

TEST_F(BrokerMapTest, results_are_combined_by_the_workers_if_asked) {
  start_up();
  Process& map = start_map({"--range", "0:100000", "--function", "index", "--fold", "sum", "--json"});
  EXPECT_EQ(exact(map).done, 100'000U);
  EXPECT_EQ(map.output(), "{\"fold\":4999950000,\"tasks\":100000}\n");
}

TEST_F(BrokerMapTest, a_plugin_brings_the_reducer_that_makes_the_last_step) {
  start_up();
  Process& map = start_map(
      {"--range", "0:100000", "--function", "index", "--fold", "largest", "--plugin", SYSTEM_PLUGIN, "--json"});
  EXPECT_EQ(exact(map).done, 100'000U);
  EXPECT_EQ(map.output(), "{\"fold\":99999,\"tasks\":100000}\n");
}

TEST_F(BrokerMapTest, a_command_runs_on_workers_that_have_one) {
  ClusterTest::start_up({"-w", "1", "--exec", "printf <%s>"});
  Process& map = start_map({"--function", "exec", "--format", "lines", "--input", write("input", "a\nb\n")});
  EXPECT_EQ(map.wait(), 0) << map.errors();
  EXPECT_NE(map.output().find("<a>"), std::string::npos) << map.output();
  EXPECT_NE(map.output().find("<b>"), std::string::npos) << map.output();
}

TEST_F(BrokerMapTest, the_inputs_of_failed_tasks_are_kept_for_another_run) {
  start_up();
  Process& map = start_map(
      {"--function", "index", "--input", write("input", "1\n\"two\"\n[3]\n"), "--failed", path("failed"), "--json"});
  EXPECT_EQ(exact(map, 1).failed, 2U);
  EXPECT_EQ(read_file(path("failed")), "\"two\"\n[3]\n");
}

TEST_F(BrokerMapTest, a_job_is_halted_by_its_rule) {
  start_up();
  Gate gate{path("gate")};
  gate.mark(1);
  Pipe pipe;
  Process& map =
      start_map({"--function", "hold", "--args", gate.arguments(), "--halt", "now,done=1", "--json"}, pipe.reader());
  pipe.write("1\n");
  gate.next();
  pipe.write("2\n");
  const Summary summary = exact(map, 5);
  EXPECT_EQ(summary.done, 1U);
  EXPECT_EQ(summary.cancelled, 1U);
}

TEST_F(BrokerMapTest, tasks_of_a_worker_that_is_killed_are_run_by_another) {
  start_up();
  Gate gate{path("gate")};
  gate.mark(500);
  Process& map = start_map(
      {"--range", "0:1000", "--function", "hold", "--args", gate.arguments(), "--output-format", "raw", "--json"});
  kill(gate.next().worker, SIGKILL);
  EXPECT_EQ(exact(map).done, 1000U);
  EXPECT_EQ(lines_of_text(map.output()), in_order(1000));
}

// Whatever the broker knew is gone; the client has it all.
TEST_F(BrokerMapTest, a_broker_that_is_killed_and_comes_back_costs_neither_a_task_nor_a_result_twice) {
  Process& broker = start("ventile-broker", {"--bind", "tcp://127.0.0.1:" + std::to_string(free_port())});
  const std::string said = broker.line_with("serving clients and workers on ");
  address = said.substr(said.rfind(' ') + 1);
  for (int i = 0; i < 2; ++i) start("ventile-worker", {"--connect", address, "-j", "1", "--plugin", SYSTEM_PLUGIN});
  Gate gate{path("gate")};
  gate.mark(700);
  Process& map = start_map(
      {"--range", "0:1000", "--function", "hold", "--args", gate.arguments(), "--output-format", "raw", "--json"});
  gate.next();
  broker.kill();
  broker.wait();
  start("ventile-broker", {"--bind", address}).line_with("serving clients and workers on ");
  gate.open(700);
  EXPECT_EQ(exact(map).done, 1000U);
  EXPECT_EQ(lines_of_text(map.output()), in_order(1000));
}

TEST_F(BrokerMapTest, an_interrupted_map_finishes_what_it_has_read) {
  start_up();
  Gate gate{path("gate")};
  gate.mark(1);
  Pipe pipe;
  Process& map = start_map({"--function", "hold", "--args", gate.arguments(), "--json"}, pipe.reader());
  pipe.write("1\n");
  gate.next();
  map.signal(SIGINT);
  map.line_with("press Ctrl-C again");  // It does not wait for the pipe's end.
  gate.open(1);
  const Summary summary = exact(map);
  EXPECT_EQ(summary.submitted, 1U);
  EXPECT_EQ(summary.done, 1U);
}

TEST_F(BrokerMapTest, a_map_that_is_interrupted_twice_cancels_what_runs) {
  start_up();
  Gate gate{path("gate")};
  gate.mark(0);
  Process& map = start_map({"--range", "0:1", "--function", "hold", "--args", gate.arguments(), "--json"});
  gate.next();
  map.signal(SIGINT);
  map.line_with("press Ctrl-C again");
  map.signal(SIGINT);
  EXPECT_EQ(exact(map, 130).cancelled, 1U);
  EXPECT_NE(map.output().find("\"outcome\":\"cancelled\""), std::string::npos) << map.output();
  gate.open(0);
}

// It was said to be lost, and the file of what failed was empty.
TEST_F(BrokerMapTest, of_a_job_that_somebody_cancels_nothing_is_lost) {
  start_up();
  Gate gate{path("gate")};
  gate.mark(0);
  Process& map = start_map({"--range", "0:100000", "--function", "hold", "--args", gate.arguments(), "--job", "nightly",
                            "--failed", path("failed"), "--json"});
  gate.next();
  Process& cancel = start("ventile", {"cancel", "nightly", "--connect", address});
  EXPECT_EQ(cancel.wait(), 0);
  const Summary summary = exact(map, 5);
  EXPECT_GE(summary.cancelled, 1U);
  Process& status = start("ventile", {"status", "--connect", address, "--json"});
  EXPECT_EQ(status.wait(), 0);
  EXPECT_EQ(status.output().find("\"cancelled\":0"), std::string::npos) << status.output();  // Of what it was given.
  EXPECT_NE(map.errors().find("has cancelled it"), std::string::npos) << map.errors();
  EXPECT_NE(read_file(path("failed")), "");
  gate.open(0);
}

TEST_F(BrokerMapTest, what_fails_cannot_be_written_where_the_results_are) {
  for (const char* const name : {"results", "./results"}) {
    Process& map = start("ventile", {"map", "--range", "0:3", "--function", "index", "--output", path("results"),
                                     "--failed", path(name)});
    EXPECT_EQ(map.wait(), 2);
    EXPECT_NE(map.errors().find("is the output, too"), std::string::npos) << map.errors();
  }
}

TEST_F(BrokerMapTest, without_a_broker_it_waits_says_so_and_can_be_told_to_stop) {
  address = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& map = start_map({"--range", "0:10", "--function", "index", "--json"});
  EXPECT_NE(map.line_with("waiting for a broker at " + address), "");
  map.signal(SIGINT);
  map.line_with("press Ctrl-C again");
  map.signal(SIGINT);
  EXPECT_EQ(exact(map, 130).cancelled, 10U);
}

// It waited for ever, as scripts do not want to.
TEST_F(BrokerMapTest, it_waits_for_a_broker_as_long_as_it_is_told) {
  address = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& map = start_map({"--range", "0:10", "--function", "index", "--connect-timeout", "100ms"});
  EXPECT_EQ(map.wait(), 3);
  EXPECT_NE(map.errors().find("no broker has answered at " + address + " within 100ms"), std::string::npos);
  start_up();
  EXPECT_EQ(exact(start_map({"--range", "0:10", "--function", "index", "--connect-timeout", "10m", "--json"})).done,
            10U);
}

// The first Ctrl-C waited for what nobody ran.
TEST_F(BrokerMapTest, told_to_stop_it_ends_by_itself_if_nothing_runs) {
  start_up();
  Process& map = start_map({"--range", "0:10", "--function", "nonsense", "--json"});
  map.line_with("nonsense");
  map.signal(SIGINT);
  EXPECT_EQ(exact(map, 5).cancelled, 10U);
  EXPECT_NE(map.errors().find("nothing of the job runs: none of the"), std::string::npos) << map.errors();
}

TEST_F(BrokerMapTest, told_to_stop_it_ends_by_itself_if_the_broker_is_gone) {
  address = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& map = start_map({"--range", "0:10", "--function", "index", "--json"});
  map.line_with("waiting for a broker");
  map.signal(SIGTERM);
  EXPECT_EQ(exact(map, 5).cancelled, 10U);
}

TEST_F(BrokerMapTest, it_says_which_function_no_worker_has) {
  start_up();
  Process& map = start_map({"--range", "0:1", "--function", "nonsense"});
  EXPECT_NE(map.line_with("nonsense"), "");
}

TEST_F(BrokerMapTest, an_output_that_cannot_be_written_ends_the_job) {
  start_up();
  Process& map = start_map({"--range", "0:100000", "--function", "index", "--output", "/dev/full"});
  EXPECT_EQ(map.wait(), 1);
  EXPECT_NE(map.errors().find("cannot write /dev/full: No space left on device"), std::string::npos) << map.errors();
}

TEST_F(BrokerMapTest, malformed_input_ends_it_after_what_was_read) {
  start_up();
  Process& map = start_map({"--function", "index", "--input", write("input", "1\n2\n]\n"), "--json"});
  EXPECT_EQ(exact(map, 1).done, 2U);
  EXPECT_NE(map.errors().find("input:3: "), std::string::npos) << map.errors();
}

TEST_F(BrokerMapTest, what_belongs_to_workers_is_refused) {
  for (const Arguments& more : {Arguments{"--exec", "true"},
                                {"--slots", "2"},
                                {"--transport", "tcp"},
                                {"--halt", "soon,fail=1"},
                                {"--fold", "nonsense"}}) {
    Arguments arguments{"--function", "index", "--range", "0:1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process& map = start_map(arguments);
    EXPECT_EQ(map.wait(), 2) << more.front();
    EXPECT_NE(map.errors().find("--connect"), std::string::npos) << map.errors();
  }
}

TEST_F(BrokerMapTest, people_see_how_far_a_running_task_is) {
  start_up();
  Gate gate{path("gate")};
  gate.mark(0);
  Process& map = start_map({"--range", "0:1", "--function", "hold_half_way", "--args", gate.arguments(), "--json"});
  gate.next();
  nlohmann::json said;
  std::string job;
  while (said.empty()) {
    Process& status = start("ventile", {"status", "--json", "--connect", address});
    ASSERT_EQ(status.wait(), 0);
    const nlohmann::json report = nlohmann::json::parse(status.output());
    for (const nlohmann::json& worker : report["workers"])
      for (const nlohmann::json& milestone : worker["milestones"]) said = milestone;
    job = report["jobs"][0]["job"];
  }
  EXPECT_EQ(said, (nlohmann::json{{"job", job}, {"task", 0}, {"fraction", 0.5}, {"message", "half way"}}));
  Process& why = start("ventile", {"why", job + ":0", "--connect", address});
  EXPECT_EQ(why.wait(), 0);
  EXPECT_NE(why.output().find("is at 50 %: half way"), std::string::npos) << why.output();
  Process& status = start("ventile", {"status", "--connect", address});
  EXPECT_EQ(status.wait(), 0);
  EXPECT_NE(status.output().find("task " + job.substr(0, 8) + ":0 is at 50 %: half way"), std::string::npos)
      << status.output();
  gate.open(0);
  EXPECT_EQ(exact(map).done, 1U);
}

// Its workers finish what they run, and the client gets it.
TEST_F(BrokerMapTest, workers_of_up_finish_what_they_run_when_it_is_told_to_stop) {
  Process& up = start_up();
  Gate gate{path("gate")};
  gate.mark(0);
  Process& map = start_map({"--range", "0:1", "--function", "hold", "--args", gate.arguments(), "--json"});
  gate.next();
  up.signal(SIGTERM);
  up.line_with("press Ctrl-C again");
  gate.open(0);
  EXPECT_EQ(exact(map).done, 1U);
  EXPECT_EQ(up.wait(), 0) << up.errors();
}

}  // namespace
}  // namespace ventile
