#include <nodes/summary.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

JobSummary clean_job() {
  JobSummary summary;
  summary.job = "00ff";
  summary.duration = 2s;
  summary.submitted = summary.done = summary.settled = 100'000;
  summary.workers_seen = 4;
  return summary;
}

JobSummary troubled_job() {
  JobSummary summary = clean_job();
  summary.name = "night";
  summary.done = 99'990;
  summary.failed = 9;
  summary.dead = 1;
  summary.batches_requeued = 3;
  summary.retries = 5;
  summary.begun_again = 2;
  for (Number task = 0; task < 9; ++task) summary.failures.add({task * 10, 1}, "exit status 3: no such file");
  summary.failures.add({77, 1}, "killed by signal 11");
  summary.failed_file = "bad tasks.txt";
  summary.command = {"ventile-ventilator", "--input", "all.txt", "--exec=a b", "--failed", "bad tasks.txt"};
  return summary;
}

TEST(SummaryTest, a_clean_job_takes_two_lines) {
  EXPECT_EQ(summary_text(clean_job()),
            "job 00ff: 100000 done in 2.0s (50.0k/s) by 4 workers\n"
            "audit: submitted 100000 = done 100000 + failed 0; lost 0, counted twice 0\n");
}

TEST(SummaryTest, a_troubled_job_says_what_failed_and_how_to_run_it_again) {
  EXPECT_EQ(summary_text(troubled_job()),
            "job night: 99990 done, 9 failed, 1 dead in 2.0s (50.0k/s) by 4 workers, 3 batches requeued, 5 retries, "
            "2 begun again (--on-lost rerun)\n"
            "audit: submitted 100000 = done 99990 + failed 9 + dead 1; lost 0, counted twice 0\n"
            "failures:\n"
            "       9 × exit status 3: no such file (tasks 0, 10, 20, 30, 40, …)\n"
            "       1 × killed by signal 11 (task 77)\n"
            "run them again: ventile-ventilator '--exec=a b' --input 'bad tasks.txt'\n");
}

TEST(SummaryTest, an_audit_that_does_not_come_out_says_so) {
  JobSummary summary = clean_job();
  summary.done = summary.settled = 99'998;
  EXPECT_EQ(audit_line(summary), "audit: submitted 100000 != done 99998 + failed 0; lost 2, counted twice 0");
  summary = clean_job();
  summary.failed = 1;
  EXPECT_EQ(audit_line(summary), "audit: submitted 100000 != done 100000 + failed 1; lost 0, counted twice 1");
}

TEST(SummaryTest, a_loss_is_not_hidden_by_a_number_counted_twice) {
  JobSummary summary = clean_job();
  summary.settled = 99'999;
  EXPECT_EQ(audit_line(summary), "audit: submitted 100000 = done 100000 + failed 0; lost 1, counted twice 1");
}

TEST(SummaryTest, failures_beyond_the_ten_largest_groups_are_counted) {
  JobSummary summary = clean_job();
  for (Number task = 0; task < 15; ++task) summary.failures.add({task, 1}, "message " + std::to_string(task));
  const std::string text = summary_text(summary);
  EXPECT_THAT(text, HasSubstr("message 9 (task 9)\n       5 × other messages\n"));
  EXPECT_THAT(text, HasSubstr("give --failed FILE"));
  EXPECT_THAT(text, Not(HasSubstr("run them again")));
}

TEST(SummaryTest, the_json_document_carries_the_same_facts) {
  const auto document = nlohmann::json::parse(summary_json(troubled_job()));
  EXPECT_EQ(document["schema"], 1);
  EXPECT_EQ(document["job"], "00ff");
  EXPECT_EQ(document["seconds"], 2.0);
  EXPECT_TRUE(document["seconds"].is_number_float());
  EXPECT_EQ(document["outcomes"]["done"], 99'990);
  EXPECT_EQ(document["outcomes"]["dead"], 1);
  EXPECT_EQ(document["batches_requeued"], 3);
  EXPECT_EQ(document["audit"], (nlohmann::json{{"settled", 100'000}, {"lost", 0}, {"counted_twice", 0}}));
  EXPECT_EQ(document["failures"][0]["count"], 9);
  EXPECT_EQ(document["failures"][1]["first_tasks"], nlohmann::json{77});
  EXPECT_EQ(document["failures_total"], 10);
}

TEST(SummaryTest, a_message_that_is_not_utf8_still_makes_a_document) {
  JobSummary summary = clean_job();
  summary.failures.add({0, 1}, "\xff");
  EXPECT_TRUE(nlohmann::json::accept(summary_json(summary)));
}

TEST(SummaryTest, the_rerun_replaces_every_spelling_of_the_old_input) {
  EXPECT_EQ(rerun_command({"v", "-i", "a", "--input=b", "-ic", "--failed=f", "--insecure", "-q"}, "f"),
            "v --insecure -q --input f");
  EXPECT_EQ(rerun_command({"v", "--args", "[\"it's\"]", "--range", "0:9"}, "f"), "v --args '[\"it'\\''s\"]' --input f");
  EXPECT_EQ(rerun_command({"v", "--input"}, "f"), "v --input f");
}

}  // namespace
}  // namespace ventile
