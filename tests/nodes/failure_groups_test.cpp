#include <nodes/failure_groups.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::ElementsAre;

TEST(FailureGroupsTest, the_largest_group_comes_first_and_equals_in_the_order_of_their_tasks) {
  FailureGroups failures;
  failures.add({2, 1}, "other");
  failures.add({1, 1}, "rare");
  for (Number task = 10; task < 13; ++task) failures.add({task, 1}, "often");
  EXPECT_THAT(failures.largest(2), ElementsAre(FailureGroup{"often", 3, {10, 11, 12}}, FailureGroup{"rare", 1, {1}}));
  EXPECT_EQ(failures.count(), 5U);
}

TEST(FailureGroupsTest, only_the_first_few_tasks_are_kept) {
  FailureGroups failures;
  for (Number task = 0; task < 100; ++task) failures.add({task, 1}, "same");
  EXPECT_THAT(failures.largest(1), ElementsAre(FailureGroup{"same", 100, {0, 1, 2, 3, 4}}));
}

TEST(FailureGroupsTest, messages_beyond_the_limit_are_counted_together) {
  FailureGroups failures;
  for (Number task = 0; task < FailureGroups::groups_max + 7; ++task) failures.add({task, 1}, std::to_string(task));
  EXPECT_EQ(failures.largest(2 * FailureGroups::groups_max).size(), FailureGroups::groups_max);
  EXPECT_EQ(failures.other_count(), 7U);
  EXPECT_EQ(failures.count(), FailureGroups::groups_max + 7);
}

// It was once counted task by task, for a minute in which the ventilator answered nobody.
TEST(FailureGroupsTest, a_range_of_any_length_is_one_entry) {
  FailureGroups failures;
  failures.add({7, std::uint64_t{1} << 62}, "cancelled");
  EXPECT_THAT(failures.largest(1), ElementsAre(FailureGroup{"cancelled", std::uint64_t{1} << 62, {7, 8, 9, 10, 11}}));
}

TEST(FailureGroupsTest, a_long_message_is_cut) {
  FailureGroups failures;
  failures.add({0, 1}, std::string(FailureGroups::message_bytes_max, 'x') + "a");
  failures.add({1, 1}, std::string(FailureGroups::message_bytes_max, 'x') + "b");
  EXPECT_THAT(failures.largest(9),
              ElementsAre(FailureGroup{std::string(FailureGroups::message_bytes_max, 'x'), 2, {0, 1}}));
}

}  // namespace
}  // namespace ventile
