#include <ventile/queue/granularity.hpp>

#include <gtest/gtest.h>

#include <chrono>

namespace ventile {
namespace {

using namespace std::chrono_literals;

Granularity after_seeing(Duration each, std::uint64_t batches = 30) {
  Granularity granularity;
  for (std::uint64_t i = 0; i < batches; ++i) granularity.observe(granularity.batch(), each * granularity.batch());
  return granularity;
}

TEST(Granularity, of_an_unknown_function_one_task_is_tried) {
  const Granularity granularity;
  EXPECT_FALSE(granularity.known());
  EXPECT_EQ(granularity.batch(), 1U);
}

TEST(Granularity, a_batch_of_short_tasks_takes_the_target_time) {
  EXPECT_EQ(after_seeing(1us).batch(), 10'000U);
  EXPECT_EQ(after_seeing(100us).batch(), 100U);
}

TEST(Granularity, a_long_task_travels_alone) { EXPECT_EQ(after_seeing(1s).batch(), 1U); }

TEST(Granularity, a_task_shorter_than_the_clock_can_see_counts_as_a_nanosecond) {
  EXPECT_EQ(after_seeing(0ns).batch(), 10'000'000U);
}

TEST(Granularity, a_batch_grows_from_what_was_seen_and_not_by_leaps) {
  Granularity granularity;
  granularity.observe(1, 10ns);
  EXPECT_EQ(granularity.batch(), GranularityOptions{}.growth_max);
}

// A thousand workers got 250 tasks of a microsecond each for ever: the least part of a batch was as large as what was
// seen, and the batch that much larger and no more.
TEST(Granularity, where_many_wait_batches_grow_all_the_same) {
  Granularity granularity;
  granularity.observe(1, 1us);
  for (int round = 0; round < 20; ++round) {
    const std::uint64_t part = std::max<std::uint64_t>(granularity.least(false), 1);
    granularity.observe(part, part * 1us);
  }
  EXPECT_EQ(granularity.batch(), 10'000U);
}

TEST(Granularity, one_slow_task_among_many_makes_batches_a_little_smaller_only) {
  Granularity granularity = after_seeing(1us);
  granularity.observe(1, 100us);  // A page fault.
  EXPECT_GT(granularity.batch(), 2'500U);
}

TEST(Granularity, tasks_that_become_slow_for_good_are_sent_in_small_batches_soon) {
  Granularity granularity = after_seeing(1us);
  for (int i = 0; i < 20; ++i) granularity.observe(1, 10ms);
  EXPECT_EQ(granularity.batch(), 1U);
}

TEST(Granularity, an_observation_of_nothing_teaches_nothing) {
  Granularity granularity;
  granularity.observe(0, 1s);
  EXPECT_FALSE(granularity.known());
}

TEST(Granularity, at_first_a_batch_takes_ten_milliseconds) { EXPECT_EQ(Granularity{}.target(), 10ms); }

// Results come every 10 ms for so long, each of a batch.
void see_results_for(Granularity& granularity, Duration each, Duration time) {
  for (Duration passed{0}; passed <= time; passed += 10ms) {
    granularity.observe_rate(granularity.batch(), 1, TimePoint{} + 1h + passed);
    granularity.observe(granularity.batch(), each * granularity.batch());
  }
}

// Over tcp tasks of 100 us lost 5 % of two cores to moving batches, of which each took 10 ms from beginning to end.
TEST(Granularity, batches_of_a_job_alone_are_longer_where_results_come_for_long) {
  Granularity granularity = after_seeing(100us);
  see_results_for(granularity, 100us, 200ms);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 100U);
  see_results_for(granularity, 100us, 600ms);
  EXPECT_EQ(granularity.target(Granularity::Pace::steady), 30ms);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 300U);
  see_results_for(granularity, 100us, 1min);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 400U);
  EXPECT_EQ(granularity.window(2, true, Granularity::Pace::steady), 2U * 3 * 400);
  EXPECT_EQ(granularity.batch(), 100U) << "where others wait, as ever";
  EXPECT_EQ(granularity.window(2, true), 2U * 3 * 100);
  EXPECT_EQ(granularity.least(false), 100U / 8);
}

TEST(Granularity, after_a_pause_they_are_short_again) {
  Granularity granularity = after_seeing(100us);
  see_results_for(granularity, 100us, 1s);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 400U);
  granularity.observe_submit(TimePoint{} + 1h + 1s + 400ms);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 400U);
  granularity.observe_submit(TimePoint{} + 2h);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 100U) << "before the first result is there";
}

TEST(Granularity, without_a_word_of_what_was_submitted_they_are_short_with_the_next_result) {
  Granularity granularity = after_seeing(100us);
  see_results_for(granularity, 100us, 1s);
  granularity.observe_rate(1, 1, TimePoint{} + 2h);
  granularity.observe(1, 100us);
  EXPECT_EQ(granularity.batch(Granularity::Pace::steady), 100U);
}

