#include <ventile/queue/feed.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

constexpr FeedOptions options{.window_bytes = 1'000, .window_tasks = 50, .slot_bytes = 300};

TEST(Feed, reads_until_a_slot_has_enough) {
  Feed feed{options};
  feed.on_submitted(1, 299);
  EXPECT_TRUE(feed.wants_more());
  feed.on_submitted(1, 1);
  EXPECT_FALSE(feed.wants_more());
}

TEST(Feed, reads_more_for_more_slots_and_never_beyond_its_window) {
  Feed feed{options};
  feed.on_submitted(1, 800);
  EXPECT_FALSE(feed.wants_more());
  feed.on_slots(3);
  EXPECT_TRUE(feed.wants_more());
  feed.on_submitted(1, 200);
  feed.on_slots(1'000'000'000'000);
  EXPECT_FALSE(feed.wants_more());
  feed.on_released(1);
  EXPECT_TRUE(feed.wants_more());
}

TEST(Feed, lets_one_task_in_that_is_larger_than_the_window_when_nothing_else_is_there) {
  Feed feed{options};
  EXPECT_TRUE(feed.wants_more());
  feed.on_submitted(1, 5'000);
  EXPECT_FALSE(feed.wants_more());
  feed.on_settled(1);
  EXPECT_TRUE(feed.wants_more());
}

}  // namespace
}  // namespace ventile
