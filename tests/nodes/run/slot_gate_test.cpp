#include <nodes/run/early_halt.hpp>
#include <nodes/run/slot_gate.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

namespace ventile {
namespace {

// Enters on a thread of its own.
std::future<std::optional<std::uint32_t>> enter(SlotGate& gate, Number number, std::stop_token stop = {}) {
  return std::async(std::launch::async, [&gate, number, stop] { return gate.enter(number, stop); });
}

TEST(SlotGateTest, the_lowest_free_slot_is_given) {
  SlotGate gate{{.slots = 2}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  EXPECT_EQ(gate.enter(1, {}), 1U);
  gate.leave(0);
  EXPECT_EQ(gate.enter(2, {}), 0U);
}

TEST(SlotGateTest, who_comes_first_waits_for_lower_numbers_if_the_order_counts) {
  SlotGate gate{{.slots = 1, .in_order = true}};
  auto second = enter(gate, 1);
  EXPECT_EQ(gate.enter(0, {}), 0U);  // Although the other one may be there already.
  gate.leave(0);
  EXPECT_EQ(second.get(), 0U);
}

TEST(SlotGateTest, a_number_that_comes_again_needs_no_others) {
  SlotGate gate{{.slots = 1, .in_order = true}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  gate.leave(0);
  EXPECT_EQ(gate.enter(0, {}), 0U);
}

TEST(SlotGateTest, never_more_than_the_slots_are_inside) {
  SlotGate gate{{.slots = 3, .in_order = true}};
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::vector<std::jthread> threads;
  for (Number first = 0; first < 8; ++first) {
    threads.emplace_back([&, first] {
      for (Number number = first; number < 800; number += 8) {
        const auto slot = gate.enter(number, {});
        const int now = ++inside;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        --inside;
        gate.leave(*slot);
      }
    });
  }
  threads.clear();
  EXPECT_LE(most, 3);
}

TEST(SlotGateTest, a_closed_gate_lets_nobody_pass) {
  SlotGate gate{{.slots = 1}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  auto waiting = enter(gate, 1);
  gate.close();
  EXPECT_EQ(waiting.get(), std::nullopt);
  gate.leave(0);
  EXPECT_EQ(gate.enter(2, {}), std::nullopt);
}

TEST(SlotGateTest, a_stop_ends_the_wait) {
  SlotGate gate{{.slots = 1}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  std::stop_source stop;
  auto waiting = enter(gate, 1, stop.get_token());
  stop.request_stop();
  EXPECT_EQ(waiting.get(), std::nullopt);
  gate.leave(0);
  EXPECT_EQ(gate.enter(2, {}), 0U);
}

// Entering once waited, with the lock held, for the callback of a stop, which waited for the lock.
TEST(SlotGateTest, a_stop_at_any_moment_does_no_harm) {
  SlotGate gate{{.slots = 1}};
  for (Number number = 0; number < 2000; ++number) {
    std::stop_source stop;
    const std::jthread stopping{[&] { stop.request_stop(); }};
    if (const auto slot = gate.enter(number, stop.get_token())) gate.leave(*slot);
  }
  EXPECT_EQ(gate.enter(2000, {}), 0U);
}

TEST(SlotGateTest, ahead_of_time_one_passes_after_the_other) {
  SlotGate gate{{.slots = 1, .ahead = 2, .in_order = true}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  auto second = enter(gate, 1);
  auto third = enter(gate, 2);
  gate.queued(0);
  EXPECT_EQ(second.get(), 1U);  // And not the third, before the second is queued.
  gate.leave(1);                // It never came so far.
  EXPECT_EQ(third.get(), 1U);
  gate.queued(1);
  EXPECT_EQ(gate.enter(3, {}), 2U);
  gate.queued(2);
  auto fifth = enter(gate, 4);  // All places are taken.
  gate.leave(0);
  EXPECT_EQ(fifth.get(), 0U);
}

TEST(SlotGateTest, who_has_passed_hears_that_it_closes) {
  SlotGate gate{{.slots = 1, .ahead = 1}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  EXPECT_FALSE(gate.closing().stop_requested());
  gate.close();
  EXPECT_TRUE(gate.closing().stop_requested());
}

TEST(SlotGateTest, starts_are_the_delay_apart) {
  SlotGate gate{{.slots = 2, .delay = std::chrono::milliseconds{30}}};
  const TimePoint before = Clock::now();
  gate.enter(0, {});
  gate.enter(1, {});
  EXPECT_GE(Clock::now() - before, std::chrono::milliseconds{30});
}

TEST(SlotGateTest, nobody_passes_until_there_is_room) {
  std::atomic<int> asked{0};
  SlotGate gate{{.slots = 1, .has_room = [&] { return ++asked == 3; }, .room_interval = std::chrono::milliseconds{1}}};
  EXPECT_EQ(gate.enter(0, {}), 0U);
  EXPECT_EQ(asked, 3);
}

TEST(EarlyHaltTest, the_gate_closes_with_the_task_that_decides) {
  auto gate = std::make_shared<SlotGate>(SlotGateOptions{.slots = 2});
  EarlyHalt halt{*parse_halt("soon,fail=2"), gate};
  halt.on_ended(false);
  halt.on_ended(true);
  EXPECT_FALSE(gate->closed());
  halt.on_ended(false);
  EXPECT_TRUE(halt.reached());
  EXPECT_TRUE(gate->closed());
}

TEST(EarlyHaltTest, a_percentage_is_left_to_those_who_know_the_total) {
  auto gate = std::make_shared<SlotGate>(SlotGateOptions{.slots = 2});
  EarlyHalt halt{*parse_halt("soon,fail=1%"), gate};
  for (int i = 0; i < 5; ++i) halt.on_ended(false);
  EXPECT_FALSE(gate->closed());
}

}  // namespace
}  // namespace ventile
