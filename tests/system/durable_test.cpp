// Roles with --durable: killed at any moment and started again with the same command, they go on.
#include <vector>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

constexpr std::int64_t tasks = 1000;

class DurableTest : public SystemTest {
protected:
  DurableTest() {
    address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
    std::string lines;
    for (std::int64_t i = 0; i < tasks; ++i) lines += std::to_string(i) + "\n";
    write("tasks", lines);
  }
  Process& ventilator(const std::string& job = "nightly", int input = -1) {
    Arguments arguments{"--job",           job,        "--durable", path("state"),   "--function", "hold", "--args",
                        gate_.arguments(), "--format", "jsonl",     "--no-speculate"};
    if (input < 0) arguments.insert(arguments.end(), {"--input", path("tasks")});
    return start_ventilator(arguments, input);
  }
  Process& sink(const Arguments& more = {}) {
    Arguments arguments{"--durable", path("state"), "--output", path("results"), "--format", "raw"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return start_sink(arguments);
  }
  // In the middle of a task, and another sink ends the job.
  void kill_the_sink(const Arguments& how) {
    gate_.mark(700);
    Process& ventilating = ventilator();
    Process& first = sink(how);
    start_worker();
    gate_.next();
    first.kill();
    first.wait();
    gate_.open(700);
    Process& second = sink(how);
    EXPECT_EQ(exact_summary(ventilating).done, 1000U);
    EXPECT_EQ(second.wait(), 0);
  }

  Gate gate_{path("gate")};  // NOLINT(readability-identifier-naming)
};

TEST_F(DurableTest, a_ventilator_that_is_killed_goes_on_and_runs_nothing_that_the_sink_has) {
  gate_.mark(700);
  Process& first = ventilator();
  Process& collecting = sink();
  start_worker();
  gate_.next();
  first.kill();
  first.wait();
  gate_.open(700);
  Process& second = ventilator();
  second.line_with("resumed nightly: ");
  EXPECT_EQ(exact_summary(second).done, 1000U);
  EXPECT_EQ(collecting.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(tasks));
  Process& third = ventilator();
  EXPECT_EQ(third.wait(), 0);
  EXPECT_NE(third.errors().find("job 'nightly' is finished already"), std::string::npos);
}

TEST_F(DurableTest, a_sink_that_is_killed_goes_on_and_writes_nothing_twice) {
  kill_the_sink({});
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(tasks));
}

TEST_F(DurableTest, a_sink_that_is_killed_keeps_the_order) {
  kill_the_sink({"--ordered"});
  std::string expected;
  for (std::int64_t i = 0; i < tasks; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(read_file(path("results")), expected);
}

TEST_F(DurableTest, a_fold_outlives_its_sink) {
  kill_the_sink({"--fold", "sum"});
  EXPECT_EQ(sorted_lines(path("results")), (std::vector<std::string>{std::to_string(tasks * (tasks - 1) / 2)}));
}

TEST_F(DurableTest, what_a_pipe_gave_is_not_lost_with_the_ventilator) {
  gate_.mark(1);
  Pipe pipe;
  Process& first = ventilator("piped", pipe.reader());
  Process& collecting = sink();
  start_worker();
  pipe.write("0\n1\n2\n");
  gate_.next();
  first.kill();
  first.wait();
  gate_.open(1);
  Process& second = ventilator("piped", pipe.reader());
  second.line_with("resumed piped: ");
  pipe.write("3\n4\n");
  pipe.close_writer();
  EXPECT_EQ(exact_summary(second).done, 5U);
  EXPECT_EQ(collecting.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(5));
}

// The third death is the last, although the ventilator that saw the first two is gone. The disk knows them when the
// task is with a third worker, for it is not sent before.
TEST_F(DurableTest, how_often_a_task_has_killed_outlives_the_ventilator) {
  write("tasks", "5\n");
  Process& first = ventilator();
  Process& collecting = sink();
  const auto start = [this]() -> Process& { return start_worker(); };
  die_in_the_midst(gate_, 5, start, first);
  die_in_the_midst(gate_, 5, start, first);
  Process& third = worker_in_the_midst(gate_, 5, start);
  first.kill();
  first.wait();
  third.kill();
  third.wait();
  Process& second = ventilator();
  die_in_the_midst(gate_, 5, start, second);
  EXPECT_EQ(exact_summary(second, 1).dead, 1U);
  EXPECT_EQ(collecting.wait(), 0);
}

TEST_F(DurableTest, a_job_with_another_input_is_refused_and_the_difference_named) {
  gate_.mark(0);
  Process& first = ventilator();
  sink();
  start_worker();
  gate_.next();
  first.kill();
  first.wait();
  write("tasks", "1\n2\n");
  Process& second =
      start("ventile-ventilator", {"--bind", address_, "--job", "nightly", "--durable", path("state"), "--function",
                                   "hold", "--args", gate_.arguments(), "--format", "jsonl", "--input", path("tasks")});
  EXPECT_EQ(second.wait(), 2);
  EXPECT_NE(second.errors().find("its input was " + path("tasks") + " of 3890 bytes, and now it is " + path("tasks") +
                                 " of 4 bytes"),
            std::string::npos);
}

TEST_F(DurableTest, one_role_at_a_time_has_a_journal) {
  Process& first = ventilator();
  Process& second = start("ventile-ventilator",
                          {"--bind", "tcp://127.0.0.1:0", "--job", "nightly", "--durable", path("state"), "--function",
                           "hold", "--args", gate_.arguments(), "--format", "jsonl", "--input", path("tasks")});
  EXPECT_EQ(second.wait(), 3);
  EXPECT_NE(second.errors().find("is in use by process " + std::to_string(first.pid())), std::string::npos);
}

TEST_F(DurableTest, a_journal_can_be_looked_into_and_repaired) {
  gate_.mark(700);
  Process& first = ventilator();
  Process& collecting = sink();
  start_worker();
  gate_.next();
  first.kill();
  first.wait();
  collecting.kill();
  collecting.wait();
  const std::string folder = path("state") + "/sink";
  Process& whole = start("ventile", {"journal", "verify", folder});
  EXPECT_EQ(whole.wait(), 0);
  EXPECT_NE(whole.output().find("journal of a sink, 1 segment"), std::string::npos);
  std::string bytes = read_file(folder + "/0000000000000000.segment");
  bytes[64 + 24 + 2] ^= 1;
  write("state/sink/0000000000000000.segment", bytes);
  EXPECT_EQ(start("ventile", {"journal", "verify", folder}).wait(), 1);
  Process& refused = sink();
  EXPECT_EQ(refused.wait(), 1);
  EXPECT_NE(refused.errors().find("0000000000000000.segment is damaged at byte 64"), std::string::npos);
  EXPECT_EQ(start("ventile", {"journal", "repair", folder}).wait(), 0);
  EXPECT_EQ(start("ventile", {"journal", "verify", folder}).wait(), 0);
}

}  // namespace
}  // namespace ventile
