#include <nodes/failed_inputs.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <ventile/wire/pack.hpp>

#include "tests/nodes/temporary_folder.hpp"

namespace ventile {
namespace {

using testing::HasSubstr;

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>(file), {}};
}

Buffer packed(std::string_view text) {
  Buffer buffer;
  Packer{buffer}.pack_string(text);
  return buffer;
}

class FailedInputsTest : public testing::Test {
protected:
  TemporaryFolder folder;
  std::string path = folder.path() / "failed";

  FailedInputs open(InputFormat format, const IndexRule& index = {}) {
    return std::move(*FailedInputs::open(path, format, index));
  }
};

TEST_F(FailedInputsTest, texts_are_written_as_they_were_read) {
  FailedInputs failed = open(InputFormat::lines);
  failed.add(packed("one two"));
  failed.add(packed(""));
  ASSERT_TRUE(failed.close());
  EXPECT_EQ(text_of(path), "one two\n\n");
}

TEST_F(FailedInputsTest, values_are_lines_of_json) {
  FailedInputs failed = open(InputFormat::jsonl);
  failed.add(packed("one"));
  ASSERT_TRUE(failed.close());
  EXPECT_EQ(text_of(path), "\"one\"\n");
}

TEST_F(FailedInputsTest, indices_are_the_values_that_the_function_was_given) {
  FailedInputs failed = open(InputFormat::jsonl, {.enabled = true, .start = -1, .step = 10});
  failed.add_indices({0, 3});
  ASSERT_TRUE(failed.close());
  EXPECT_EQ(text_of(path), "-1\n9\n19\n");
}

TEST_F(FailedInputsTest, a_long_range_is_written_at_the_end) {
  FailedInputs failed = open(InputFormat::jsonl, {.enabled = true});
  failed.add_indices({10, 100'000});
  failed.add_indices({5, 1});
  ASSERT_TRUE(failed.close());
  const std::string text = text_of(path);
  EXPECT_EQ(text.substr(0, 8), "5\n10\n11\n");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100'001);
}

// It once went on for a range that would have taken years.
TEST_F(FailedInputsTest, a_full_disk_ends_a_long_range) {
  path = "/dev/full";
  FailedInputs failed = open(InputFormat::jsonl, {.enabled = true});
  failed.add_indices({0, std::uint64_t{1} << 60});
  const Status closed = failed.close();
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("/dev/full: No space left"));
}

TEST_F(FailedInputsTest, a_file_that_cannot_be_written_is_named) {
  const auto failed = FailedInputs::open("/nowhere/failed", InputFormat::lines, {});
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("/nowhere/failed"));
}

}  // namespace
}  // namespace ventile
