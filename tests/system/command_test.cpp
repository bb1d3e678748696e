// How the programs end: exit codes, what they say, and signals.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <tests/system/fabric.hpp>

namespace ventile {
namespace {

class CommandTest : public SystemTest {
protected:
  // The program ends with this code and says this on stderr.
  void expect_error(Process& process, int code, const std::string& text) {
    EXPECT_EQ(process.wait(), code);
    EXPECT_NE(process.errors().find(text), std::string::npos) << process.errors();
  }
};

TEST_F(CommandTest, a_full_disk_is_named_and_ends_the_job) {
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "index"});
  Process& sink = start_sink({"--output", "/dev/full"});
  start_worker();
  expect_error(ventilator, 1, "cannot write /dev/full: No space left on device");
  expect_error(sink, 1, "cannot write /dev/full: No space left on device");
}

TEST_F(CommandTest, an_output_that_is_a_folder_is_refused) {
  std::filesystem::create_directory(path("folder"));
  expect_error(start_sink({"--output", path("folder")}), 2, "cannot open " + path("folder") + ": Is a directory");
}

TEST_F(CommandTest, an_output_that_is_not_empty_is_refused) {
  expect_error(start_sink({"--output", write("results", "precious\n")}), 2, path("results"));
  EXPECT_EQ(read_file(path("results")), "precious\n");
}

TEST_F(CommandTest, a_plugin_that_does_not_load_is_named) {
  const std::string plugin = write("plugin.so", "not a library");
  for (const char* program : {"ventile-worker", "ventile-sink"})
    expect_error(start(program, {"--plugin", plugin}), 2, plugin);
}

TEST_F(CommandTest, a_folder_of_plugins_gives_what_is_in_it_and_passes_over_other_files) {
  std::filesystem::create_directory(path("plugins"));
  std::filesystem::create_symlink(SYSTEM_PLUGIN, path("plugins/system.so"));
  write("plugins/README", "not a library");
  const Arguments map{"map", "--plugin", path("plugins"), "--function", "refuse_odd", "--range", "2:3"};
  EXPECT_EQ(start("ventile", map).wait(), 0);
  write("plugins/broken.so", "not a library");
  expect_error(start("ventile-worker", {"--plugin", path("plugins")}), 2, "broken.so");
}

TEST_F(CommandTest, an_address_in_use_is_an_error_that_names_who_holds_it) {
  const Process& first = start_ventilator({"--range", "0:1", "--function", "index"});
  expect_error(start("ventile-ventilator", {"--bind", address_, "--range", "0:1", "--function", "index"}), 3,
               std::to_string(first.pid()));
}

TEST_F(CommandTest, an_unknown_option_is_a_usage_error) {
  for (const char* program : {"ventile-ventilator", "ventile-worker", "ventile-sink"})
    expect_error(start(program, {"--frobnicate"}), 2, "--frobnicate");
  expect_error(start("ventile", {"map", "--frobnicate"}), 2, "--frobnicate");
  expect_error(start("ventile", {"frobnicate"}), 2, "frobnicate");
}

