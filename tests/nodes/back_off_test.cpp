#include <nodes/up/back_off.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

using namespace std::chrono_literals;

TEST(BackOffTest, who_dies_young_waits_twice_as_long_each_time_up_to_a_limit) {
  BackOff back_off;
  EXPECT_EQ(back_off.on_death(0s), 100ms);
  EXPECT_EQ(back_off.on_death(1s), 200ms);
  EXPECT_EQ(back_off.on_death(9s), 400ms);
  for (int i = 0; i < 10; ++i) back_off.on_death(0s);
  EXPECT_EQ(back_off.on_death(0s), BackOff::longest);
  EXPECT_EQ(back_off.on_death(0s), BackOff::longest);
}

TEST(BackOffTest, a_long_life_begins_anew) {
  BackOff back_off;
  for (int i = 0; i < 10; ++i) back_off.on_death(0s);
  EXPECT_EQ(back_off.on_death(10s), 100ms);
  EXPECT_EQ(back_off.on_death(0s), 200ms);
}

}  // namespace
}  // namespace ventile
