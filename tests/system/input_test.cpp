// What goes in comes out: no tasks and many, of no bytes and of many, well formed or not.
#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class InputTest : public SystemTest {
protected:
  // Runs the file through echo, and gives what comes out with the same separator.
  std::string echoed(const std::string& text, const Arguments& format = {}, const Arguments& output = {}) {
    Arguments tasks{"--function", "echo", "--input", write("input", text)};
    tasks.insert(tasks.end(), format.begin(), format.end());
    Process& ventilator = start_ventilator(tasks);
    Arguments results{"--ordered", "--format", "raw", "--output", path("results")};
    results.insert(results.end(), output.begin(), output.end());
    Process& sink = start_sink(results);
    start_worker();
    exact_summary(ventilator);
    EXPECT_EQ(sink.wait(), 0);
    return read_file(path("results"));
  }
};

TEST_F(InputTest, of_no_tasks_is_a_job_that_ends_well) { EXPECT_EQ(echoed(""), ""); }

TEST_F(InputTest, of_no_numbers_is_a_job_that_ends_well) {
  Process& ventilator = start_ventilator({"--range", "5:5", "--function", "index"});
  Process& sink = start_sink();
  EXPECT_EQ(exact_summary(ventilator).submitted, 0U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(InputTest, of_one_task_gives_one_result) { EXPECT_EQ(echoed("only\n"), "only\n"); }

TEST_F(InputTest, of_empty_tasks_gives_empty_results) { EXPECT_EQ(echoed("\n\n\n"), "\n\n\n"); }

TEST_F(InputTest, that_is_not_utf8_comes_back_byte_for_byte) {
  std::string text;
  for (int byte = 1; byte < 256; ++byte) text += std::string{static_cast<char>(byte), '\xff'} + '\0';
  EXPECT_TRUE(echoed(text, {"--format", "nul"}, {"--separator", "\\0"}) == text);
}

TEST_F(InputTest, of_a_line_of_ten_megabytes_comes_back) {
  const std::string line(std::size_t{10'000} * 1000, 'x');
  const std::string text = "before\n" + line + "\nafter\n";
  EXPECT_TRUE(echoed(text) == text);
}

TEST_F(InputTest, of_a_line_of_sixty_four_megabytes_comes_back) {
  std::string text(64U << 20, 'y');
  for (std::size_t at = 0; at < text.size(); at += 4096) text[at] = static_cast<char>('a' + at / 4096 % 26);
  text += '\n';
  EXPECT_TRUE(echoed(text) == text);
}

TEST_F(InputTest, of_ten_million_numbers_is_summed) {
  Process& ventilator = start_ventilator({"--range", "0:10000000", "--function", "index"});
  Process& sink = start_sink({"--format", "raw", "--fold", "sum"});
  start_worker({"-j", "2"});
  EXPECT_EQ(exact_summary(ventilator).done, 10'000'000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sink.output(), "49999995000000\n");
}

TEST_F(InputTest, of_ten_million_numbers_is_written) {
  Process& ventilator = start_ventilator({"--range", "0:10000000", "--function", "index"});
  Process& sink = start_sink({"--format", "raw", "--output", "/dev/null"});
  start_worker({"-j", "2"});
  EXPECT_EQ(exact_summary(ventilator).done, 10'000'000U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(InputTest, that_is_malformed_ends_the_job_after_what_was_read_before) {
  const std::string input = write("tasks.jsonl", "1\n2\n[3\n4\n");
  Process& ventilator = start_ventilator({"--function", "echo", "--input", input, "--format", "jsonl"});
  Process& sink = start_sink();
  start_worker();
  EXPECT_EQ(exact_summary(ventilator, 1).done, 2U);
  EXPECT_EQ(sink.wait(), 0);
  const std::string line = ventilator.line_with("tasks.jsonl:3: ");
  EXPECT_NE(line.find("expected"), std::string::npos) << line;
  EXPECT_EQ(sorted_lines(path("results")), (Arguments{"1", "2"}));
}

TEST_F(InputTest, that_is_malformed_is_passed_over_and_counted_if_so_told) {
  const std::string input = write("tasks.jsonl", "1\n2\n[3\n4\n}\n");
  Process& ventilator = start_ventilator({"--function", "echo", "--input", input, "--format", "jsonl", "--skip-bad"});
  Process& sink = start_sink();
  start_worker();
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 3U);
  EXPECT_EQ(summary.skipped, 2U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), (Arguments{"1", "2", "4"}));
}

TEST_F(InputTest, that_does_not_exist_is_named) {
  Process& ventilator = start("ventile-ventilator", {"--bind", address_, "--function", "echo", "--input", "nothing"});
  EXPECT_EQ(ventilator.wait(), 2);
  EXPECT_NE(ventilator.errors().find("cannot open nothing: No such file"), std::string::npos);
}

// Two slots, and then two workers, of which one is blocked: the other takes over what was queued behind the task.
class BehindABlockedTask : public InputTest, public testing::WithParamInterface<bool> {};

TEST_P(BehindABlockedTask, everything_else_is_done) {
  Gate gate{path("gate")};
  gate.mark(0);
  Process& ventilator = start_ventilator({"--range", "0:3000", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink({"--format", "raw"});
  const bool two_workers = GetParam();
  start_worker({"-j", two_workers ? "1" : "2"});
  gate.next();
  if (two_workers) start_worker();
  sink.output_lines(2999);
  gate.open(0);
  EXPECT_EQ(exact_summary(ventilator).done, 3000U);
}

INSTANTIATE_TEST_SUITE_P(ByAnother, BehindABlockedTask, testing::Bool(),
                         [](const auto& two_workers) { return two_workers.param ? "Worker" : "Slot"; });

TEST_F(InputTest, of_short_and_long_tasks_is_done_by_others_while_a_worker_is_blocked_in_mid_batch) {
  Gate gate{path("gate")};
  gate.mark(1500);
  Process& ventilator = start_ventilator({"--range", "0:3000", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink();
  for (int i = 0; i < 3; ++i) start_worker();
  EXPECT_EQ(gate.next().number, 1500);
  EXPECT_EQ(exact_summary(ventilator).done, 3000U);  // A second copy of the batch was faster.
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(3000));
}

TEST_F(InputTest, from_a_pipe_is_done_while_more_may_come) {
  Pipe pipe;
  Process& ventilator = start_ventilator({"--function", "echo"}, pipe.reader());
  Process& sink = start_sink({"--format", "raw"});
  start_worker();
  pipe.write("first\n");
  sink.output_lines(1);
  pipe.write("second\n");
  sink.output_lines(2);
  pipe.close_writer();
  EXPECT_EQ(exact_summary(ventilator).done, 2U);
  EXPECT_EQ(sink.wait(), 0);
}

}  // namespace
}  // namespace ventile