TEST_F(CommandTest, the_version_is_a_document_if_asked) {
  Process& version = start("ventile", {"version", "--json"});
  EXPECT_EQ(version.wait(), 0);
  EXPECT_TRUE(version.output().starts_with(R"({"schema":1,"version":")")) << version.output();
  expect_error(start("ventile", {"version", "--frobnicate"}), 2, "--frobnicate");
}

TEST_F(CommandTest, a_summary_does_not_get_among_results) {
  Process& map = start("ventile", {"map", "--range", "0:1", "--function", "index", "--json"});
  EXPECT_EQ(map.wait(), 0);
  EXPECT_EQ(map.output(), "{\"task\":0,\"outcome\":\"done\",\"value\":0,\"tries\":1}\n");
  EXPECT_EQ(summary_in(map.errors()).done, 1U);
}

TEST_F(CommandTest, a_missing_command_is_asked_for) {
  expect_error(start("ventile", {"map", "--range", "0:1", "--function", "exec"}), 2, "--exec 'CMD {}'");
}

// Results once waited for such a sink in silence.
TEST_F(CommandTest, a_sink_that_cannot_be_reached_is_named_by_the_worker) {
  start_ventilator({"--range", "0:1", "--function", "index"});
  const std::string nowhere = "tcp://127.0.0.1:" + std::to_string(free_port());
  start_sink({"--output", path("results"), "--advertise", nowhere});
  start_worker().line_with("cannot reach the sink at " + nowhere);
}

TEST_F(CommandTest, an_address_that_others_can_reach_needs_keys_or_insecure) {
  for (const char* program : {"ventile-ventilator", "ventile-sink"})
    expect_error(start(program, {"--bind", "tcp://0.0.0.0:0"}), 2, "ventile keygen --out keys");
  Process& allowed =
      start("ventile-ventilator", {"--bind", "tcp://0.0.0.0:0", "--insecure", "--range", "0:1", "--function", "index"});
  EXPECT_NE(allowed.line_with("serving tasks of"), "");
  EXPECT_NE(allowed.errors().find("--insecure: whoever can reach"), std::string::npos) << allowed.errors();
}

// --- Signals -------------------------------------------------------------------------------------------------------

TEST_F(CommandTest, a_terminated_worker_finishes_what_runs_hands_back_the_rest_and_leaves) {
  Gate gate{path("gate")};
  gate.mark(0);
  Process& ventilator =
      start_ventilator({"--range", "0:10000", "--function", "hold", "--args", gate.arguments(), "--no-speculate"});
  Process& sink = start_sink({"--format", "raw"});
  Process& leaving = start_worker();
  EXPECT_EQ(gate.next().number, 0);
  leaving.signal(SIGTERM);
  leaving.line_with("again to");
  start_worker();
  sink.output_lines(9'999);  // All but what it runs.
  gate.open(0);
  const Summary summary = exact_summary(ventilator);
  EXPECT_EQ(summary.done, 10'000U);
  EXPECT_EQ(summary.batches_requeued, 0U);
  EXPECT_EQ(leaving.wait(), 0);
}

TEST_F(CommandTest, a_worker_terminated_twice_hands_back_what_it_runs) {
  Gate gate{path("gate")};
  gate.mark(40);
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "hold", "--args", gate.arguments()});
  start_sink();
  Process& leaving = start_worker();
  gate.next();
  leaving.signal(SIGTERM);
  leaving.line_with("again to");
  leaving.signal(SIGTERM);
  EXPECT_EQ(leaving.wait(), 143);
  start_worker();
  EXPECT_EQ(exact_summary(ventilator).done, 1000U);
}

TEST_F(CommandTest, an_interrupted_ventilator_finishes_what_it_has_read) {
  Gate gate{path("gate")};
  gate.mark(1);
  Pipe pipe;
  Process& ventilator =
      start_ventilator({"--function", "hold", "--format", "jsonl", "--args", gate.arguments()}, pipe.reader());
  Process& sink = start_sink();
  start_worker();
  pipe.write("1\n");
  gate.next();
  ventilator.signal(SIGINT);
  ventilator.line_with("finishing what was read");
  pipe.write("2\n");
  gate.open(1);
  EXPECT_EQ(exact_summary(ventilator).done, 1U);
  EXPECT_EQ(sink.wait(), 0);
}

// It once went on with the whole range until the time to drain was over, and then left its job behind.
TEST_F(CommandTest, an_interrupted_range_finishes_what_runs_and_cancels_the_rest) {
  constexpr std::uint64_t all = 1'000'000'000;
  Gate gate{path("gate")};
  gate.mark(0);
  Process& ventilator = start_ventilator(
      {"--range", "0:" + std::to_string(all), "--function", "hold", "--args", gate.arguments(), "--no-speculate"});
  Process& sink = start_sink();
  start_worker();
  gate.next();
  ventilator.signal(SIGINT);
  ventilator.line_with("cancelling the rest of the range");
  gate.open(0);
  const Summary summary = exact_summary(ventilator, 5);
  EXPECT_GE(summary.done, 1U);
  EXPECT_LT(summary.done, all / 2);
  EXPECT_EQ(summary.done + summary.cancelled, all);
  EXPECT_EQ(sink.wait(), 0);
}

// It once left at the first signal, with exit code 0 and the results that its job could not have again.
TEST_F(CommandTest, an_interrupted_sink_collects_the_rest_of_its_job) {
  Gate gate{path("gate")};
  gate.mark(5);
  Process& ventilator = start_ventilator({"--range", "0:10", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink({"--output", path("results"), "--stay"});
  start_worker();
  gate.next();
  sink.signal(SIGINT);
  sink.line_with("again to");
  gate.open(5);
  EXPECT_EQ(exact_summary(ventilator).done, 10U);
  EXPECT_EQ(sink.wait(), 0);
}

TEST_F(CommandTest, a_sink_whose_time_to_drain_is_over_says_so_by_its_exit_code) {
  Gate gate{path("gate")};
  gate.mark(0);
  start_ventilator({"--range", "0:10", "--function", "hold", "--args", gate.arguments()});
  Process& sink = start_sink({"--output", path("results"), "--drain-timeout", "1ms"});
  start_worker();
  gate.next();
  sink.signal(SIGTERM);
  EXPECT_EQ(sink.wait(), 6);
}

TEST_F(CommandTest, an_idle_sink_leaves_at_the_first_signal) {
  address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process& sink = start_sink({"--output", path("results")});
  sink.line_with("collecting for");
  sink.signal(SIGTERM);
  EXPECT_EQ(sink.wait(), 0);
}

class EverySignal : public CommandTest, public testing::WithParamInterface<int> {};

TEST_P(EverySignal, sent_twice_cancels_the_job) {
  Gate gate{path("gate")};
  gate.mark(1);
  Process& ventilator = start_ventilator({"--range", "0:1000", "--function", "hold", "--args", gate.arguments()});
  start_sink();
  start_worker();
  gate.next();
  ventilator.signal(GetParam());
  ventilator.line_with("again to");
  ventilator.signal(GetParam());
  ventilator.line_with("cancel");
  gate.open(1);
  const Summary summary = exact_summary(ventilator, 128 + GetParam());
  EXPECT_EQ(summary.done + summary.cancelled, 1000U);
}

INSTANTIATE_TEST_SUITE_P(OfTwo, EverySignal, testing::Values(SIGINT, SIGTERM),
                         [](const auto& signal) { return signal.param == SIGINT ? "Interrupt" : "Terminate"; });

TEST_F(CommandTest, a_job_over_its_time_ends_with_what_is_done) {
  Gate gate{path("gate")};
  gate.mark(9);
  Process& ventilator = start_ventilator(
      {"--range", "0:10", "--function", "hold", "--args", gate.arguments(), "--job-timeout", "1s", "--no-speculate"});
  start_sink();
  start_worker();
  gate.next();
  EXPECT_EQ(ventilator.wait(), 124);
}

}  // namespace
}  // namespace ventile
