// A worker in another language, written from PROTOCOL.md alone, takes part in a job like any other.
#include <algorithm>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class ForeignTest : public SystemTest {
protected:
  Process& start_foreign_worker() { return start("/usr/bin/python3", {SYSTEM_SOURCES "/foreign_worker.py", address_}); }

  // Lines of one letter each, and what they are in upper case, sorted.
  static constexpr int count = 3000;
  static std::string lines() {
    std::string all;
    for (int i = 0; i < count; ++i) all += std::string(1, static_cast<char>('a' + i % 26)) + std::to_string(i) + "\n";
    return all;
  }
  static std::vector<std::string> upper_lines() {
    std::vector<std::string> all;
    for (int i = 0; i < count; ++i) all.push_back(std::string(1, static_cast<char>('A' + i % 26)) + std::to_string(i));
    std::sort(all.begin(), all.end());
    return all;
  }
};

TEST_F(ForeignTest, worker_does_a_whole_job_and_leaves_with_its_dispatcher) {
  Process& ventilator = start_ventilator({"--function", "upper", "--input", write("input", lines())});
  start_sink();
  Process& foreign = start_foreign_worker();
  EXPECT_EQ(exact_summary(ventilator).done, static_cast<std::uint64_t>(count));
  EXPECT_EQ(foreign.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), upper_lines());
}

TEST_F(ForeignTest, worker_takes_and_gives_tasks_larger_than_a_frame) {
  const std::string large(3 << 20, 'x');
  Process& ventilator = start_ventilator({"--function", "upper", "--input", write("input", large + "\nsmall\n")});
  start_sink();
  start_foreign_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 2U);
  EXPECT_EQ(sorted_lines(path("results")), (std::vector<std::string>{"SMALL", std::string(3 << 20, 'X')}));
}

TEST_F(ForeignTest, worker_reports_what_fails) {
  Process& ventilator =
      start_ventilator({"--function", "upper", "--format", "jsonl", "--input", write("input", "\"a\"\n1\n\"b\"\n")});
  start_sink();
  start_foreign_worker();
  const Summary summary = exact_summary(ventilator, 1);
  EXPECT_EQ(summary.done, 2U);
  EXPECT_EQ(summary.failed, 1U);
  ASSERT_EQ(summary.failures.size(), 1U);
  EXPECT_NE(summary.failures.front().find("expected strings"), std::string::npos) << summary.failures.front();
}

TEST_F(ForeignTest, worker_that_is_killed_is_replaced_by_another) {
  Pipe pipe;
  Process& ventilator = start_ventilator({"--function", "upper"}, pipe.reader());
  Process& sink = start_sink({"--format", "raw"});
  Process& first = start_foreign_worker();
  pipe.write("one\n");
  sink.output_lines(1);
  first.kill();
  EXPECT_EQ(first.wait(), -SIGKILL);
  pipe.write("two\n");
  start_foreign_worker();
  sink.output_lines(2);
  pipe.close_writer();
  EXPECT_EQ(exact_summary(ventilator).done, 2U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sink.output(), "ONE\nTWO\n");
}

TEST_F(ForeignTest, worker_that_is_terminated_drains_and_leaves) {
  Pipe pipe;
  Process& ventilator = start_ventilator({"--function", "upper"}, pipe.reader());
  Process& sink = start_sink({"--format", "raw"});
  Process& foreign = start_foreign_worker();
  pipe.write("one\n");
  sink.output_lines(1);
  foreign.signal(SIGTERM);
  EXPECT_EQ(foreign.wait(), 0);
  EXPECT_NE(ventilator.line_with("has left"), "");
  start_foreign_worker();
  pipe.write("two\n");
  pipe.close_writer();
  EXPECT_EQ(exact_summary(ventilator).done, 2U);
}

}  // namespace
}  // namespace ventile
