#include <nodes/run/results_folder.hpp>
#include <nodes/run/spill.hpp>
#include <nodes/run/time_limit.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>

#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::string text_of(const CapturedOutput& output, const SpillFile& file) {
  std::string text;
  for (const Extent& extent : output.spilled)
    EXPECT_TRUE(file.read(extent, [&](std::string_view piece) {
      text += piece;
      return Status{};
    }));
  return text + output.bytes;
}

TEST(SpillTest, little_output_stays_in_memory) {
  const TemporaryFolder folder;
  SpillFile file{folder.path()};
  OutputCapture capture{file};
  EXPECT_TRUE(capture.add("abc"));
  EXPECT_EQ(capture.tail(2), "bc");
  const CapturedOutput output = capture.take();
  EXPECT_TRUE(output.spilled.empty());
  EXPECT_EQ(output.bytes, "abc");
}

TEST(SpillTest, outputs_that_are_too_large_share_a_file_without_a_name) {
  const TemporaryFolder folder;
  SpillFile file{folder.path()};
  OutputCapture one{file};
  OutputCapture other{file};
  std::string text;
  for (int i = 0; i < 50'000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    text += line;
    ASSERT_TRUE(one.add(line));
    ASSERT_TRUE(other.add(line));
  }
  EXPECT_EQ(one.tail(6), text.substr(text.size() - 6));
  EXPECT_TRUE(one.tail(60'000) == text.substr(text.size() - 60'000));
  const CapturedOutput output = one.take();
  EXPECT_FALSE(output.spilled.empty());
  EXPECT_EQ(output.size(), text.size());
  EXPECT_TRUE(text_of(output, file) == text);
  EXPECT_TRUE(text_of(other.take(), file) == text);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(SpillTest, a_folder_that_cannot_take_it_is_named) {
  SpillFile file{"/nonexistent"};
  OutputCapture capture{file};
  const Status added = capture.add(std::string(OutputCapture::memory_bytes_max + 1, 'x'));
  ASSERT_FALSE(added);
  EXPECT_THAT(added.error().message, HasSubstr("/nonexistent"));
}

TEST(ResultsFolderTest, no_argument_leads_out_of_the_folder) {
  for (const char* text : {"..", ".", "../../etc/passwd", "/etc/passwd", "", "a/../b", "\\..", "\\"}) {
    const std::string name = result_file_name(text);
    EXPECT_EQ(name.find('/'), std::string::npos) << text;
    EXPECT_TRUE(!name.empty() && name != "." && name != "..") << text;
  }
}

TEST(ResultsFolderTest, different_arguments_have_different_names) {
  const std::vector<std::string> texts{"",
                                       ".",
                                       "..",
                                       "\\.",
                                       "\\..",
                                       "/",
                                       "\\_",
                                       "_",
                                       "\\e",
                                       "\\",
                                       "\\\\",
                                       std::string(300, 'x'),
                                       std::string(301, 'x'),
                                       std::string(255, 'x')};
  std::set<std::string> names;
  for (const std::string& text : texts) {
    EXPECT_TRUE(names.insert(result_file_name(text)).second) << text;
    EXPECT_LE(result_file_name(text).size(), 255U);
  }
}

TEST(ResultsFolderTest, a_task_has_three_files) {
  const TemporaryFolder folder;
  SpillFile spill{folder.path()};
  const ResultsFolder results{folder.path() / "out", {"color"}};
  RunReport report;
  report.sequence = 5;
  report.arguments = {"red", "a/b"};
  report.standard_output.bytes = "out";
  report.standard_error.bytes = "err";
  ASSERT_TRUE(results.write(report, spill));
  const auto place = folder.path() / "out/color/red/2/a\\_b";
  EXPECT_EQ(text_of(place / "stdout"), "out");
  EXPECT_EQ(text_of(place / "stderr"), "err");
  EXPECT_EQ(text_of(place / "seq"), "5");
}

TEST(TimeLimitTest, seconds_are_a_limit_from_the_start) {
  EXPECT_EQ(TimeLimit{"1.5"}.now(), 1500ms);
  EXPECT_EQ(TimeLimit{""}.now(), 0s);
  EXPECT_FALSE(TimeLimit::check("soon"));
  EXPECT_FALSE(TimeLimit::check("x%"));
}

TEST(TimeLimitTest, percents_are_of_the_median_once_three_have_ended) {
  TimeLimit limit{"200%"};
  limit.add(1s);
  limit.add(100s);
  EXPECT_EQ(limit.now(), 0s);
  limit.add(3s);
  EXPECT_EQ(limit.now(), 6s);
}

TEST(TimeLimitTest, the_median_is_of_the_latest) {
  TimeLimit limit{"100%"};
  for (std::size_t i = 0; i < TimeLimit::kept_max; ++i) limit.add(1s);
  for (std::size_t i = 0; i < TimeLimit::kept_max; ++i) limit.add(5s);
  EXPECT_EQ(limit.now(), 5s);
}

}  // namespace
}  // namespace ventile
