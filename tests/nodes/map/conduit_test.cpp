#include <nodes/map/conduit.hpp>

#include <gtest/gtest.h>

#include <thread>

#include <tests/nodes/map/pieces.hpp>

namespace ventile {
namespace {

constexpr Duration guard = std::chrono::seconds{100};
constexpr MapWindowOptions two_tasks{.tasks = 2, .tasks_at_first = 2, .bytes = 1000};

TEST(ConduitTest, the_reader_waits_until_something_is_written) {
  Conduit conduit{true, two_tasks};
  ASSERT_EQ(conduit.wait_for_room(), 2U);
  EXPECT_EQ(conduit.on_submitted(2, 0), (Range{0, 2}));
  std::thread writer{[&] {
    conduit.add(results({0, 1}));
    conduit.on_written(conduit.take(guard)->range);
  }};
  EXPECT_EQ(conduit.wait_for_room(), 1U);
  EXPECT_EQ(conduit.on_submitted(1, 0), (Range{2, 1}));
  writer.join();
}

TEST(ConduitTest, it_is_done_when_the_input_has_ended_and_all_is_written) {
  Conduit conduit{true, {}};
  conduit.on_submitted(1, 0);
  conduit.on_input_ended();
  EXPECT_FALSE(conduit.is_done());
  conduit.add(results({0, 1}));
  conduit.on_written(conduit.take(guard)->range);
  EXPECT_TRUE(conduit.is_done());
  EXPECT_FALSE(conduit.take(guard)) << "and nobody waits";
}

TEST(ConduitTest, a_reader_that_is_told_to_stop_does_not_wait_and_submits_nothing) {
  Conduit conduit{true, two_tasks};
  conduit.on_submitted(2, 0);
  std::thread other{[&] { conduit.stop_reading(); }};
  EXPECT_EQ(conduit.wait_for_room(), 0U);
  EXPECT_FALSE(conduit.on_submitted(1, 0));
  EXPECT_EQ(conduit.submitted(), 2U);
  other.join();
}

TEST(ConduitTest, an_error_ends_it_with_what_is_there) {
  Conduit conduit{true, {}};
  conduit.on_submitted(2, 0);
  conduit.add(results({0, 1}));
  conduit.on_over("the broker is tired");
  EXPECT_TRUE(conduit.take(guard));
  EXPECT_FALSE(conduit.take(guard));
  EXPECT_TRUE(conduit.is_done());
  EXPECT_EQ(conduit.error(), "the broker is tired");
}

}  // namespace
}  // namespace ventile
