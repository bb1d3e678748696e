#include <ventile/queue/liveness.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

using namespace std::chrono_literals;

class LivenessTest : public ::testing::Test {
protected:
  TimePoint now{1'000s};
  Liveness liveness;

  void SetUp() override { liveness.begin(500, 2000, now); }
};

TEST_F(LivenessTest, a_word_is_due_each_interval_after_the_last) {
  EXPECT_FALSE(liveness.word_is_due(now + 499ms));
  EXPECT_TRUE(liveness.word_is_due(now + 500ms));
  liveness.on_said(now + 300ms);
  EXPECT_FALSE(liveness.word_is_due(now + 799ms));
  EXPECT_TRUE(liveness.word_is_due(now + 800ms));
}

TEST_F(LivenessTest, whoever_is_silent_for_longer_than_agreed_is_dead) {
  EXPECT_FALSE(liveness.is_dead(now + 2s));
  EXPECT_TRUE(liveness.is_dead(now + 2001ms));
  liveness.on_heard(now + 1s);
  EXPECT_FALSE(liveness.is_dead(now + 3s));
  EXPECT_TRUE(liveness.is_dead(now + 3001ms));
}

TEST_F(LivenessTest, a_longer_pace_does_not_put_off_the_word_that_was_due_by_the_shorter) {
  liveness.keep_pace(4000, 16'000, now + 100ms);
  EXPECT_TRUE(liveness.word_is_due(now + 500ms));
  liveness.on_said(now + 500ms);
  EXPECT_FALSE(liveness.word_is_due(now + 4s));
  EXPECT_FALSE(liveness.is_dead(now + 16s));
}

TEST_F(LivenessTest, a_shorter_pace_is_kept_from_when_it_was_heard) {
  liveness.begin(4000, 16'000, now);
  liveness.keep_pace(500, 2000, now + 1s);
  EXPECT_FALSE(liveness.word_is_due(now + 1499ms));
  EXPECT_TRUE(liveness.word_is_due(now + 1500ms));
  EXPECT_TRUE(liveness.is_dead(now + 3001ms));
}

TEST_F(LivenessTest, a_new_conversation_owes_nothing_of_the_last) {
  liveness.begin(4000, 16'000, now + 10s);
  EXPECT_FALSE(liveness.word_is_due(now + 13s));
}

TEST_F(LivenessTest, a_sign_of_life_is_answered_at_once_but_not_twice_within_half_an_interval) {
  liveness.answer(now + 200ms);
  EXPECT_FALSE(liveness.word_is_due(now + 200ms)) << "it has spoken just now";
  liveness.answer(now + 300ms);
  EXPECT_TRUE(liveness.word_is_due(now + 300ms));
  EXPECT_EQ(liveness.next_tick(), now + 300ms);
  liveness.answer(now + 700ms);
  EXPECT_EQ(liveness.next_tick(), now + 300ms) << "what is due stays due";
}

TEST_F(LivenessTest, whoever_has_not_been_told_an_interval_answers_nothing) {
  Liveness fresh;
  fresh.answer(now);
  EXPECT_FALSE(fresh.word_is_due(now));
}

TEST_F(LivenessTest, the_next_tick_is_whatever_comes_first) {
  EXPECT_EQ(liveness.next_tick(), now + 500ms);
  liveness.speak_by(now + 100ms);
  EXPECT_EQ(liveness.next_tick(), now + 100ms);
  liveness.on_said(now + 1900ms);
  EXPECT_EQ(liveness.next_tick(), now + 2s);
}

TEST_F(LivenessTest, with_a_grace_the_silence_ends_sooner_and_never_later) {
  liveness.leave_only(300ms, now + 1s);
  EXPECT_TRUE(liveness.is_dead(now + 1301ms));
  liveness.leave_only(1h, now + 1s);
  EXPECT_TRUE(liveness.is_dead(now + 1301ms));
}

// A dispatcher that asks for what nobody can keep does not make its peer spin.
TEST_F(LivenessTest, a_pace_of_nothing_is_made_ten_milliseconds) {
  liveness.begin(0, 0, now);
  EXPECT_FALSE(liveness.word_is_due(now + 9ms));
  EXPECT_FALSE(liveness.is_dead(now + 10ms));
}

}  // namespace
}  // namespace ventile
