#include <ventile/queue/job_journal.hpp>

#include <gtest/gtest.h>

#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

TEST(JobJournal, payloads_that_lie_together_are_written_as_those_that_do_not) {
  PayloadWriter payloads{0};
  JobBlock block{70'000, {}};
  const std::string texts[] = {"", "seven", std::string(300, 'x')};
  for (const std::string& text : texts) {
    payloads.append(as_bytes(text));
    block.payloads.push_back(as_bytes(text));
  }
  EXPECT_EQ(as_text(pack_entry(block.first, payloads.view())), as_text(pack_entry(block)));
}

TEST(JobJournal, suspects_are_remembered_until_they_are_found_innocent) {
  JobMemory memory;
  const auto apply = [&memory](const Suspect& suspect) {
    return static_cast<bool>(apply_entry(memory, JobEntryKind::suspected, pack_entry(suspect)));
  };
  ASSERT_TRUE(apply({{0, 100}, 1, 0}));
  ASSERT_TRUE(apply({{0, 50}, 2, 0}));
  ASSERT_TRUE(apply({{60, 40}, 0, 0}));
  EXPECT_EQ(memory.suspects.all(), (std::vector<Suspect>{{{50, 10}, 1, 0}, {{0, 50}, 2, 0}}));
}

TEST(JobJournal, suspects_are_in_a_snapshot) {
  JobMemory before;
  before.specification.name = "nightly";
  before.suspects.note({{7, 1}, 3, 2});
  JobMemory after;
  ASSERT_TRUE(apply_entry(after, JobEntryKind::whole, pack_entry(before)));
  EXPECT_EQ(after.specification.name, "nightly");
  EXPECT_EQ(after.suspects.all(), before.suspects.all());
}

TEST(JobJournal, a_snapshot_of_a_release_that_knew_no_suspects_can_be_read) {
  JobMemory before;
  before.specification.name = "nightly";
  JobMemory after;
  after.suspects.note({{7, 1}, 3, 2});
  ASSERT_TRUE(apply_entry(after, JobEntryKind::whole, pack_to_buffer(before)));
  EXPECT_EQ(after.specification.name, "nightly");
  EXPECT_TRUE(after.suspects.empty());
}

}  // namespace
}  // namespace ventile
