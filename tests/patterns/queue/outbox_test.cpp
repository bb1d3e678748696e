#include <ventile/queue/outbox.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <vector>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint start{};
constexpr JobId job{1, 1};
constexpr IncarnationId sink{5};
constexpr LeaseId lease{{9}, 1};

class OutboxTest : public ::testing::Test {
protected:
  Outbox outbox;

  ResultId add(Range range, LeaseId of = lease) { return outbox.add(job, of, range, 100, start); }
  ResultId next(TimePoint now = start) {
    const auto send = outbox.next(now);
    return send ? send->result : ResultId{};
  }
};

TEST_F(OutboxTest, results_wait_until_their_job_has_a_route) {
  const ResultId one = add({0, 10});
  EXPECT_FALSE(next());
  outbox.on_route(job, sink);
  const auto send = outbox.next(start);
  ASSERT_TRUE(send);
  EXPECT_EQ(send->result, one);
  EXPECT_EQ(send->sink, sink);
  EXPECT_FALSE(next()) << "it is on its way";
}

TEST_F(OutboxTest, the_oldest_goes_first) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  const ResultId two = add({10, 10});
  EXPECT_EQ(next(), one);
  EXPECT_EQ(next(), two);
}

TEST_F(OutboxTest, what_the_transport_had_no_room_for_goes_first_again) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  add({10, 10});
  outbox.put_back(next());
  EXPECT_EQ(next(), one);
  EXPECT_EQ(outbox.resent(), 0U) << "it never left";
}

TEST_F(OutboxTest, a_result_is_kept_until_every_number_has_a_verdict) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  EXPECT_TRUE(outbox.on_verdict(job, lease, {0, 6}, start).empty());
  EXPECT_EQ(outbox.tasks(), 4U);
  EXPECT_EQ(outbox.on_verdict(job, lease, {6, 4}, start), (std::vector<ResultId>{one}));
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.bytes(), 0U);
}

TEST_F(OutboxTest, a_verdict_on_another_lease_changes_nothing) {
  add({0, 10});
  EXPECT_TRUE(outbox.on_verdict(job, {{9}, 2}, {0, 10}, start).empty());
  EXPECT_EQ(outbox.tasks(), 10U);
}

TEST_F(OutboxTest, what_was_on_its_way_when_the_connection_broke_is_sent_again) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  next();
  outbox.on_disconnected(sink);
  EXPECT_EQ(next(), one);
  EXPECT_EQ(outbox.resent(), 1U);
}

TEST_F(OutboxTest, a_new_sink_gets_what_the_old_one_said_nothing_about) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  next();
  outbox.on_route(job, sink);
  EXPECT_FALSE(next()) << "it is the same sink";
  outbox.on_route(job, {6});
  EXPECT_EQ(next(), one);
}

TEST_F(OutboxTest, results_are_sent_again_when_their_verdicts_may_be_lost) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  next();
  outbox.send_again(job);
  EXPECT_EQ(next(), one);
}

TEST_F(OutboxTest, an_overdue_result_is_sent_again_while_later_ones_are_acknowledged) {
  outbox.on_route(job, sink);
  const ResultId one = add({0, 10});
  add({10, 10}, {{9}, 2});
  next(start);
  next(start + 1ms);
  outbox.on_tick(start + 5s);
  EXPECT_FALSE(next()) << "the sink acknowledges nobody";
  outbox.on_verdict(job, {{9}, 2}, {10, 10}, start + 5s);
  outbox.on_tick(start + 5s);
  EXPECT_EQ(next(start + 5s), one);
}

TEST_F(OutboxTest, results_of_a_job_that_is_over_are_forgotten) {
  const ResultId one = add({0, 10});
  EXPECT_EQ(outbox.forget(job), (std::vector<ResultId>{one}));
  EXPECT_TRUE(outbox.empty());
  EXPECT_EQ(outbox.tasks(), 0U);
}

TEST_F(OutboxTest, says_what_it_holds) {
  add({0, 10});
  outbox.on_verdict(job, lease, {3, 2}, start);
  EXPECT_EQ(outbox.held(), (std::vector<HeldRange>{{job, lease, {0, 3}, true}, {job, lease, {5, 5}, true}}));
}

}  // namespace
}  // namespace ventile
