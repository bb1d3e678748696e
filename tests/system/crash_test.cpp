// Workers that are killed, hang, or are poisoned: the results are the same, and each number has one outcome.
#include <vector>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

// In the line "worker … lost: …; 2 batches (300 tasks) requeued".
std::uint64_t requeued_tasks_in(const std::string& line) {
  const std::size_t at = line.rfind('(');
  return at == std::string::npos ? 0 : std::stoull(line.substr(at + 1));
}

class EveryTransportOfKills : public SystemTest, public testing::WithParamInterface<const char*> {
protected:
  EveryTransportOfKills() {
    if (std::string{GetParam()} == "ipc") address_ = "ipc://" + path("job");
  }
};

TEST_P(EveryTransportOfKills, ten_times_in_a_job_changes_no_result) {
  constexpr int kills = 10;
  constexpr std::int64_t tasks = 100'000;
  Gate gate{path("gate")};
  for (std::int64_t i = 0; i < kills; ++i) gate.mark(i * tasks / kills + 1234);
  Process& ventilator =
      start_ventilator({"--range", "0:100000", "--function", "hold", "--args", gate.arguments(), "--no-speculate"});
  Process& sink = start_sink();
  for (int i = 0; i < 3; ++i) start_worker();
  for (int i = 0; i < kills; ++i) {
    Process& worker = process_of(gate.next().worker);  // In the midst of a task that nobody else has.
    worker.kill();
    EXPECT_EQ(worker.wait(), -SIGKILL);
    start_worker();
    const std::string line = ventilator.line_with(":" + std::to_string(worker.pid()) + " lost:");
    EXPECT_GE(requeued_tasks_in(line), 1U) << line;
  }
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 100'000U);
  EXPECT_GE(summary.batches_requeued, 10U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(tasks));
}

INSTANTIATE_TEST_SUITE_P(KillNine, EveryTransportOfKills, testing::Values("tcp", "ipc"),
                         [](const auto& transport) { return std::string{transport.param}; });

TEST_F(SystemTest, the_job_of_a_hung_worker_ends_without_it) {
  address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  Gate gate{path("gate")};
  gate.mark(5);
  const Arguments job{"--range", "0:1000", "--function", "hold", "--args", gate.arguments(), "--no-speculate"};
  Process& first = start_ventilator(job);
  Process& sink = start_sink({"--stay", "--output", path("results"), "--format", "raw"});
  Process& hung = start_worker();
  EXPECT_EQ(gate.next().worker, hung.pid());
  hung.signal(SIGSTOP);
  start_worker();
  const Summary summary = exact_summary(first);
  EXPECT_EQ(summary.done, 1000U);
  EXPECT_GE(summary.batches_requeued, 1U);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));

  gate.open(5);
  hung.signal(SIGCONT);
  gate.mark(7);
  gate.mark(8);
  Process& second = start_ventilator(job);
  EXPECT_NE(gate.next().worker, gate.next().worker) << "the worker that hung is at work again";
  gate.open(7);
  gate.open(8);
  EXPECT_EQ(exact_summary(second).done, 1000U);
  sink.signal(SIGTERM);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(SystemTest, late_results_of_a_hung_worker_are_dropped_and_counted) {
  Gate gate{path("gate")};
  gate.mark(5);
  Pipe pipe;
  Process& ventilator = start_ventilator(
      {"--function", "hold", "--format", "jsonl", "--args", gate.arguments(), "--no-speculate"}, pipe.reader());
  Process& sink = start_sink({"--format", "raw"});
  Process& hung = start_worker();
  pipe.write("5\n6\n7\n");
  EXPECT_EQ(gate.next().worker, hung.pid());
  hung.signal(SIGSTOP);
  start_worker();
  sink.output_lines(3);
  gate.open(5);
  hung.signal(SIGCONT);
  ventilator.line_with("dropped late results of 1 task from worker");
  pipe.close_writer();
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 3U);
  EXPECT_GE(summary.duplicates_dropped, 1U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(SystemTest, one_poisonous_task_among_a_thousand_is_dead_and_no_other) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "poison", "--args", "[567]"});
  Process& sink = start_sink({"--output", path("results")});
  for (Process* worker = &start_worker(); !ventilator.ends_before(*worker); worker = &start_worker())
    EXPECT_EQ(worker->wait(), -SIGABRT);
  const Summary summary = exact_summary(ventilator, 1);
  EXPECT_EQ(summary.dead, 1U);
  EXPECT_EQ(summary.done, 999U);
  EXPECT_EQ(sink.wait(), 0);
  for (const std::string& line : sorted_lines(path("results")))
    EXPECT_EQ(line.find(R"("outcome":"dead")") != std::string::npos, line.starts_with(R"({"task":567,)")) << line;
}

TEST_F(SystemTest, a_poisonous_task_in_a_process_of_its_own_costs_no_worker) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "poison", "--args", "[567]"});
  Process& sink = start_sink({"--output", path("results")});
  Process& worker = start_worker({"--isolation", "process", "--slots", "2", "--once"});
  const Summary summary = exact_summary(ventilator, 1);
  EXPECT_EQ(summary.dead, 1U);
  EXPECT_EQ(summary.done, 999U);
  EXPECT_EQ(summary.workers_seen, 1U);
  EXPECT_EQ(worker.wait(), 0);
  EXPECT_EQ(sink.wait(), 0);
  for (const std::string& line : sorted_lines(path("results"))) {
    const bool dead = line.find(R"("outcome":"dead")") != std::string::npos;
    EXPECT_EQ(dead, line.starts_with(R"({"task":567,)")) << line;
    EXPECT_EQ(dead, line.find("its process ended by signal 6 (Aborted)") != std::string::npos) << line;
  }
}

TEST_F(SystemTest, two_hundred_workers_of_one_slot_share_a_job) {
  Gate gate{path("gate")};
  gate.mark(0);
  Process& ventilator =
      start_ventilator({"--range", "0:20000", "--function", "hold", "--args", gate.arguments(), "--no-speculate"});
  start_sink();
  for (int i = 0; i < 200; ++i) start_worker();
  ventilator.lines_with("is here with 1 slot", 200);
  gate.next();
  gate.open(0);
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 20'000U);
  EXPECT_EQ(summary.workers_seen, 200U);
}

}  // namespace
}  // namespace ventile
