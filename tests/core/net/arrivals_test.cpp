#include <ventile/net/arrivals.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint start{std::chrono::hours{1}};

TEST(Arrivals, no_more_than_run_out_are_no_crowd) {
  Arrivals arrivals{{.per_second = 100, .at_once = 10}};
  for (int i = 0; i < 1'000; ++i) {
    arrivals.on_look(1, start + i * milliseconds{10});
    ASSERT_FALSE(arrivals.crowded()) << i;
  }
}

TEST(Arrivals, they_are_a_crowd_when_the_bucket_is_full) {
  Arrivals arrivals{{.per_second = 100, .at_once = 10}};
  arrivals.on_look(9, start);
  EXPECT_FALSE(arrivals.crowded());
  arrivals.on_look(1, start);
  EXPECT_TRUE(arrivals.crowded());
}

TEST(Arrivals, more_than_run_out_become_a_crowd) {
  Arrivals arrivals{{.per_second = 100, .at_once = 10}};
  int looks = 0;
  for (; !arrivals.crowded() && looks < 100; ++looks) arrivals.on_look(2, start + looks * milliseconds{10});
  EXPECT_EQ(looks, 9);
}

TEST(Arrivals, they_are_a_crowd_until_all_have_run_out) {
  Arrivals arrivals{{.per_second = 100, .at_once = 10}};
  arrivals.on_look(10, start);
  arrivals.on_look(0, start + milliseconds{99});
  EXPECT_TRUE(arrivals.crowded());
  arrivals.on_look(0, start + milliseconds{100});
  EXPECT_FALSE(arrivals.crowded());
}

TEST(Arrivals, they_are_none_any_more_when_they_come_slowly) {
  Arrivals arrivals{{.per_second = 100, .at_once = 10}};
  arrivals.on_look(10, start);
  int looks = 0;
  for (; arrivals.crowded() && looks < 1'000; ++looks) arrivals.on_look(1, start + looks * milliseconds{20});
  EXPECT_LT(looks, 1'000);
}

TEST(Arrivals, however_many_have_come_it_ends_as_soon) {
  Arrivals arrivals{{.per_second = 100, .at_once = 10}};
  arrivals.on_look(1'000'000, start);
  arrivals.on_look(0, start + milliseconds{100});
  EXPECT_FALSE(arrivals.crowded());
}

}  // namespace
}  // namespace ventile
