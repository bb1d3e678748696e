// The power goes in the middle of every single operation of the disk.
#include <gtest/gtest.h>

#include "story.hpp"

namespace ventile {
namespace {

constexpr std::uint64_t batches = 40;
constexpr std::uint64_t snapshot_every = 12;

// How far a process came before the power went.
struct Progress {
  std::uint64_t appended = 0;   // Records handed to the journal.
  std::uint64_t committed = 0;  // Those of commits that returned.
};

// Appends batches of growing size, with a snapshot now and then, from where the journal ends.
void live(Folder& folder, Progress& progress) {
  Seen seen;
  Result<std::unique_ptr<Journal>> opened = open_story(folder, seen, small_segments(2048));
  ASSERT_TRUE(opened) << opened.error().message;
  Journal& journal = **opened;
  const std::optional<std::uint64_t> total = seen.total();
  ASSERT_TRUE(total) << "a record is missing";
  ASSERT_GE(*total, progress.committed) << "a committed record is gone";
  ASSERT_LE(*total, progress.appended) << "a record came from nowhere";
  progress = {*total, *total};
  for (std::uint64_t batch = 0; batch < batches; ++batch) {
    if (batch % snapshot_every == snapshot_every - 1) {
      ASSERT_TRUE(journal.append_snapshot(story_kind, record_of(progress.committed)));
    } else {
      for (std::uint64_t i = 0; i <= batch % 9; ++i)
        ASSERT_TRUE(journal.append(story_kind, record_of(progress.appended++)));
    }
    const Status done = journal.commit();
    ASSERT_TRUE(done) << done.error().message;
    progress.committed = progress.appended;
    if (batch % 3 == 0) {
      ASSERT_TRUE(journal.seal());
    }
  }
}

std::uint64_t operations_of_a_life() {
  MemoryDisk disk;
  Progress progress;
  const auto folder = disk.folder();
  live(*folder, progress);
  return disk.operations();
}

class CrashTest : public testing::TestWithParam<Unsynced> {};

TEST_P(CrashTest, nothing_committed_is_lost_wherever_the_power_goes) {
  const std::uint64_t operations = operations_of_a_life();
  ASSERT_GT(operations, 100U);
  for (std::uint64_t at = 1; at <= operations; ++at) {
    MemoryDisk disk;
    const auto folder = disk.folder();
    Progress progress;
    disk.fail_at(at);
    EXPECT_THROW(live(*folder, progress), MemoryDisk::PowerLoss);
    disk.restart(GetParam(), at);
    live(*folder, progress);
    if (HasFatalFailure()) FAIL() << "power lost in operation " << at;
  }
}

TEST_P(CrashTest, nor_when_it_goes_again_and_again_while_recovering) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random{seed};
    MemoryDisk disk;
    const auto folder = disk.folder();
    Progress progress;
    for (int life = 0; life < 12; ++life) {
      disk.fail_at(1 + random() % (life % 2 == 0 ? 120 : 12));
      try {
        live(*folder, progress);
      } catch (const MemoryDisk::PowerLoss&) {
        disk.restart(GetParam(), random());
      }
      if (HasFatalFailure()) FAIL() << "seed " << seed;
    }
  }
}

std::string name_of(const testing::TestParamInfo<Unsynced>& unsynced) {
  return unsynced.param == Unsynced::lost ? "lost" : unsynced.param == Unsynced::kept ? "kept" : "chance";
}
INSTANTIATE_TEST_SUITE_P(Journal, CrashTest, testing::Values(Unsynced::lost, Unsynced::kept, Unsynced::chance),
                         name_of);

}  // namespace
}  // namespace ventile
