#include <nodes/map/map_window.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

constexpr MapWindowOptions small{.tasks = 100, .tasks_at_first = 10, .bytes = 1000};

TEST(MapWindowTest, it_opens_as_results_are_written) {
  MapWindow window{small};
  EXPECT_EQ(window.room(0), 10U);
  window.on_submitted({0, 10}, 10);
  EXPECT_EQ(window.room(0), 0U);
  window.on_written({0, 5});
  EXPECT_EQ(window.room(0), 5U);
  window.on_written({5, 5});
  EXPECT_EQ(window.room(0), 20U);
  window.on_submitted({10, 20}, 20);
  window.on_written({10, 20});
  window.on_submitted({30, 60}, 60);
  window.on_written({30, 60});
  EXPECT_EQ(window.room(0), 100U) << "and no further";
}

TEST(MapWindowTest, input_counts_until_all_of_its_block_is_written) {
  MapWindow window{small};
  window.on_submitted({0, 2}, 600);
  window.on_submitted({2, 2}, 600);
  EXPECT_EQ(window.room(0), 0U);
  window.on_written({1, 2});
  EXPECT_EQ(window.room(0), 0U);
  window.on_written({0, 1});
  EXPECT_GT(window.room(0), 0U);
}

TEST(MapWindowTest, results_that_wait_count_as_well) {
  MapWindow window{small};
  window.on_submitted({0, 1}, 400);
  EXPECT_GT(window.room(599), 0U);
  EXPECT_EQ(window.room(600), 0U);
}

TEST(MapWindowTest, a_task_larger_than_the_window_is_let_in_alone) {
  MapWindow window{small};
  EXPECT_GT(window.room(5000), 0U);
  window.on_submitted({0, 1}, 5000);
  EXPECT_EQ(window.room(0), 0U);
  window.on_written({0, 1});
  EXPECT_GT(window.room(0), 0U);
}

}  // namespace
}  // namespace ventile
