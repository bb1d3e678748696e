// Bytes that are not what was written: a torn tail is cut, everything else is reported.
#include <gtest/gtest.h>

#include "story.hpp"
#include "tests/support/sanitized.hpp"

namespace ventile {
namespace {

// A journal of 64 KB: two full segments and a part of a third, sealed, as a process leaves it that has nothing to do.
class DamageTest : public testing::Test {
protected:
  static constexpr std::uint64_t segment_bytes = 24 << 10;
  MemoryDisk disk;
  std::unique_ptr<Folder> folder = disk.folder();
  std::uint64_t records = 0;
  std::vector<std::string> names;

  void SetUp() override {
    Seen seen;
    Result<std::unique_ptr<Journal>> journal = open_story(*folder, seen, small_segments(segment_bytes));
    ASSERT_TRUE(journal);
    while ((*journal)->end() < (56 << 10)) {
      for (int i = 0; i < 5; ++i) ASSERT_TRUE((*journal)->append(story_kind, record_of(records++)));
      ASSERT_TRUE((*journal)->commit());
    }
    ASSERT_TRUE((*journal)->seal());
    for (const auto& [name, bytes] : disk.files())
      if (segment_position(name)) names.push_back(name);
    ASSERT_EQ(names.size(), 3U);
  }
};

TEST_F(DamageTest, every_flipped_bit_is_reported_or_costs_nothing) {
#if defined(__OPTIMIZE__)
  constexpr std::size_t stride = sanitized ? 61 : 1;  // More than half a million flips: a sanitizer has not the time.
#else
  constexpr std::size_t stride = 61;
#endif
  std::uint64_t reported = 0;
  for (const std::string& name : names) {
    const std::size_t bits = disk.files().at(name).size() * 8;
    for (std::size_t bit = 0; bit < bits; bit += stride) {
      disk.flip(name, bit);
      std::uint64_t seen = 0;
      const Result<JournalContent> content = read_journal(*folder, [&seen](const RecordView& record) {
        seen += number_of(record.payload) == seen ? 1 : 0;
        return Status{};
      });
      if (content && content->damage)
        ++reported;
      else if (!content)
        ASSERT_EQ(content.error().code, Code::invalid) << name << ", bit " << bit;
      else
        ASSERT_EQ(seen, records) << name << ", bit " << bit << ": a record is gone and nothing is said";
      disk.flip(name, bit);
    }
  }
  EXPECT_GT(reported, (std::uint64_t{56} << 10) * 8 / stride) << "every bit of a record matters";
}

// Each prefix of the last segment, as a disk leaves it that lost the end: of what was durable nothing may be missing
// without a word, and of what was not there is nothing or all.
TEST_F(DamageTest, every_prefix_of_the_last_segment_is_read) {
  const auto files = disk.files();
  const std::vector<std::byte>& whole = files.at(names.back());
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    MemoryDisk copy;
    for (const std::string& name : names) copy.put(name, files.at(name));
    std::vector<std::byte> prefix(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    copy.put(names.back(), std::move(prefix));
    const auto cut = copy.folder();
    Seen seen;
    Result<JournalContent> content = read_journal(*cut, [&](const RecordView& record) { return seen.visit(record); });
    ASSERT_TRUE(content);
    ASSERT_TRUE(seen.total()) << size;
    ASSERT_TRUE(content->damage || content->segments.size() == 3) << size;
    ASSERT_EQ((*seen.total()) % 5, 0U) << "half a batch at " << size;
  }
}

TEST_F(DamageTest, damage_is_named_with_its_offset_and_the_command) {
  auto bytes = disk.files().at(names[1]);
  bytes[5'040] ^= std::byte{1};
  disk.put(names[1], bytes);
  Seen seen;
  const Result<std::unique_ptr<Journal>> opened = open_story(*folder, seen, small_segments(segment_bytes));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
  EXPECT_NE(opened.error().message.find(names[1] + " is damaged at byte 5024"), std::string::npos)
      << opened.error().message;
  EXPECT_NE(opened.error().message.find("ventile journal repair disk"), std::string::npos);
}

TEST_F(DamageTest, repair_ends_the_journal_before_the_damage_and_keeps_the_rest_aside) {
  const auto whole = disk.files().at(names[1]);
  auto bytes = whole;
  bytes[5'040] ^= std::byte{1};
  disk.put(names[1], bytes);
  const Result<Repair> repair = repair_journal(*folder);
  ASSERT_TRUE(repair) << repair.error().message;
  EXPECT_GT(repair->records_lost, 0U);
  EXPECT_LT(repair->records_left + repair->records_lost, records) << "the damaged one cannot be counted";
  EXPECT_EQ(repair->kept_aside, (std::vector{names[1] + ".damaged", names[2] + ".damaged"}));
  EXPECT_EQ(disk.files().at(names[1] + ".damaged"), bytes);
  Seen seen;
  Result<std::unique_ptr<Journal>> opened = open_story(*folder, seen, small_segments(segment_bytes));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(seen.total(), repair->records_left);
  ASSERT_TRUE((*opened)->append(story_kind, record_of(repair->records_left)));
  ASSERT_TRUE((*opened)->commit());
}

TEST_F(DamageTest, repair_of_a_damaged_header_removes_its_segment) {
  auto bytes = disk.files().at(names[2]);
  bytes[1] ^= std::byte{1};
  disk.put(names[2], bytes);
  const Result<Repair> repair = repair_journal(*folder);
  ASSERT_TRUE(repair) << repair.error().message;
  EXPECT_EQ(repair->kept_aside, std::vector{names[2] + ".damaged"});
  Seen seen;
  EXPECT_TRUE(open_story(*folder, seen, small_segments(segment_bytes)));
}

TEST_F(DamageTest, a_whole_journal_needs_no_repair) {
  const Result<Repair> repair = repair_journal(*folder);
  ASSERT_TRUE(repair);
  EXPECT_EQ(repair->records_left, records);
  EXPECT_TRUE(repair->kept_aside.empty());
}

}  // namespace
}  // namespace ventile
