#include <ventile/journal/writer.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "story.hpp"

namespace ventile {
namespace {

// Waits for what the writer's thread says; never for a time.
class WriterTest : public testing::Test {
protected:
  MemoryDisk disk;
  std::unique_ptr<Folder> folder = disk.folder();
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t persisted = 0;
  bool full = false;
  std::optional<Error> failed;
  std::function<void()> after_commit = [] {};  // On the writer's thread.
  std::unique_ptr<JournalWriter> writer;

  void start(JournalWriterOptions options = {}) {
    Seen seen;
    Result<std::unique_ptr<Journal>> journal = open_story(*folder, seen);
    ASSERT_TRUE(journal);
    options.retry = std::chrono::milliseconds{1};
    writer = std::make_unique<JournalWriter>(
        std::move(*journal), options,
        JournalWriter::Callbacks{{},
                                 [this](std::uint64_t token) {
                                   after_commit();
                                   say([&] { persisted = token; });
                                 },
                                 [this](bool is_full) { say([&] { full = is_full; }); },
                                 [this](const Error& error) { say([&] { failed = error; }); }});
  }
  template <class Change>
  void say(Change change) {
    const std::lock_guard lock{mutex};
    change();
    changed.notify_all();
  }
  template <class Predicate>
  void wait_until(Predicate predicate) {
    std::unique_lock lock{mutex};
    changed.wait(lock, predicate);
  }
  std::uint64_t total() {
    Seen seen;
    EXPECT_TRUE(read_journal(*folder, [&](const RecordView& record) { return seen.visit(record); }));
    return seen.total().value_or(0);
  }
};

TEST_F(WriterTest, a_token_comes_back_when_its_record_is_durable) {
  start();
  ASSERT_TRUE(writer->append(1, story_kind, record_of(0)));
  wait_until([this] { return persisted == 1; });
  writer.reset();
  disk.restart(Unsynced::lost, 1);
  EXPECT_EQ(total(), 1U);
}

TEST_F(WriterTest, what_comes_during_a_flush_shares_the_next_one) {
  start();
  constexpr std::uint64_t count = 5'000;
  for (std::uint64_t n = 0; n < count; ++n) ASSERT_TRUE(writer->append(n + 1, story_kind, record_of(n)));
  wait_until([this] { return persisted == count; });
  EXPECT_LE(writer->flushes(), count);
  writer.reset();
  EXPECT_EQ(total(), count);
}

TEST_F(WriterTest, what_was_accepted_is_written_before_it_stops) {
  start();
  for (std::uint64_t n = 0; n < 100; ++n) ASSERT_TRUE(writer->append(n + 1, story_kind, record_of(n)));
  writer.reset();
  EXPECT_EQ(total(), 100U);
}

TEST_F(WriterTest, a_snapshot_stands_for_what_was_appended_before_it) {
  start();
  for (std::uint64_t n = 0; n < 400; ++n) ASSERT_TRUE(writer->append(n + 1, story_kind, record_of(n)));
  ASSERT_TRUE(writer->append_snapshot(401, story_kind, record_of(400)));
  ASSERT_TRUE(writer->append(402, story_kind, record_of(400)));
  writer.reset();
  EXPECT_EQ(total(), 401U);
  EXPECT_FALSE(disk.files().contains(segment_name(0)));
}

TEST_F(WriterTest, a_full_disk_is_said_and_waited_for) {
  start();
  ASSERT_TRUE(writer->append(1, story_kind, record_of(0)));
  wait_until([this] { return persisted == 1; });
  disk.limit(0);
  std::uint64_t n = 1;
  while (!writer->full()) {
    ASSERT_TRUE(writer->append(n + 1, story_kind, record_of(n)));
    wait_until([&] { return persisted == n + 1 || full; });
    ++n;
  }
  disk.limit(UINT64_MAX);
  wait_until([&] { return persisted == n && !full; });
  writer.reset();
  EXPECT_EQ(total(), n);
}

TEST_F(WriterTest, a_queue_at_its_limit_refuses) {
  start({.queued_bytes_max = 1'000});
  ASSERT_TRUE(writer->append(1, story_kind, record_of(0)));
  wait_until([this] { return persisted == 1; });
  disk.limit(0);
  Status status;
  for (std::uint64_t n = 1; n < 1'000 && status; ++n) status = writer->append(n + 1, story_kind, record_of(n));
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::overloaded);
}

TEST_F(WriterTest, a_sync_that_fails_is_the_last_word) {
  start();
  disk.break_syncs();
  ASSERT_TRUE(writer->append(1, story_kind, record_of(0)));
  wait_until([this] { return failed.has_value(); });
  EXPECT_EQ(failed->code, Code::failed);
  EXPECT_EQ(persisted, 0U);
  EXPECT_FALSE(writer->append(2, story_kind, record_of(1)));
}

// Nobody waits for the seal, and nothing may come that would find the disk broken.
TEST_F(WriterTest, a_seal_that_fails_is_said_at_once) {
  after_commit = [this] { disk.break_writes(); };
  start();
  ASSERT_TRUE(writer->append(1, story_kind, record_of(0)));
  wait_until([this] { return failed.has_value(); });
  EXPECT_EQ(failed->code, Code::failed);
  EXPECT_EQ(persisted, 1U);
  EXPECT_FALSE(writer->append(2, story_kind, record_of(1)));
}

}  // namespace
}  // namespace ventile
