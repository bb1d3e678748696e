// Tasks that fail: each has its outcome, with kind and message, and its worker lives.
#include <algorithm>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class FailureTest : public SystemTest {
protected:
  // One worker runs the function over the lines of JSON; its results are in path("results") as JSON.
  Summary run(const std::string& function, const std::string& input, const Arguments& more = {}, int code = 1) {
    Arguments arguments{"--function", function, "--format", "jsonl", "--input", write("input", input)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Process& ventilator = start_ventilator(arguments);
    Process& sink = start_sink({"--output", path("results")});
    Process& worker = start_worker();
    Summary summary = exact_summary(ventilator, code);
    EXPECT_EQ(sink.wait(), 0);
    EXPECT_TRUE(worker.running());
    return summary;
  }
  std::string results() const { return read_file(path("results")); }
};

constexpr const char* one_to_four = "1\n2\n3\n4\n";

TEST_F(FailureTest, of_a_task_that_throws_has_the_kind_and_the_message) {
  const Summary summary = run("refuse_odd", one_to_four);
  EXPECT_EQ(summary.done, 2U);
  EXPECT_EQ(summary.failed, 2U);
  EXPECT_EQ(summary.failures, (Arguments{"std::invalid_argument: the number is odd"}));
  EXPECT_NE(results().find(R"("error":{"kind":"std::invalid_argument","message":"the number is odd"})"),
            std::string::npos)
      << results();
}

TEST_F(FailureTest, of_a_task_whose_result_cannot_be_packed_says_why) {
  const Summary summary = run("unpackable", one_to_four);
  EXPECT_EQ(summary.failed, 4U);
  EXPECT_EQ(summary.failures, (Arguments{"std::logic_error: this result cannot be packed"}));
}

TEST_F(FailureTest, of_a_task_whose_packed_result_is_no_value_says_so) {
  const Summary summary = run("not_a_value", one_to_four);
  EXPECT_EQ(summary.failures, (Arguments{"result: the function's packed result is not exactly one msgpack value"}));
}

TEST_F(FailureTest, of_a_task_with_the_wrong_arguments_says_what_was_expected) {
  const Summary summary = run("refuse_odd", "2\n\"two\"\n[2,2]\n");
  EXPECT_EQ(summary.done, 1U);
  EXPECT_EQ(summary.failed, 2U);
  for (const std::string& failure : summary.failures) EXPECT_TRUE(failure.starts_with("arguments: ")) << failure;
}

TEST_F(FailureTest, of_some_tasks_leaves_their_inputs_to_be_run_again) {
  EXPECT_EQ(run("refuse_odd", one_to_four, {"--failed", path("failed")}).failed, 2U);
  EXPECT_EQ(sorted_lines(path("failed")), (Arguments{"1", "3"}));
  std::filesystem::remove(path("results"));
  address_ = "tcp://127.0.0.1:0";
  const Summary again = run("echo", read_file(path("failed")), {}, 0);
  EXPECT_EQ(again.done, 2U);
}

TEST_F(FailureTest, of_numbers_leaves_inputs_that_the_command_in_the_summary_runs_again) {
  Process& ventilator = start("ventile-ventilator", {"--bind", "tcp://127.0.0.1:0", "--range", "0:10", "--function",
                                                     "refuse_odd", "--failed", path("failed")});
  const std::string line = ventilator.line_with("serving tasks of");
  address_ = line.substr(line.rfind(" on ") + 4);
  start_sink();
  start_worker();
  EXPECT_EQ(ventilator.wait(), 1);
  const std::string command = ventilator.line_with("run them again: ");
  Arguments words{"-c", "exec " + command.substr(command.find(": ") + 2) + " --json"};
  EXPECT_EQ(sorted_lines(path("failed")), (Arguments{"1", "3", "5", "7", "9"}));
  Process& again = start("/bin/sh", words);
  const std::string serving = again.line_with("serving tasks of");
  address_ = serving.substr(serving.rfind(" on ") + 4);
  start_sink({"--output", path("again")});
  start_worker();
  EXPECT_EQ(exact_summary(again, 1).failed, 5U);
}

TEST_F(FailureTest, of_a_first_try_is_mended_by_another) {
  Gate gate{path("gate")};
  gate.mark(2);
  gate.mark(3);
  const Summary summary = run("fail_once", one_to_four, {"--args", gate.arguments(), "--retries", "2"}, 0);
  EXPECT_EQ(summary.done, 4U);
  EXPECT_EQ(summary.retries, 2U);
  EXPECT_NE(results().find(R"({"task":1,"outcome":"done","value":2,"tries":2})"), std::string::npos) << results();
}

