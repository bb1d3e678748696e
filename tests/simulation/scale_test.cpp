// That the model of many workers is one, and what the deciders are to reach in it. Its time is virtual: the same
// figures come out on any machine.
#include "tests/simulation/scale.hpp"

#include <gtest/gtest.h>

namespace ventile::simulation {
namespace {

TEST(ScaleTest, one_seed_is_one_run) {
  const ScaleOptions options{.workers = 20, .task = std::chrono::milliseconds{3}};
  const ScaleReport one = simulate_scale(options);
  const ScaleReport again = simulate_scale(options);
  EXPECT_EQ(one.seconds, again.seconds);
  EXPECT_EQ(one.utilisation, again.utilisation);
  EXPECT_GT(one.tasks, 0U);
}

ScaleOptions far_away(std::uint32_t workers, Duration task) {
  return {.workers = workers, .link = std::chrono::milliseconds{50}, .task = task};
}

// They were busy for a sixth of the time as long as a worker was given the work of 30 ms and no more.
TEST(ScaleTest, workers_at_the_end_of_a_long_link_are_busy_all_the_time) {
  EXPECT_GT(simulate_scale(far_away(50, std::chrono::milliseconds{1})).utilisation, 0.95);
  EXPECT_GT(simulate_scale(far_away(50, std::chrono::milliseconds{10})).utilisation, 0.95);
  EXPECT_GT(simulate_scale(far_away(50, std::chrono::milliseconds{100})).utilisation, 0.95);
}

TEST(ScaleTest, a_dispatcher_that_is_asked_for_too_much_is_busy_and_goes_on) {
  const ScaleReport report = simulate_scale({.workers = 2'000, .batches_max = 100'000});
  EXPECT_GT(report.head_busy, 0.95);
  EXPECT_LT(report.utilisation, 0.6);
  EXPECT_EQ(report.requeued, 0U);
}

TEST(ScaleTest, relays_take_the_load_off_the_head) {
  const ScaleReport report = simulate_scale({.workers = 2'000, .relays = 20, .batches_max = 100'000});
  EXPECT_LT(report.head_busy, 0.2);
  EXPECT_GT(report.utilisation, 0.9);
}

}  // namespace
}  // namespace ventile::simulation
