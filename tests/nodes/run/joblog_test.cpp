#include <nodes/run/joblog.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const JobLogEntry entry{7, ":", 1700000000.125, 0.25, 0, 12, 3, 0, "echo 'a b'"};

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

JobLogEntry ended(std::uint64_t sequence, std::int64_t exit_value, std::string command) {
  JobLogEntry made;
  made.sequence = sequence;
  made.exit_value = exit_value;
  made.command = std::move(command);
  return made;
}

TEST(JobLogTest, a_line_has_the_columns_of_gnu_parallel) {
  EXPECT_EQ(to_line(entry), "7\t:\t1700000000.125\t     0.250\t0\t12\t3\t0\techo 'a b'\n");
}

TEST(JobLogTest, a_line_reads_back) {
  std::string line = to_line(entry);
  line.pop_back();
  EXPECT_EQ(*parse_job_log_line(line), entry);
  EXPECT_FALSE(parse_job_log_line("7\t:\t1"));
  EXPECT_FALSE(parse_job_log_line("x\t:\t1\t1\t0\t0\t0\t0\tc"));
}

TEST(JobLogTest, a_log_is_begun_anew_or_gone_on_with) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "log";
  for (const bool go_on : {false, true}) {
    auto log = *JobLog::open(path, go_on);
    log->add(entry);
    EXPECT_TRUE(log->flush());
  }
  EXPECT_THAT(*read_job_log(path), ElementsAre(entry, entry));
  EXPECT_THAT(text_of(path),
              testing::StartsWith("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n7\t"));
  { auto log = *JobLog::open(path, false); }
  EXPECT_THAT(*read_job_log(path), ElementsAre());
}

TEST(JobLogTest, a_torn_last_line_is_passed_over_and_does_not_spoil_the_next) {
  const TemporaryFolder folder;
  const std::string path = folder.write("log", to_line(entry) + "8\t:\t17");
  EXPECT_THAT(*read_job_log(path), ElementsAre(entry));
}

TEST(JobLogTest, a_file_that_is_no_log_is_an_error_with_its_line) {
  const TemporaryFolder folder;
  const auto log = read_job_log(folder.write("log", "precious\n"));
  ASSERT_FALSE(log);
  EXPECT_THAT(log.error().message, HasSubstr("log:1: "));
}

TEST(JobLogTest, a_full_disk_is_named) {
  auto log = JobLog::open("/dev/full", true);
  ASSERT_TRUE(log);
  const Status flushed = (*log)->flush();
  ASSERT_FALSE(flushed);
  EXPECT_THAT(flushed.error().message, HasSubstr("/dev/full: No space left on device"));
}

TEST(DoneCommandsTest, a_command_is_known_by_its_text) {
  DoneCommands done{{ended(1, 0, "a"), ended(2, 1, "b")}, false};
  EXPECT_TRUE(done.take("b"));
  EXPECT_TRUE(done.take("a"));
  EXPECT_FALSE(done.take("c"));
}

TEST(DoneCommandsTest, a_command_that_comes_twice_must_have_ended_twice) {
  DoneCommands done{{ended(1, 0, "a"), ended(5, 0, "a")}, false};
  EXPECT_TRUE(done.take("a"));
  EXPECT_TRUE(done.take("a"));
  EXPECT_FALSE(done.take("a"));
}

TEST(DoneCommandsTest, the_last_time_counts) {
  DoneCommands done{{ended(1, 1, "a"), ended(1, 0, "a"), ended(2, 0, "b"), ended(2, 1, "b")}, true};
  EXPECT_TRUE(done.take("a"));
  EXPECT_FALSE(done.take("a"));
  EXPECT_FALSE(done.take("b"));
}

}  // namespace
}  // namespace ventile
