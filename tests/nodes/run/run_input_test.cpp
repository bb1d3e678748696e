#include <nodes/run/run_input.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include <tests/nodes/temporary_folder.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> blocks_of(std::string_view text, const BlockOptions& options) {
  const TemporaryFolder folder;
  BlockReader blocks{*ByteReader::open(folder.write("input", text)), options};
  std::vector<std::string> all;
  for (std::string block;;) {
    const Result<bool> more = blocks.next(block);
    EXPECT_TRUE(more);
    if (!more || !*more) return all;
    all.push_back(block);
  }
}

TEST(BlockReaderTest, a_block_holds_as_many_whole_records_as_fit) {
  EXPECT_THAT(blocks_of("aa\nbb\ncc\n", {.block_bytes = 6}), ElementsAre("aa\nbb\n", "cc\n"));
  EXPECT_THAT(blocks_of("aa\nbb\ncc\n", {.block_bytes = 7}), ElementsAre("aa\nbb\n", "cc\n"));
  EXPECT_THAT(blocks_of("aa\nbb", {.block_bytes = 100}), ElementsAre("aa\nbb"));
  EXPECT_THAT(blocks_of("", {.block_bytes = 100}), IsEmpty());
}

TEST(BlockReaderTest, a_record_longer_than_a_block_has_its_own) {
  EXPECT_THAT(blocks_of("aaaaaaaa\nb\nc", {.block_bytes = 3}), ElementsAre("aaaaaaaa\n", "b\nc"));
}

TEST(BlockReaderTest, a_block_may_be_so_many_records) {
  EXPECT_THAT(blocks_of("a\nb\nc\n", {.records = 2}), ElementsAre("a\nb\n", "c\n"));
  EXPECT_THAT(blocks_of(">a>b>c", {.record_end = "", .record_start = ">", .records = 2}), ElementsAre(">a>b", ">c"));
}

TEST(BlockReaderTest, records_may_end_or_begin_with_any_text) {
  EXPECT_THAT(blocks_of("aXYbXYc", {.block_bytes = 4, .record_end = "XY"}), ElementsAre("aXY", "bXYc"));
  EXPECT_THAT(blocks_of(">a\n>b\n>c\n", {.block_bytes = 6, .record_end = "\n", .record_start = ">"}),
              ElementsAre(">a\n>b\n", ">c\n"));
  EXPECT_THAT(blocks_of(">a>b>c", {.block_bytes = 4, .record_end = "", .record_start = ">"}),
              ElementsAre(">a>b", ">c"));
}

TEST(BlockReaderTest, bytes_without_records_are_cut_anywhere) {
  EXPECT_THAT(blocks_of("abcde", {.block_bytes = 2, .record_end = ""}), ElementsAre("ab", "cd", "e"));
}

TEST(BlockReaderTest, blocks_add_up_to_the_input_and_end_with_records) {
  std::mt19937 random{3};
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (std::uint32_t i = random() % 200; i > 0; --i) text += "ab\n"[random() % 3];
    std::string sum;
    for (const std::string& block : blocks_of(text, {.block_bytes = 1 + random() % 20})) {
      sum += block;
      EXPECT_TRUE(block.ends_with('\n') || sum.size() == text.size());
    }
    EXPECT_EQ(sum, text);
  }
}

TEST(BlockReaderTest, a_record_without_an_end_in_sight_is_an_error) {
  const TemporaryFolder folder;
  BlockReader blocks{*ByteReader::open(folder.write("input", std::string(400'000, 'x'))),
                     {.block_bytes = 10, .block_bytes_max = 1000}};
  std::string block;
  EXPECT_FALSE(blocks.next(block));
}

std::vector<RunInput> tasks_of(Input& input) {
  std::vector<RunInput> tasks;
  while (true) {
    PayloadWriter block{0};
    const Result<bool> more = input.read(block, 1000, 3);
    EXPECT_TRUE(more);
    if (!more || !*more) return tasks;
    const PayloadView view = block.view();
    for (std::uint32_t i = 0; i < view.count(); ++i) tasks.push_back(*unpack_from<RunInput>(view[i]));
  }
}

TEST(RunInputTest, what_is_passed_over_keeps_its_number) {
  auto arguments = *Arguments::open({SourceSpec{{"a", "b", "c", "d", "e"}, {}, false, false}}, {});
  const auto input = make_run_input(std::move(arguments), [](const std::vector<std::string>& values, std::uint64_t) {
    return values.front() == "b" || values.front() == "c";
  });
  EXPECT_THAT(tasks_of(*input), ElementsAre(RunInput{1, {"a"}, {}}, RunInput{4, {"d"}, {}}, RunInput{5, {"e"}, {}}));
  EXPECT_EQ(input->skipped(), 2U);
}

}  // namespace
}  // namespace ventile
