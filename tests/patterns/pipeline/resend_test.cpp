#include <ventile/pipeline/resend.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint start{1h};
constexpr LeaseId lease{{9}, 1};

LeaseId lease_of(std::uint64_t number) { return {{9}, number + 1}; }

class ResendTest : public ::testing::Test {
protected:
  Resend resend{{.window_batches = 2, .window_tasks = 1000, .window_bytes = 10'000}};
  std::vector<Resend::Send> sent;
  std::vector<Resend::GiveUp> given_up;

  // Does what it wants, now; returns what was sent for it.
  std::vector<Range> carry_out(TimePoint now) {
    std::vector<Range> ranges;
    for (const Resend::Action& action : resend.take_actions()) {
      if (const auto* give_up = std::get_if<Resend::GiveUp>(&action)) {
        given_up.push_back(*give_up);
        continue;
      }
      sent.push_back(std::get<Resend::Send>(action));
      resend.on_sent(sent.back().id, now);
      ranges.insert(ranges.end(), sent.back().ranges.begin(), sent.back().ranges.end());
    }
    return ranges;
  }
  std::vector<Range> batch(LeaseId of, Range range, TimePoint now) {
    resend.on_batch(of, range, 100);
    return carry_out(now);
  }
  std::vector<Range> tick(TimePoint now) {
    resend.on_tick(now);
    return carry_out(now);
  }
  std::vector<Range> done(LeaseId of, Range range, TimePoint now) {
    resend.on_done(of, range, now);
    return carry_out(now);
  }
};

using Ranges = std::vector<Range>;

TEST_F(ResendTest, a_batch_is_sent_once_if_nothing_is_lost) {
  EXPECT_EQ(batch(lease, {0, 10}, start), (Ranges{{0, 10}}));
  EXPECT_EQ(tick(start + 2s), Ranges{});
  EXPECT_EQ(done(lease, {0, 10}, start + 2s), Ranges{});
  EXPECT_TRUE(resend.empty());
  EXPECT_EQ(resend.resent_tasks(), 0U);
}

TEST_F(ResendTest, a_batch_that_is_late_is_sent_again_in_eighths) {
  batch(lease, {0, 16}, start);
  EXPECT_EQ(tick(start + 3s - 1ns), Ranges{});
  EXPECT_EQ(tick(start + 3s), (Ranges{{0, 2}}));
  EXPECT_EQ(done(lease, {0, 2}, start + 4s), (Ranges{{2, 2}})) << "the next as soon as one has arrived";
}

TEST_F(ResendTest, only_what_is_missing_is_sent_again) {
  batch(lease, {0, 8}, start);
  done(lease, {0, 3}, start);
  done(lease, {4, 3}, start);
  EXPECT_EQ(resend.missing(lease), (Ranges{{3, 1}, {7, 1}}));
  EXPECT_EQ(tick(start + 3s), (Ranges{{3, 1}}));
  EXPECT_EQ(done(lease, {3, 1}, start + 3s), (Ranges{{7, 1}}));
}

TEST_F(ResendTest, one_resend_is_under_way_at_a_time) {
  batch(lease_of(0), {0, 1}, start);
  batch(lease_of(1), {1, 1}, start);
  EXPECT_EQ(tick(start + 3s), (Ranges{{0, 1}}));
  EXPECT_EQ(tick(start + 4s), Ranges{});
  EXPECT_EQ(done(lease_of(0), {0, 1}, start + 4s), (Ranges{{1, 1}}));
}

TEST_F(ResendTest, what_a_full_window_has_passed_is_lost_and_need_not_be_late) {
  batch(lease_of(0), {0, 1}, start);
  for (std::uint64_t number = 1; number < 4; ++number) {
    batch(lease_of(number), {number, 1}, start);
    EXPECT_EQ(done(lease_of(number), {number, 1}, start), Ranges{}) << "some of these may have been sent before it";
  }
  batch(lease_of(4), {4, 1}, start);
  EXPECT_EQ(done(lease_of(4), {4, 1}, start), (Ranges{{0, 1}}));
}

TEST_F(ResendTest, slow_batches_are_not_late_before_four_times_the_slowest) {
  batch(lease_of(0), {0, 1}, start);
  done(lease_of(0), {0, 1}, start + 2s);
  batch(lease_of(1), {1, 1}, start + 2s);
  EXPECT_EQ(tick(start + 9s), Ranges{});
  EXPECT_EQ(tick(start + 10s), (Ranges{{1, 1}}));
}

TEST_F(ResendTest, no_time_passes_for_what_the_transport_has_not_taken) {
  resend.on_batch(lease, {0, 1}, 100);
  const auto actions = resend.take_actions();
  resend.on_tick(start + 1h);
  EXPECT_TRUE(resend.take_actions().empty());
  resend.on_sent(std::get<Resend::Send>(actions.front()).id, start + 1h);
  EXPECT_EQ(resend.next_tick(), start + 1h + 3s);
}

TEST_F(ResendTest, each_time_in_vain_waits_twice_as_long_and_the_third_is_the_last) {
  batch(lease, {0, 1}, start);
  EXPECT_EQ(tick(start + 3s), (Ranges{{0, 1}}));
  EXPECT_EQ(tick(start + 9s - 1ns), Ranges{});
  EXPECT_EQ(tick(start + 9s), (Ranges{{0, 1}}));
  EXPECT_EQ(tick(start + 21s), (Ranges{{0, 1}}));
  EXPECT_EQ(tick(start + 45s - 1ns), Ranges{});
  EXPECT_TRUE(given_up.empty());
  tick(start + 45s);
  ASSERT_EQ(given_up.size(), 1U);
  EXPECT_EQ(given_up[0].lease, lease);
  EXPECT_EQ(given_up[0].ranges, (Ranges{{0, 1}}));
  EXPECT_EQ(given_up[0].sends, 4U);
  EXPECT_TRUE(resend.empty());
}

TEST_F(ResendTest, of_a_batch_with_one_poisonous_task_only_that_one_is_given_up) {
  batch(lease, {0, 512}, start);
  TimePoint now = start;
  for (int turns = 0; !resend.empty() && turns < 10'000; ++turns) {
    const Ranges again = tick(now);
    for (const Range range : again)
      if (!range.contains(300)) resend.on_done(lease, range, now);
    now += 100ms;
  }
  ASSERT_EQ(given_up.size(), 1U);
  EXPECT_EQ(given_up[0].ranges, (Ranges{{300, 1}}));
}

TEST_F(ResendTest, late_results_of_what_was_given_up_are_ignored) {
  batch(lease, {0, 1}, start);
  for (const auto after : {3s, 9s, 21s, 45s}) tick(start + after);
  ASSERT_EQ(given_up.size(), 1U);
  done(lease, {0, 1}, start + 46s);
  EXPECT_EQ(resend.done_tasks(), 0U);
}

TEST_F(ResendTest, credit_never_falls_and_stays_within_the_window) {
  resend.on_new_session();
  EXPECT_EQ(resend.credit().tasks, 1000U);
  batch(lease, {0, 600}, start);
  EXPECT_EQ(resend.credit().tasks, 1000U);
  done(lease, {0, 200}, start);
  EXPECT_EQ(resend.credit(), (Credit{1200, 10'000})) << "bytes are free with the whole lease";
  done(lease, {200, 400}, start);
  EXPECT_EQ(resend.credit(), (Credit{1600, 10'100}));
}

TEST_F(ResendTest, in_a_new_session_what_is_under_way_takes_from_the_credit) {
  resend.on_new_session();
  batch(lease, {0, 600}, start);
  resend.on_new_session();
  EXPECT_EQ(resend.credit(), (Credit{400, 9900}));
}

}  // namespace
}  // namespace ventile