TEST_F(FailureTest, of_every_try_is_an_outcome_after_as_many_as_were_allowed) {
  const Summary summary = run("refuse_odd", "1\n2\n", {"--retries", "3"});
  EXPECT_EQ(summary.failed, 1U);
  EXPECT_EQ(summary.retries, 2U);
  EXPECT_NE(results().find(R"("tries":3)"), std::string::npos) << results();
}

TEST_F(FailureTest, by_time_out_gives_the_slot_up_and_the_others_go_on) {
  Gate gate{path("gate")};
  gate.mark(5);
  Process& ventilator = start_ventilator(
      {"--range", "0:100", "--function", "hold", "--args", gate.arguments(), "--timeout", "100ms", "--no-speculate"});
  Process& sink = start_sink({"--output", path("results")});
  Process& worker = start_worker({"-j", "2"});
  const Summary summary = exact_summary(ventilator, 1);
  EXPECT_EQ(summary.done, 99U);
  EXPECT_EQ(summary.failed, 1U);
  EXPECT_NE(summary.failures.front().find("timeout"), std::string::npos);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_NE(worker.line_with("hangs in task 5"), "");
  EXPECT_TRUE(worker.running());
}

TEST_F(FailureTest, by_time_out_of_every_slot_ends_the_worker_and_another_goes_on) {
  Gate gate{path("gate")};
  gate.mark(5);
  Process& ventilator = start_ventilator(
      {"--range", "0:100", "--function", "hold", "--args", gate.arguments(), "--timeout", "100ms", "--no-speculate"});
  start_sink();
  Process& worker = start_worker();
  EXPECT_EQ(worker.wait(), 1);
  start_worker();
  const Summary summary = exact_summary(ventilator, 1);
  EXPECT_EQ(summary.done, 99U);
  EXPECT_EQ(summary.failed, 1U);
}

TEST_F(FailureTest, by_time_out_ends_a_command) {
  Process& ventilator = start_ventilator({"--input", write("input", "0\n1000\n0\n"), "--timeout", "500ms"});
  Process& sink = start_sink({"--output", path("results")});
  Process& worker = start_worker({"-j", "1", "--exec", "sleep {}"});
  const Summary summary = exact_summary(ventilator, 1);
  EXPECT_EQ(summary.done, 2U);
  EXPECT_EQ(summary.failed, 1U);
  EXPECT_TRUE(summary.failures.front().starts_with("timeout: ")) << summary.failures.front();
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_TRUE(worker.running());
}

TEST_F(FailureTest, of_enough_tasks_ends_the_job_early) {
  Process& ventilator = start_ventilator({"--range", "0:1000000", "--function", "fail", "--halt", "soon,fail=10"});
  Process& sink = start_sink({"--output", path("results")});
  start_worker();
  const Summary summary = exact_summary(ventilator, 5);
  EXPECT_GE(summary.failed, 10U);
  EXPECT_EQ(summary.failed + summary.cancelled, 1'000'000U);
  EXPECT_GT(summary.cancelled, 0U);
  EXPECT_EQ(sink.wait(), 0);
}

// They were once counted one by one, for minutes in which the ventilator answered nobody.
TEST_F(FailureTest, cancels_what_is_left_of_a_billion_tasks_at_once) {
  Process& map = start("ventile", {"map", "--range", "0:1000000000", "--function", "fail", "--halt", "now,fail=1",
                                   "--output", path("results"), "--json"});
  EXPECT_EQ(map.wait(), 5);
  const Summary summary = summary_in(map.output());
  EXPECT_EQ(summary.failed + summary.cancelled, 1'000'000'000U);
  EXPECT_EQ(summary.duplicates_dropped, 0U);
}

TEST_F(FailureTest, never_replaces_the_input_by_the_failed_inputs) {
  const std::string input = write("input", one_to_four);
  Process& map = start("ventile", {"map", "--input", input, "--function", "echo", "--failed", input});
  EXPECT_EQ(map.wait(), 2);
  EXPECT_NE(map.errors().find("name another file"), std::string::npos) << map.errors();
  EXPECT_EQ(read_file(input), one_to_four);
}

}  // namespace
}  // namespace ventile
