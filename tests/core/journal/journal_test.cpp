#include <ventile/journal/journal.hpp>

#include <gtest/gtest.h>

#include "story.hpp"

namespace ventile {
namespace {

class JournalTest : public testing::Test {
protected:
  MemoryDisk disk;
  std::unique_ptr<Folder> folder = disk.folder();
  Seen seen;
  std::unique_ptr<Journal> journal;

  void open(JournalOptions options = small_segments()) {
    journal.reset();
    seen = {};
    Result<std::unique_ptr<Journal>> opened = open_story(*folder, seen, std::move(options));
    ASSERT_TRUE(opened) << opened.error().message;
    journal = std::move(*opened);
  }
  void write(std::uint64_t first, std::uint64_t count) {
    for (std::uint64_t n = first; n < first + count; ++n) ASSERT_TRUE(journal->append(story_kind, record_of(n)));
    const Status done = journal->commit();
    ASSERT_TRUE(done) << done.error().message;
  }
  std::size_t segments() const {
    std::size_t count = 0;
    for (const auto& [name, bytes] : disk.files()) count += segment_position(name) ? 1 : 0;
    return count;
  }
};

TEST_F(JournalTest, what_was_committed_is_read_back_in_order) {
  open();
  EXPECT_TRUE(journal->fresh());
  write(0, 3);
  write(3, 200);
  open();
  EXPECT_FALSE(journal->fresh());
  EXPECT_EQ(seen.total(), 203U);
  EXPECT_GT(segments(), 1U);
  write(203, 1);
  open();
  EXPECT_EQ(seen.total(), 204U);
}

// A process that is opened again before it had anything to write down seals nothing, at position 0.
TEST_F(JournalTest, a_journal_that_was_sealed_before_its_first_record_is_whole) {
  open();
  open();
  ASSERT_TRUE(journal->seal());
  write(0, 3);
  open();
  EXPECT_EQ(seen.total(), 3U);
  ASSERT_TRUE(journal->seal());
  open();
  EXPECT_EQ(seen.total(), 3U);
}

TEST_F(JournalTest, what_was_not_committed_is_not_there) {
  open();
  write(0, 1);
  ASSERT_TRUE(journal->append(story_kind, record_of(1)));
  open();
  EXPECT_EQ(seen.total(), 1U);
}

TEST_F(JournalTest, a_record_larger_than_a_segment_gets_one_of_its_own) {
  open();
  write(0, 1);
  Buffer large = record_of(1);
  large.extend(100'000);
  ASSERT_TRUE(journal->append(9, large));
  ASSERT_TRUE(journal->commit());
  std::uint64_t size = 0;
  ASSERT_TRUE(read_journal(*folder, [&](const RecordView& record) {
    if (record.kind == 9) size = record.payload.size();
    return Status{};
  }));
  EXPECT_EQ(size, large.size());
}

TEST_F(JournalTest, a_record_over_the_limit_is_refused_and_changes_nothing) {
  JournalOptions options = small_segments();
  options.record_bytes_max = 100;
  open(options);
  write(0, 1);
  Buffer large;
  large.extend(101);
  EXPECT_EQ(journal->append(story_kind, large).error().code, Code::invalid);
  write(1, 1);
  open();
  EXPECT_EQ(seen.total(), 2U);
}

TEST_F(JournalTest, a_snapshot_stands_for_what_was_before_and_removes_it) {
  open();
  for (std::uint64_t n = 0; n < 500; n += 50) write(n, 50);
  const std::size_t before = segments();
  ASSERT_TRUE(journal->append_snapshot(story_kind, record_of(500)));
  EXPECT_FALSE(journal->append(story_kind, record_of(500))) << "a snapshot is alone in its batch";
  ASSERT_TRUE(journal->commit());
  EXPECT_GT(before, 2U);
  EXPECT_EQ(segments(), 1U);
  write(500, 2);
  open();
  EXPECT_EQ(seen.before, 500U);
  EXPECT_EQ(seen.total(), 502U);
}

TEST_F(JournalTest, a_journal_without_its_beginning_is_damaged) {
  open();
  write(0, 100);
  write(100, 100);
  disk.drop(segment_name(0));
  journal.reset();
  const Result<std::unique_ptr<Journal>> opened = open_story(*folder, seen);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
}

TEST_F(JournalTest, a_missing_segment_is_damage) {
  open();
  for (std::uint64_t n = 0; n < 400; n += 50) write(n, 50);
  std::vector<std::string> names;
  for (const auto& [name, bytes] : disk.files())
    if (segment_position(name)) names.push_back(name);
  ASSERT_GT(names.size(), 2U);
  disk.drop(names[1]);
  journal.reset();
  EXPECT_EQ(open_story(*folder, seen).error().code, Code::corrupt);
}

TEST_F(JournalTest, the_journal_of_another_role_is_refused) {
  open();
  write(0, 1);
  journal.reset();
  const Result<std::unique_ptr<Journal>> opened = open_story(*folder, seen, {.owner = "sink", .segment_bytes = 4096});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::invalid);
  EXPECT_EQ(opened.error().message, "disk is the journal of a test, not of a sink; give each its own folder");
}

// --- A full and a broken disk ------------------------------------------------------------------------------------

TEST_F(JournalTest, on_a_full_disk_what_was_begun_is_finished_and_nothing_new_begins) {
  open();
  write(0, 1);
  ASSERT_TRUE(journal->has_room());
  disk.limit(disk.bytes());
  std::uint64_t n = 1;
  while (journal->has_room()) write(n++, 1);
  write(n, 20);  // Into what was kept in reserve.
  n += 20;
  disk.limit(UINT64_MAX);
  EXPECT_TRUE(journal->has_room());
  write(n, 1);
  open();
  EXPECT_EQ(seen.total(), n + 1);
}

TEST_F(JournalTest, a_batch_that_found_no_room_can_be_tried_again) {
  open();
  disk.limit(disk.bytes());
  std::uint64_t n = 0;
  Status done;
  while (done) {
    ASSERT_TRUE(journal->append(story_kind, record_of(n++)));
    done = journal->commit();
  }
  EXPECT_EQ(done.error().code, Code::overloaded);
  disk.limit(UINT64_MAX);
  ASSERT_TRUE(journal->commit());
  open();
  EXPECT_EQ(seen.total(), n);
}

TEST_F(JournalTest, after_a_sync_that_failed_nothing_more_is_promised) {
  open();
  write(0, 1);
  disk.break_syncs();
  ASSERT_TRUE(journal->append(story_kind, record_of(1)));
  EXPECT_EQ(journal->commit().error().code, Code::failed);
  EXPECT_FALSE(journal->append(story_kind, record_of(2)));
  EXPECT_FALSE(journal->commit());
  EXPECT_FALSE(journal->has_room());
}

}  // namespace
}  // namespace ventile
