// Pipelines whose stages are killed: every number comes out once all the same.
#include <vector>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class EveryTransportOfPipelines : public SystemTest, public testing::WithParamInterface<const char*> {
protected:
  EveryTransportOfPipelines() {
    if (std::string{GetParam()} == "ipc") address_ = "ipc://" + path("job");
  }
  Process& start_stage() { return start_worker({"-j", "1", "--pattern", "pipeline"}); }
};

TEST_P(EveryTransportOfPipelines, of_which_stages_are_killed_give_every_result_once) {
  constexpr int kills = 3;
  constexpr std::int64_t tasks = 30'000;
  Gate gate{path("gate")};
  for (std::int64_t i = 0; i < kills; ++i) gate.mark(i * tasks / kills + 1234);
  Process& ventilator = start_ventilator(
      {"--range", "0:30000", "--function", "hold", "--args", gate.arguments(), "--pattern", "pipeline"});
  Process& sink = start_sink({"--output", path("results"), "--format", "raw", "--pattern", "pipeline"});
  for (int i = 0; i < 3; ++i) start_stage();
  for (int i = 0; i < kills; ++i) {
    Process& stage = process_of(gate.next().worker);  // In the midst of a task.
    stage.kill();
    EXPECT_EQ(stage.wait(), -SIGKILL);
    start_stage();
  }
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 30'000U);
  EXPECT_EQ(sink.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(tasks));
  EXPECT_NE(ventilator.errors().find("tasks again that were lost on the stream"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(KillNine, EveryTransportOfPipelines, testing::Values("tcp", "ipc"),
                         [](const auto& transport) { return std::string{transport.param}; });

TEST_F(SystemTest, a_stage_that_is_to_serve_once_leaves_with_its_stream) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "index", "--pattern", "pipeline"});
  Process& stage = start_worker({"--pattern", "pipeline", "--once"});
  start_sink();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
  EXPECT_EQ(stage.wait(), 0);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(1000));
}

TEST_F(SystemTest, workers_of_both_patterns_share_a_pipeline) {
  Process& ventilator = start_ventilator({"--range", "0:100000", "--function", "index", "--pattern", "pipeline"});
  start_worker({"--pattern", "pipeline"});
  start_worker();
  start_sink();
  EXPECT_EQ(exact_summary(ventilator).done, 100'000U);
  EXPECT_EQ(sorted_lines(path("results")), numbers_below(100'000));
}

TEST_F(SystemTest, a_pipeline_refuses_commands) {
  Process& ventilator = start("ventile-ventilator", {"--pattern", "pipeline", "--function", "exec"});
  EXPECT_EQ(ventilator.wait(), 2);
  EXPECT_NE(ventilator.errors().find("must not be run twice"), std::string::npos);
}

}  // namespace
}  // namespace ventile