TEST(Granularity, tasks_of_which_few_are_a_batch_are_never_gathered_in_longer_ones) {
  for (const Duration each : {Duration{3ms}, Duration{15ms}}) {
    Granularity granularity = after_seeing(each);
    see_results_for(granularity, each, 1min);
    EXPECT_EQ(granularity.batch(Granularity::Pace::steady), granularity.batch());
    EXPECT_EQ(granularity.window(4, true, Granularity::Pace::steady), granularity.window(4, true));
  }
}

TEST(Granularity, a_fold_takes_longer_batches_else_it_reduces_nothing) {
  const Granularity folded{GranularityOptions{}, true};
  EXPECT_EQ(folded.target(), 20ms);
}

TEST(Granularity, every_slot_has_a_batch_that_runs_one_that_waits_and_one_on_its_way) {
  EXPECT_EQ(after_seeing(100us).window(4, true), 4U * 3 * 100);
}

TEST(Granularity, what_waits_for_a_disk_is_as_much_as_the_slots_run_meanwhile) {
  Granularity granularity = after_seeing(100us);
  granularity.observe_round_trip(50ms);
  EXPECT_EQ(granularity.window(4, true), 4U * 500);
  EXPECT_EQ(granularity.window(4, false), 4U);
}

TEST(Granularity, a_short_round_trip_takes_nothing_away) {
  Granularity granularity = after_seeing(100us);
  granularity.observe_round_trip(100us);
  EXPECT_EQ(granularity.window(4, true), 4U * 3 * 100);
}

TEST(Granularity, a_round_trip_is_filled_up_to_a_limit) {
  Granularity granularity = after_seeing(1ms);
  for (int i = 0; i < 20; ++i) granularity.observe_round_trip(1h);
  EXPECT_EQ(granularity.window(1, true), 500U);
}

// So many tasks a second of one slot were done, for a second.
void see_rate(Granularity& granularity, std::uint64_t rate, std::uint64_t slots = 1) {
  for (std::uint64_t i = 0; i <= 100; ++i)
    granularity.observe_rate(rate * slots / 100, slots, TimePoint{} + i * Duration{10ms});
}

TEST(Granularity, what_is_on_a_long_way_waits_beside_two_batches) {
  Granularity granularity = after_seeing(100us);
  granularity.observe_way(150ms);
  see_rate(granularity, 10'000);
  EXPECT_EQ(granularity.window(1, true), 1'500U + 2 * 100);
}

TEST(Granularity, slots_that_waited_are_given_twice_of_what_they_did) {
  Granularity granularity = after_seeing(100us);
  granularity.observe_way(150ms);
  see_rate(granularity, 2'000);
  EXPECT_NEAR(static_cast<double>(granularity.window(1, true)), 2 * 0.150 * 2'000 + 2 * 100, 10);
}

TEST(Granularity, a_way_that_is_long_because_all_slots_wait_for_few_cores_is_not_filled) {
  Granularity granularity = after_seeing(100ns);
  granularity.observe_way(400ms);
  see_rate(granularity, 20'000, 1'000);
  EXPECT_EQ(granularity.window(1, true), 3U * 100'000);
}

TEST(Granularity, a_long_way_is_not_filled_before_it_is_known_what_a_slot_gets_done) {
  Granularity granularity = after_seeing(100us);
  granularity.observe_way(150ms);
  EXPECT_EQ(granularity.window(1, true), 3U * 100);
}

TEST(Granularity, of_long_tasks_those_that_begin_on_a_long_way_wait_too) {
  Granularity granularity = after_seeing(50ms);
  granularity.observe_way(160ms);
  see_rate(granularity, 100);  // More than a slot can: it is the tasks' length that counts.
  EXPECT_EQ(granularity.window(1, true), 4U + 1) << "three, and the one that has just begun";
}

TEST(Granularity, a_batch_is_cut_to_a_millisecond_while_more_comes_and_finer_at_the_end) {
  const Granularity granularity = after_seeing(1us);
  EXPECT_EQ(granularity.least(false), 10'000U / 8);
  EXPECT_EQ(granularity.least(true), 10'000U / 64);
}

TEST(Granularity, a_batch_has_no_more_tasks_than_it_may) {
  Granularity granularity{GranularityOptions{.tasks_max = 50}, false};
  for (int i = 0; i < 10; ++i) granularity.observe(granularity.batch(), 1us * granularity.batch());
  EXPECT_EQ(granularity.batch(), 50U);
}

TEST(Granularity, of_long_tasks_only_one_waits_for_each_slot) { EXPECT_EQ(after_seeing(1s).window(4, true), 8U); }

TEST(Granularity, what_must_not_be_fetched_ahead_fills_the_slots_and_no_more) {
  EXPECT_EQ(after_seeing(100us).window(4, false), 4U);
}

}  // namespace
}  // namespace ventile
