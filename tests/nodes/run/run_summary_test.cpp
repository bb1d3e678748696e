#include <nodes/run/run_summary.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::HasSubstr;

RunSummary failed(const std::vector<std::vector<std::string>>& tasks) {
  RunSummary summary;
  summary.done = 10;
  summary.duration = std::chrono::seconds{2};
  summary.command = {"echo", "{2} {1}"};
  std::uint64_t sequence = 0;
  for (const auto& arguments : tasks) summary.failures.add({++sequence, arguments, {}}, "exit status 3\nlast words");
  return summary;
}

TEST(RunSummaryTest, nothing_is_said_if_nothing_failed) { EXPECT_EQ(summary_text(failed({})), ""); }

TEST(RunSummaryTest, failures_are_grouped_and_the_first_shown_with_their_last_words) {
  RunSummary summary = failed({{"a b"}, {"c"}});
  summary.failures.add({9, {"x"}, {}}, "signal 9 (Killed)");
  const std::string text = summary_text(summary);
  EXPECT_THAT(text, HasSubstr("3 of 13 tasks failed in 2.0s: 2 × exit status 3, 1 × signal 9 (Killed)\n"));
  EXPECT_THAT(text, HasSubstr("  task 1 'a b': exit status 3\n    last words\n"));
}

TEST(RunSummaryTest, the_command_that_runs_them_again_has_only_them) {
  EXPECT_EQ(rerun_command(failed({{"a b"}, {"c"}})), "ventile run echo '{2} {1}' ::: 'a b' c");
  EXPECT_EQ(rerun_command(failed({{"a", "1"}, {"b", "2"}})), "ventile run echo '{2} {1}' ::: a b :::+ 1 2");
  RunSummary named = failed({{"a", "1"}});
  named.names = {"x", "y"};
  named.options = {"--slots=2"};
  EXPECT_EQ(rerun_command(named), "ventile run --slots=2 --header : echo '{2} {1}' ::: x a :::+ y 1");
}

TEST(RunSummaryTest, with_a_log_the_log_runs_them_again) {
  RunSummary summary = failed({{"a"}});
  summary.joblog = "my log";
  EXPECT_EQ(rerun_command(summary), "ventile run --retry-failed --joblog 'my log'");
}

// They ran in another folder, with another limit, the second time.
TEST(RunSummaryTest, with_a_log_the_options_stay_but_for_what_the_log_says_itself) {
  RunSummary summary = failed({{"a"}});
  summary.joblog = "log";
  summary.options = {"--workdir=there", "--joblog=log", "--timeout=3s", "--shell", "--keep-order", "--tagstring=x{2}"};
  EXPECT_EQ(rerun_command(summary),
            "ventile run --retry-failed --joblog log --workdir=there --timeout=3s --keep-order");
  summary.arguments_known = false;  // It came from the log itself.
  EXPECT_EQ(rerun_command(summary),
            "ventile run --retry-failed --joblog log --workdir=there --timeout=3s --keep-order");
}

TEST(RunSummaryTest, a_log_that_does_not_have_all_is_not_named_for_it_would_be_written_anew) {
  RunSummary summary = failed({{"a"}});
  summary.options = {"--stdin", "--joblog=log"};
  EXPECT_EQ(rerun_command(summary), "ventile run --stdin echo '{2} {1}' ::: a");
}

TEST(RunSummaryTest, blocks_that_were_read_cannot_be_had_again) {
  RunSummary summary = failed({{"a"}});
  summary.arguments_known = false;
  summary.reads_blocks = true;
  EXPECT_EQ(rerun_command(summary), "");
  EXPECT_THAT(summary_text(summary), HasSubstr("what --pipe gave them is not kept: run it all again"));
}

TEST(RunSummaryTest, what_is_too_much_for_a_command_line_needs_a_log) {
  std::vector<std::vector<std::string>> many(RunFailures::kept_max + 1, {"a"});
  EXPECT_EQ(rerun_command(failed(many)), "");
  EXPECT_THAT(summary_text(failed(many)), HasSubstr("give --joblog FILE"));
}

TEST(RunSummaryTest, tasks_that_were_not_started_are_counted) {
  RunSummary summary = failed({{"a"}});
  summary.unstarted = 7;
  EXPECT_THAT(summary_text(summary), HasSubstr("7 more were not started"));
}

}  // namespace
}  // namespace ventile
