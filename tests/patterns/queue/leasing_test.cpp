// Who gets what, and when it is taken back: the half of Dispatcher in leasing.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "tests/patterns/queue/dispatcher_fixture.hpp"

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::Sink;
using testing::Worker;

class Leasing : public testing::DispatcherTest {
protected:
  // As job_of(), with a time-out of two seconds.
  void timed_job_of(std::uint64_t count) {
    open_job({.name = "squares", .function = "square", .timeout = 2s});
    new_sink().hello().opens();
    offer(count);
  }
  static std::uint64_t tasks_of(const std::vector<Tasks>& batches) {
    return std::accumulate(batches.begin(), batches.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const Tasks& tasks) { return sum + tasks.range.count; });
  }
  static std::uint64_t largest_of(const std::vector<Tasks>& batches) {
    std::uint64_t largest = 0;
    for (const Tasks& tasks : batches) largest = std::max(largest, tasks.range.count);
    return largest;
  }
};

// Of two jobs of one client the one that was opened first got three of four batches, and another client's task waited
// behind 120 ms of each slot: found by reading, when batches had just become longer.
TEST_F(Leasing, batches_are_long_only_while_there_is_no_other_job) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.tasks = UINT64_MAX;
  sink.hello().opens();
  offer(10'000'000);
  Worker& alice = new_worker(1);
  alice.credit.tasks = UINT64_MAX;
  alice.hello();
  const auto last_of = [&](int rounds) {
    std::uint64_t largest = 0;
    for (int round = 0; round < rounds; ++round) {
      const std::vector<Tasks> batches = alice.all_tasks();
      largest = largest_of(batches);
      pass(10ms);
      for (const Tasks& tasks : batches) complete(alice, tasks, 10us);
    }
    return largest;
  };
  EXPECT_NEAR(static_cast<double>(last_of(300)), 4'000, 50);
  open_job({.name = "others", .function = "square"}, JobId{2, 2});
  EXPECT_NEAR(static_cast<double>(last_of(10)), 1'000, 50);
  alice.all_tasks();
}

// --- Credit ------------------------------------------------------------------------------------------------------

TEST_F(Leasing, a_worker_is_sent_no_more_tasks_than_it_gave_credit_for) {
  job_of(100);
  Worker& alice = new_worker(8);
  alice.credit.tasks = 3;
  EXPECT_EQ(tasks_of(alice.hello().all_tasks()), 3U);
  alice.credit.tasks = 5;
  alice.progress();
  EXPECT_EQ(tasks_of(alice.all_tasks()), 2U);
}

TEST_F(Leasing, credit_never_falls) {
  job_of(100);
  Worker& alice = new_worker(8);
  alice.credit.tasks = 3;
  alice.hello().all_tasks();
  alice.credit.tasks = 1;
  alice.progress();
  alice.credit.tasks = 4;
  alice.progress();
  EXPECT_EQ(tasks_of(alice.all_tasks()), 1U);
}

TEST_F(Leasing, a_worker_is_sent_no_more_bytes_than_it_gave_credit_for) {
  job_of(100, 1000);
  Worker& alice = new_worker(8);
  alice.credit.bytes = 3500;
  EXPECT_EQ(tasks_of(alice.hello().all_tasks()), 3U);
}

TEST_F(Leasing, a_worker_that_has_nothing_gets_one_task_however_large) {
  job_of(100, 1'000'000);
  Worker& alice = new_worker(8);
  alice.credit.bytes = 10;
  EXPECT_EQ(tasks_of(alice.hello().all_tasks()), 1U);
}

TEST_F(Leasing, no_more_is_leased_than_the_sink_gave_credit_for) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.tasks = 3;
  sink.hello().opens();
  offer(100);
  Worker& alice = worker(8);
  const auto batches = alice.all_tasks();
  EXPECT_EQ(tasks_of(batches), 3U);
  sink.credit.tasks = 5;
  complete(alice, batches.front());
  EXPECT_EQ(tasks_of(alice.all_tasks()), 2U);
}

// Found by simulation, seed 2709.
TEST_F(Leasing, what_is_proposed_to_the_sink_takes_of_its_credit) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.tasks = 2;
  sink.hello().opens();
  offer(100);
  Worker& alice = worker(8);
  const auto batches = alice.all_tasks();
  ASSERT_EQ(tasks_of(batches), 2U);
  alice.give_back(batches.front().lease, {{0, 1}}, ReturnReason::dead);
  EXPECT_FALSE(alice.has_mail());
  sink.credit.tasks = 3;
  take_proposals();
  EXPECT_EQ(tasks_of(alice.all_tasks()), 1U);
}

TEST_F(Leasing, the_bytes_that_results_take_are_estimated_from_those_stored) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.bytes = 10'000;
  sink.hello().opens();
  offer(1);
  Worker& alice = worker(100);
  Settlement stored = settlement(alice, alice.tasks());
  stored.bytes = 1000;
  sink.stores(stored);
  alice.next<Verdicts>();
  offer(100);
  EXPECT_EQ(tasks_of(alice.all_tasks()), 9U);
}

TEST_F(Leasing, a_sink_without_room_for_a_single_result_gets_one_at_a_time) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.bytes = 10;
  sink.hello().opens();
  offer(1);
  Worker& alice = worker(8);
  Settlement stored = settlement(alice, alice.tasks());
  stored.bytes = 1000;
  sink.stores(stored);
  alice.next<Verdicts>();
  offer(100);
  EXPECT_EQ(tasks_of(alice.all_tasks()), 1U);
}

TEST_F(Leasing, numbers_from_the_limit_of_an_ordered_sink_on_must_wait) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.number_limit = 4;
  sink.hello().opens();
  offer(100);
  Worker& alice = worker(100);
  const auto batches = alice.all_tasks();
  EXPECT_EQ(tasks_of(batches), 4U);
  sink.credit.number_limit = 6;
  complete(alice, batches.front());
  EXPECT_EQ(tasks_of(alice.all_tasks()), 2U);
}

TEST_F(Leasing, a_batch_ends_at_the_limit_of_an_ordered_sink) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.number_limit = 150;
  sink.hello().opens();
  offer(100);
  Worker& alice = worker();
  teach(alice, 1us, 100);
  offer(100);
  EXPECT_EQ(tasks_of(alice.all_tasks()), 50U);
}

// --- Batches -----------------------------------------------------------------------------------------------------

TEST_F(Leasing, a_lone_task_leaves_at_once) {
  job_of(0);
  Worker& alice = worker();
  offer(1);
  EXPECT_EQ(alice.tasks().range, (Range{0, 1}));
}

TEST_F(Leasing, of_an_unknown_function_single_tasks_are_sent) {
  job_of(1000);
  EXPECT_EQ(largest_of(worker(4).all_tasks()), 1U);
}

TEST_F(Leasing, batches_grow_to_the_target_time) {
  job_of(10'000);
  Worker& alice = worker(1);
  teach(alice, 10us, 10'000);
  offer(100'000);
  EXPECT_EQ(largest_of(alice.all_tasks()), 1'000U);  // Ten milliseconds' worth.
}

TEST_F(Leasing, a_slot_has_work_waiting_beyond_what_it_runs) {
  job_of(10'000);
  Worker& alice = worker(1);
  teach(alice, 10us, 10'000);
  offer(100'000);
  EXPECT_EQ(tasks_of(alice.all_tasks()), 3'000U);
}

TEST_F(Leasing, towards_the_end_everybody_gets_a_share) {
  open_job();
  Sink& sink = new_sink();
  sink.credit.tasks = 10'000;
  sink.hello().opens();
  offer(10'000);
  Worker& alice = worker(1);
  teach(alice, 10us, 10'000);
  Worker& bob = worker(1);
  offer(100);
  end_job();
  sink.credit.tasks = 20'000;
  sink.says_stored({});
  EXPECT_LE(largest_of(alice.all_tasks()), 26U);  // Of a hundred left, for two slots, half of an equal share.
  EXPECT_GT(tasks_of(bob.all_tasks()), 0U);
}

// Of a large input little waits at any time, and a share of that for each of many slots would be a batch of nothing.
TEST_F(Leasing, while_more_input_comes_a_batch_is_not_cut_to_a_share_of_what_waits) {
  job_of(10'000);
  Worker& alice = worker();
  teach(alice, 10us, 10'000);
  Worker& crowd = worker(1'000);
  offer(200);
  EXPECT_EQ(largest_of(alice.all_tasks()), 1'000U / 8);
  crowd.all_tasks();
}

// What is left over would be a batch of its own, and cost as much to move as a whole one.
TEST_F(Leasing, while_more_input_comes_a_batch_takes_crumbs_along) {
  job_of(10'000);
  Worker& alice = worker();
  teach(alice, 10us, 10'000);
  Worker& crowd = worker(1'000);
  offer(150);
  std::vector<Tasks> batches = alice.all_tasks();
  for (const Tasks& more : crowd.all_tasks()) batches.push_back(more);
  ASSERT_EQ(batches.size(), 1U);  // Of 125, and 25 more.
  EXPECT_EQ(batches[0].range.count, 150U);
}

TEST_F(Leasing, crumbs_are_taken_along_within_credit) {
  job_of(10'000);
  Worker& alice = new_worker();
  alice.credit.tasks = 10'130;
  alice.hello();
  teach(alice, 10us, 10'000);
  Worker& crowd = worker(1'000);
  offer(150);
  EXPECT_EQ(tasks_of(alice.all_tasks()), 130U);
  crowd.all_tasks();
}

TEST_F(Leasing, a_batch_stays_within_its_limit_of_bytes) {
  start({.batch_bytes_max = 10'000});
  job_of(10'000, 1000);
  Worker& alice = worker(1);
  teach(alice, 10us, 10'000);
  offer(10'000, 1000);
  EXPECT_EQ(largest_of(alice.all_tasks()), 10U);
}

TEST_F(Leasing, what_is_not_repeatable_is_never_sent_ahead) {
  job_of(100);
  Worker& alice = new_worker(4);
  alice.functions = {{"square", false}};
  const auto batches = alice.hello().all_tasks();
  EXPECT_EQ(batches.size(), 4U);
  EXPECT_EQ(largest_of(batches), 1U);
}

TEST_F(Leasing, the_least_loaded_worker_is_served_first) {
  job_of(0);
  Worker& alice = worker(1);
  Worker& bob = worker(1);
  offer(1);
  const bool alice_first = alice.has_mail();
  offer(1);
  EXPECT_EQ((alice_first ? alice : bob).all_tasks().size(), 1U);
  EXPECT_EQ((alice_first ? bob : alice).all_tasks().size(), 1U);
}

TEST_F(Leasing, a_worker_that_is_leaving_gets_nothing_more) {
  job_of(0);
  Worker& alice = worker();
  alice.say(Bye{ByeReason::leaving, {}});
  offer(10);
  EXPECT_FALSE(alice.has_mail());
}

TEST_F(Leasing, a_worker_of_which_all_slots_hang_gets_nothing_more) {
  job_of(0);
  Worker& alice = worker(2);
  alice.slots = 0;
  alice.progress();
  offer(10);
  EXPECT_FALSE(alice.has_mail());
}

// --- Lost workers ------------------------------------------------------------------------------------------------

TEST_F(Leasing, what_a_silent_worker_had_is_leased_elsewhere) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  alice.fall_silent();
  Worker& bob = worker();
  pass(1999ms);
  EXPECT_FALSE(bob.has_mail());
  pass(500ms);
  const Tasks again = bob.tasks();
  EXPECT_EQ(again.range, batch.range);
  EXPECT_NE(again.lease, batch.lease);
  EXPECT_EQ(dispatcher->counters(job).requeued_tasks, 1U);
}

// What was said meanwhile waits to be read.
TEST_F(Leasing, a_dispatcher_that_was_held_up_judges_nobody_by_that) {
  job_of(1);
  Worker& alice = worker();
  alice.tasks();
  pass(1ms);
  alice.fall_silent();
  now += 10s;
  pass(0ms);
  EXPECT_EQ(dispatcher->worker_count(), 1U);
  EXPECT_EQ(dispatcher->counters(job).requeued_tasks, 0U);
  pass(1s);
  EXPECT_EQ(dispatcher->worker_count(), 0U);
}

TEST_F(Leasing, what_an_unreachable_worker_had_is_leased_elsewhere_at_once) {
  job_of(1);
  Worker& alice = worker();
  alice.tasks();
  Worker& bob = worker();
  unreachable(alice);
  EXPECT_EQ(bob.tasks().range, (Range{0, 1}));
}

TEST_F(Leasing, losing_a_worker_is_not_a_try) {
  job_of(1);
  Worker& alice = worker();
  alice.tasks();
  Worker& bob = worker();
  unreachable(alice);
  EXPECT_EQ(bob.tasks().tries, 0U);
}

TEST_F(Leasing, a_worker_that_says_goodbye_casts_no_suspicion) {
  job_of(3);
  Worker& alice = worker(3);
  alice.all_tasks();
  alice.say(Bye{ByeReason::done, {}});
  alice.next<Bye>();
  EXPECT_EQ(dispatcher->account(job).backlog().front()->history.suspicion, 0U);
}

TEST_F(Leasing, a_stale_result_after_a_lost_lease_wins_once_and_only_once) {
  job_of(1);
  Worker& alice = worker();
  const Tasks first = alice.tasks();
  Worker& bob = worker();
  unreachable(alice);
  const Tasks second = bob.tasks();
  sink().stores(settlement(alice, first));
  EXPECT_EQ(next<Forget>().peer, alice.id);
  EXPECT_EQ(next<Settled>().range, (Range{0, 1}));
  EXPECT_EQ(bob.next<Cancel>().lease, second.lease);

  Settlement late = settlement(bob, second);
  late.verdict = Verdict::duplicate;
  sink().stores(late);
  EXPECT_EQ(bob.next<Verdicts>().verdicts.front().verdict, Verdict::duplicate);
  EXPECT_EQ(count(Outcome::done), 1U);
  EXPECT_EQ(dispatcher->counters(job).duplicates, 1U);
}

TEST_F(Leasing, a_sink_that_stores_a_number_twice_is_not_believed) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  complete(alice, batch);
  complete(alice, batch);
  EXPECT_EQ(count(Outcome::done), 1U);
}

TEST_F(Leasing, a_folded_result_that_overlaps_gives_back_what_nobody_else_has) {
  job_of(20);
  Worker& alice = worker(1);
  teach(alice, 1ms, 20);
  offer(2);
  const auto batches = alice.all_tasks();
  ASSERT_EQ(tasks_of(batches), 2U);
  sink().stores({{}, {}, {20, 1}, Verdict::stored, 0, 0, {}});  // By somebody who is long gone.
  alice.next<Cancel>();
  Settlement dropped = settlement(alice, batches.back());
  dropped.range = {20, 2};
  dropped.verdict = Verdict::overlap;
  sink().stores(dropped);
  EXPECT_EQ(alice.next<Verdicts>().verdicts.front().verdict, Verdict::overlap);
  EXPECT_EQ(alice.tasks().range, (Range{21, 1}));
}

TEST_F(Leasing, a_result_that_the_sink_cannot_read_is_a_failure) {
  job_of(1);
  Worker& alice = worker();
  Settlement refused = settlement(alice, alice.tasks());
  refused.verdict = Verdict::refused;
  sink().stores(refused);
  alice.next<Verdicts>();
  take_proposals();
  EXPECT_EQ(count(Outcome::failed), 1U);
}

// --- Workers that come back --------------------------------------------------------------------------------------

TEST_F(Leasing, a_returning_worker_keeps_what_nobody_else_has) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  unreachable(alice);
  Worker& again = returning(alice).hello({{job, batch.lease, batch.range}});
  again.next<Open>();
  again.next<Route>();
  EXPECT_FALSE(again.has_mail()) << "it was given again what it has";
  EXPECT_EQ(audit().leased, 1U);
  complete(again, batch);
  EXPECT_EQ(count(Outcome::done), 1U);
}

TEST_F(Leasing, nobody_else_is_given_what_a_worker_still_has_when_it_connects_anew) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  Worker& bob = worker();
  Worker& again = returning(alice).hello({{job, batch.lease, batch.range}});
  again.read_all();
  EXPECT_FALSE(bob.has_mail());
}

TEST_F(Leasing, a_returning_worker_drops_what_is_settled) {
  job_of(2);
  Worker& alice = worker(2);
  const auto batches = alice.all_tasks();
  unreachable(alice);
  sink().says_stored({settlement(alice, batches[0]), settlement(alice, batches[1])});
  Worker& again = returning(alice).hello(
      {{job, batches[0].lease, batches[0].range, true}, {job, batches[1].lease, batches[1].range}});
  again.next<Open>();
  again.next<Route>();
  EXPECT_EQ(again.next<Verdicts>().verdicts,
            (std::vector<VerdictNote>{{batches[0].lease, batches[0].range, Verdict::duplicate}}));
  EXPECT_EQ(again.next<Cancel>(), (Cancel{batches[1].lease, batches[1].range}));
}

TEST_F(Leasing, a_returning_worker_races_with_a_result_and_drops_what_has_none) {
  job_of(2);
  Worker& alice = worker(2);
  const auto batches = alice.all_tasks();
  Worker& bob = worker(2);
  alice.say(Bye{ByeReason::done, {}});
  alice.next<Bye>();
  EXPECT_EQ(bob.all_tasks().size(), 2U);
  Worker& again = returning(alice).hello(
      {{job, batches[0].lease, batches[0].range, true}, {job, batches[1].lease, batches[1].range}});
  again.next<Open>();
  again.next<Route>();
  EXPECT_EQ(again.next<Cancel>(), (Cancel{batches[1].lease, batches[1].range}));
  EXPECT_FALSE(again.has_mail());
}

TEST_F(Leasing, results_of_a_job_that_nobody_knows_are_dropped) {
  job_of(0);
  Worker& alice = new_worker();
  alice.hello({{JobId{9, 9}, {{7}, 1}, {0, 5}, true}});
  EXPECT_EQ(alice.next<Cancel>(), (Cancel{{{7}, 1}, {0, 5}}));
}

TEST_F(Leasing, what_a_worker_has_is_decided_when_the_job_has_a_sink_again) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  unreachable(alice);
  Sink& before = sink();
  unreachable(before);
  Worker& again = returning(alice).hello({{job, batch.lease, batch.range, true}});
  EXPECT_FALSE(again.has_mail());
  returning(before).hello({{.job = job}}).opens();
  again.next<Open>();
  EXPECT_EQ(again.next<Route>().sink, before.incarnation);
  EXPECT_EQ(audit().leased, 1U);
}

TEST_F(Leasing, what_a_worker_returned_while_its_job_had_no_sink_is_not_adopted) {
  job_of(4);
  Worker& alice = worker(4);
  const auto batches = alice.all_tasks();
  alice.say(Bye{});
  alice.next<Bye>();
  Sink& before = sink();
  unreachable(before);
  const LeaseId lease = batches[0].lease;
  Worker& again = returning(alice).hello({{job, lease, {0, 4}}});
  again.give_back(lease, {{1, 2}}, ReturnReason::failed, "boom");
  returning(before).hello({{.job = job}}).opens();
  EXPECT_EQ(dispatcher->account(job).held_by(again.session), audit().leased);
  std::uint64_t sent = 0;
  again.next<Open>();
  again.next<Route>();
  for (const Tasks& tasks : again.all_tasks()) sent += tasks.range.count;
  EXPECT_EQ(sent, 2U);
}

// --- Taking back -------------------------------------------------------------------------------------------------

TEST_F(Leasing, an_idle_worker_gets_what_waits_at_a_loaded_one) {
  job_of(10);
  Worker& alice = worker(1);
  teach(alice, 1s, 10);
  offer(2);
  const auto batches = alice.all_tasks();
  ASSERT_EQ(tasks_of(batches), 2U);
  alice.running = {runs(batches[0])};
  Worker& bob = worker(1);
  pass(100ms);
  EXPECT_EQ(alice.next<Retract>(), (Retract{batches[1].lease, 1}));
  alice.give_back(batches[1].lease, {batches[1].range});
  EXPECT_EQ(bob.tasks().range, batches[1].range);
  EXPECT_EQ(dispatcher->counters(job).retracted, 1U);
}

TEST_F(Leasing, a_worker_that_has_begun_everything_is_not_asked_again) {
  job_of(10);
  Worker& alice = worker(1);
  teach(alice, 1s, 10);
  offer(2);
  const auto batches = alice.all_tasks();
  Worker& bob = worker(1);
  pass(100ms);
  alice.next<Retract>();
  alice.give_back(batches[1].lease, {});
  pass(200ms);
  EXPECT_FALSE(alice.has_mail());
  EXPECT_FALSE(bob.has_mail());
}

TEST_F(Leasing, little_work_is_not_worth_moving) {
  job_of(100);
  Worker& alice = worker(1);
  teach(alice, 10us, 100);
  offer(20);
  alice.all_tasks();
  worker(1);
  pass(10ms);
  EXPECT_FALSE(alice.has_mail());
}

// Of a thousand workers on two cores each is slow, and nothing is won by moving what has waited no longer than the
// rest.
TEST_F(Leasing, what_waits_as_long_as_usual_is_not_worth_moving) {
  job_of(100);
  Worker& alice = worker(1);
  teach(alice, 10us, 100);
  for (int i = 0; i < 60; ++i) {
    offer(20);
    const std::vector<Tasks> batches = alice.all_tasks();
    pass(100ms);
    for (const Tasks& batch : batches) complete(alice, batch, 10us);
  }
  offer(20);
  alice.all_tasks();
  worker(1);
  pass(50ms);
  EXPECT_FALSE(alice.has_mail());
  pass(100ms);
  EXPECT_TRUE(alice.next_is<Retract>());
  alice.read_all();
}

class LeasingWithoutRoom : public Leasing {
protected:
  // The sink has room for what alice has, and no more.
  Worker& alice_with_two(Duration each) {
    open_job();
    Sink& sink = new_sink();
    sink.credit.tasks = 62;
    sink.hello().opens();
    Worker& alice = worker(1);
    for (int i = 0; i < 60; ++i) {
      offer(1);
      const Tasks batch = alice.tasks();
      pass(1s);
      complete(alice, batch, each);
    }
    offer(2);
    EXPECT_EQ(tasks_of(alice.all_tasks()), 2U);
    worker(1);
    return alice;
  }
};

// Others idle because of the sink then.
TEST_F(LeasingWithoutRoom, what_would_soon_run_is_not_worth_moving) {
  Worker& alice = alice_with_two(20ms);
  pass(500ms);
  EXPECT_FALSE(alice.has_mail());
  sink().credit.tasks = 70;
  sink().says_stored({});
  pass(100ms);
  EXPECT_TRUE(alice.next_is<Retract>());
  alice.read_all();
}

TEST_F(LeasingWithoutRoom, what_waits_behind_a_long_task_is_moved) {
  Worker& alice = alice_with_two(10s);
  pass(100ms);
  EXPECT_TRUE(alice.next_is<Retract>());
  alice.read_all();
}

TEST_F(Leasing, what_was_given_back_was_not_tried) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  alice.say(Bye{ByeReason::leaving, {}});
  alice.give_back(batch.lease, {batch.range});
  EXPECT_EQ(worker().tasks().tries, 0U);
}

TEST_F(Leasing, a_worker_can_give_back_only_what_it_has) {
  job_of(0);
  Worker& alice = worker(1);
  Worker& bob = worker(1);
  offer(2);
  const Tasks of_alice = alice.tasks();
  const Tasks of_bob = bob.tasks();
  bob.give_back(of_alice.lease, {of_alice.range});
  alice.give_back(of_alice.lease, {of_bob.range});
  EXPECT_EQ(audit().leased, 2U);
  EXPECT_EQ(audit().queued, 0U);
}

// --- Speculation -------------------------------------------------------------------------------------------------

class Speculation : public Leasing {
protected:
  // Alice hangs on to the last task of the job; Bob has nothing to do.
  void a_straggler(bool repeatable = true) {
    job_of(1);
    alice = &new_worker(1);
    bob = &new_worker(1);
    alice->functions = bob->functions = {{"square", repeatable}};
    first = alice->hello().tasks();
    alice->running = {runs(first)};
    end_job();
    bob->hello();
  }
  Worker* alice = nullptr;
  Worker* bob = nullptr;
  Tasks first;
};

TEST_F(Speculation, the_first_result_wins) {
  a_straggler();
  pass(900ms);
  EXPECT_FALSE(bob->has_mail());
  pass(200ms);
  const Tasks copy = bob->tasks();
  EXPECT_EQ(copy.range, first.range);
  EXPECT_EQ(audit().leased, 1U);
  complete(*bob, copy);
  EXPECT_EQ(alice->next<Cancel>(), (Cancel{first.lease, first.range}));
  EXPECT_EQ(sink().next<End>().total, 1U);
  EXPECT_EQ(dispatcher->counters(job).speculative, 1U);
}

TEST_F(Speculation, the_original_may_win_too) {
  a_straggler();
  pass(1100ms);
  const Tasks copy = bob->tasks();
  complete(*alice, first);
  EXPECT_EQ(bob->next<Cancel>(), (Cancel{copy.lease, copy.range}));
  sink().next<End>();
}

TEST_F(Speculation, one_copy_is_enough) {
  a_straggler();
  Worker& carol = worker();
  pass(10s);
  EXPECT_NE(bob->has_mail(), carol.has_mail());
  bob->read_all();
  carol.read_all();
}

TEST_F(Speculation, stays_within_credit) {
  job_of(1);
  Worker& carol = worker(1);
  carol.running = {runs(carol.tasks())};
  end_job();
  Worker& dave = new_worker(1);
  dave.credit.tasks = 0;
  dave.hello();
  pass(10s);
  EXPECT_FALSE(dave.has_mail());
}

TEST_F(Speculation, does_not_happen_when_told_not_to) {
  start({.speculate = false});
  a_straggler();
  pass(10s);
  EXPECT_FALSE(bob->has_mail());
}

TEST_F(Speculation, does_not_happen_to_what_must_not_run_twice) {
  a_straggler(false);
  pass(10s);
  EXPECT_FALSE(bob->has_mail());
}

TEST_F(Speculation, losing_one_of_two_copies_changes_nothing) {
  a_straggler();
  pass(1100ms);
  bob->tasks();
  unreachable(*alice);
  EXPECT_EQ(audit().leased, 1U);
  EXPECT_EQ(audit().queued, 0U);
}

// --- Retries -----------------------------------------------------------------------------------------------------

TEST_F(Leasing, a_failed_task_is_tried_again_after_a_delay_that_doubles) {
  open_job({.name = "squares", .function = "square", .tries_max = 3});
  new_sink().hello().opens();
  offer(1);
  Worker& alice = worker();
  const Tasks first = alice.tasks();
  alice.give_back(first.lease, {first.range}, ReturnReason::failed, "boom");
  EXPECT_EQ(audit().delayed, 1U);
  pass(99ms);
  EXPECT_FALSE(alice.has_mail());
  pass(1ms);
  const Tasks second = alice.tasks();
  EXPECT_EQ(second.tries, 1U);
  alice.give_back(second.lease, {second.range}, ReturnReason::failed, "boom");
  pass(199ms);
  EXPECT_FALSE(alice.has_mail());
  pass(1ms);
  EXPECT_EQ(alice.tasks().tries, 2U);
  EXPECT_EQ(dispatcher->counters(job).retries, 2U);
}

TEST_F(Leasing, a_task_without_tries_left_has_failed_with_its_last_message) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  alice.give_back(batch.lease, {batch.range}, ReturnReason::failed, "boom");
  EXPECT_EQ(audit().awaiting, 1U);
  EXPECT_EQ(sink().next<Propose>(), (Propose{{batch.range}, Outcome::failed, 1, "kind", "boom"}));
  sink().stores({{}, {}, batch.range, Verdict::stored, 0, 0, {{batch.range, Outcome::failed, "kind", "boom"}}});
  EXPECT_EQ(count(Outcome::failed), 1U);
  EXPECT_EQ(next<Settled>().failures.front().message, "boom");
}

TEST_F(Leasing, a_worker_that_cannot_run_a_function_is_not_asked_again) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  alice.give_back(batch.lease, {batch.range}, ReturnReason::unknown, "no such fold");
  EXPECT_FALSE(alice.has_mail());
  EXPECT_EQ(audit().queued, 1U);
  EXPECT_EQ(dispatcher->why_waiting(job), "none of the 1 workers has the function 'square'");
}

// --- Poison ------------------------------------------------------------------------------------------------------

class Poison : public Leasing {
protected:
  static constexpr Number poisonous = 677;

  // Workers with one slot come one after the other. Each runs what it is given in order, and dies of the poison.
  void run_until_settled() {
    std::vector<Tasks> waiting;
    Worker* victim = &worker(1);
    while (audit().settled() < audit().submitted) {
      for (const Tasks& tasks : victim->all_tasks()) waiting.push_back(tasks);
      take_proposals();
      if (waiting.empty()) break;
      const Tasks tasks = waiting.front();
      waiting.erase(waiting.begin());
      if (!tasks.range.contains(poisonous)) {
        complete(*victim, tasks, 10us);
        continue;
      }
      victim->running = {runs(tasks)};
      victim->progress();
      victim->read_all();
      unreachable(*victim);
      ++deaths;
      ASSERT_LE(deaths, 40);
      waiting.clear();
      victim = &worker(1);
    }
  }
  int deaths = 0;
};

TEST_F(Poison, one_poisonous_task_among_a_thousand_is_dead_and_the_innocent_are_done) {
  job_of(1000);
  run_until_settled();
  EXPECT_EQ(count(Outcome::done), 999U);
  EXPECT_EQ(count(Outcome::dead), 1U);
  EXPECT_TRUE(dispatcher->account(job).ledger().missing({poisonous, 1}).empty());
  EXPECT_LE(deaths, 12) << "a batch of a hundred is halved seven times, and its task dies three times alone";
}

TEST_F(Leasing, tasks_that_cannot_harm_their_worker_do_not_run_alone_after_its_death) {
  start({.isolate_suspects = false});
  job_of(4);
  Worker& alice = worker(4);
  EXPECT_EQ(alice.all_tasks().size(), 4U);
  unreachable(alice);
  alice.fall_silent();
  EXPECT_EQ(worker(4).all_tasks().size(), 4U) << "all of them at once";
}

TEST_F(Leasing, a_task_whose_workers_die_every_time_is_dead_also_if_nothing_runs_alone) {
  start({.max_crashes = 3, .isolate_suspects = false});
  job_of(2);
  for (int death = 0; death < 3; ++death) {
    Worker& victim = worker(2);
    ASSERT_EQ(victim.all_tasks().size(), 2U);
    unreachable(victim);
    victim.fall_silent();
  }
  take_proposals();
  EXPECT_EQ(count(Outcome::dead), 2U);
}

TEST_F(Leasing, a_task_that_lost_only_connections_is_not_given_up) {
  job_of(1);
  std::vector<Worker*> flaky{&worker(), &worker(), &worker(), &worker()};
  for (int round = 0; round < 3; ++round) {
    for (Worker*& one : flaky) {
      if (!one->has_mail()) continue;
      const Tasks batch = one->tasks();
      unreachable(*one);
      one->fall_silent();
      one = &returning(*one);
      one->hello({{job, batch.lease, batch.range}});
      one->read_all();  // It is somebody else's now: CANCEL.
    }
  }
  EXPECT_EQ(audit().awaiting, 0U);
  EXPECT_EQ(audit().leased, 1U);
  for (Worker* one : flaky) one->read_all();
}

TEST_F(Leasing, a_suspect_runs_alone) {
  job_of(4);
  Worker& alice = worker(2);
  alice.all_tasks();
  unreachable(alice);
  Worker& bob = worker(2);
  EXPECT_EQ(bob.all_tasks().size(), 1U);
}

TEST_F(Leasing, a_suspect_runs_alone_even_among_other_jobs) {
  constexpr JobId other{2, 2};
  job_of(1);
  Worker& alice = worker(1);
  alice.tasks();
  unreachable(alice);
  open_job({.name = "more squares", .function = "square"}, other);
  Sink& second = new_sink().hello();
  second.next<Open>();
  second.say(Opened{{}, {}, false, {}, {}, second.credit}, other);
  offer(10, 0, other);
  Worker& bob = worker(2);
  EXPECT_EQ(bob.all_tasks().size(), 1U);
}

TEST_F(Leasing, a_suspect_that_ends_well_frees_its_worker) {
  job_of(4);
  Worker& alice = worker(2);
  alice.all_tasks();
  unreachable(alice);
  Worker& bob = worker(2);
  complete(bob, bob.tasks());
  EXPECT_TRUE(bob.has_mail());
  bob.read_all();
}

TEST_F(Leasing, a_suspect_is_sent_within_credit_too) {
  job_of(20);
  Worker& alice = worker(1);
  teach(alice, 100us, 20);
  offer(400);
  alice.running = {runs(alice.all_tasks().front())};
  alice.progress();
  unreachable(alice);
  Worker& bob = new_worker(1);
  bob.credit.tasks = 2;
  EXPECT_EQ(tasks_of(bob.hello().all_tasks()), 2U);
}

// --- Leases that are not earned ----------------------------------------------------------------------------------

TEST_F(Leasing, a_task_over_its_time_is_leased_elsewhere) {
  timed_job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  alice.running = {runs(batch, 0, 1s)};
  pass(1s);
  alice.running = {runs(batch, 0, 3s)};  // It hangs, and its worker talks on.
  pass(5s);
  EXPECT_EQ(alice.next<Cancel>(), (Cancel{batch.lease, batch.range}));
  EXPECT_EQ(alice.tasks().range, batch.range);
  EXPECT_TRUE(said("makes no progress"));
}

// Its worker says for ever that it has only begun.
TEST_F(Leasing, a_task_that_is_said_to_be_in_time_for_longer_than_that_is_leased_elsewhere) {
  timed_job_of(1);
  Worker& liar = worker();
  const Tasks batch = liar.tasks();
  liar.running = {runs(batch, 0, 1ns)};
  pass(3s);
  EXPECT_EQ(audit().leased, 1U);
  pass(5s);
  EXPECT_EQ(liar.next<Cancel>(), (Cancel{batch.lease, batch.range}));
  liar.read_all();
}

TEST_F(Leasing, a_batch_of_which_a_task_ends_now_and_then_is_kept) {
  timed_job_of(20);
  Worker& alice = worker();
  teach(alice, 100us, 20);
  offer(10);
  const Tasks batch = alice.all_tasks().front();
  ASSERT_GT(batch.range.count, 5U);
  for (std::uint64_t finished = 0; finished < 5; ++finished) {
    alice.running = {runs(batch, finished, 1900ms)};
    pass(3s);
  }
  EXPECT_FALSE(said("makes no progress"));
  alice.read_all();
}

TEST_F(Leasing, a_batch_of_which_tasks_are_handed_back_now_and_then_is_kept) {
  open_job({.name = "squares", .function = "square", .timeout = 2s, .tries_max = 9});
  new_sink().hello().opens();
  offer(20);
  Worker& alice = worker();
  teach(alice, 100us, 20);
  offer(10);
  const Tasks batch = alice.all_tasks().front();
  for (std::uint64_t failed = 0; failed < 5; ++failed) {
    alice.give_back(batch.lease, {{batch.range.first + failed, 1}}, ReturnReason::failed);
    alice.running = {runs(batch, 0, 1900ms)};
    pass(3s);
  }
  EXPECT_FALSE(said("makes no progress"));
  alice.read_all();
}

TEST_F(Leasing, a_task_without_a_time_limit_may_run_for_ever) {
  job_of(1);
  Worker& alice = worker();
  alice.running = {runs(alice.tasks())};
  pass(1h);
  EXPECT_EQ(audit().leased, 1U);
}

// Found by simulating 100,000 workers: they say every 100 s that they run something, and were given 3 s.
TEST_F(Leasing, a_worker_that_is_to_speak_rarely_keeps_its_task_until_it_does) {
  start({.heartbeats_per_second_max = 10});
  for (int i = 0; i < 40; ++i) {
    Worker& one = new_worker();
    one.functions.clear();
    one.hello();
  }
  Worker& alice = worker();  // It is told to speak every 4.1 seconds.
  job_of(1);
  alice.running = {runs(alice.tasks())};
  alice.fall_silent();
  for (int i = 0; i < 10; ++i) {
    pass(4s);
    alice.progress();
    EXPECT_EQ(audit().leased, 1U);
  }
  EXPECT_FALSE(said("makes no progress"));
}

TEST_F(Leasing, a_batch_of_which_nothing_runs_is_kept_by_progress_only) {
  job_of(20);
  Worker& alice = worker();
  teach(alice, 100us, 20);
  offer(10);
  const Tasks batch = alice.all_tasks().front();
  for (std::uint64_t finished = 1; finished <= 3; ++finished) {
    alice.running = {runs(batch, finished, 0ns)};
    pass(2s);
  }
  EXPECT_FALSE(said("makes no progress"));
  pass(4s);
  EXPECT_TRUE(said("makes no progress"));
  alice.read_all();
}

TEST_F(Leasing, a_batch_that_an_idle_worker_never_begins_is_leased_again) {
  job_of(1);
  Worker& alice = worker(1);
  const Tasks batch = alice.tasks();
  pass(2s);
  EXPECT_FALSE(alice.has_mail());
  pass(2s);
  EXPECT_EQ(alice.next<Cancel>(), (Cancel{batch.lease, batch.range}));
  EXPECT_EQ(alice.tasks().range, batch.range);
}

TEST_F(Leasing, what_waits_behind_a_long_task_does_not_expire) {
  job_of(10);
  Worker& alice = worker(1);
  teach(alice, 1s, 10);
  offer(2);
  const auto batches = alice.all_tasks();
  alice.running = {runs(batches[0])};
  pass(20s);
  EXPECT_EQ(audit().leased, 2U);
}

TEST_F(Leasing, what_waits_behind_a_task_that_is_over_its_time_expires_like_that) {
  timed_job_of(10);
  Worker& alice = worker(1);
  teach(alice, 1s, 10);
  offer(2);
  const auto batches = alice.all_tasks();
  ASSERT_EQ(batches.size(), 2U);
  alice.running = {runs(batches[0], 0, 3s)};  // It hangs, and its worker talks on.
  pass(5s);
  EXPECT_EQ(alice.next<Cancel>().lease, batches[0].lease);
  EXPECT_EQ(alice.next<Cancel>().lease, batches[1].lease);
  alice.read_all();
}

TEST_F(Leasing, a_finished_batch_whose_result_is_lost_is_leased_again_while_others_are_acknowledged) {
  job_of(0);
  Worker& alice = worker(1);
  Worker& bob = worker(1);
  offer(2);
  const auto of_alice = alice.all_tasks();
  const auto of_bob = bob.all_tasks();
  alice.running = {runs(of_alice[0], of_alice[0].range.count, 0ns)};
  bob.running = {runs(of_bob[0])};
  pass(1s);
  complete(bob, of_bob[0]);
  bob.running.clear();
  bob.read_all();
  pass(8s);
  EXPECT_FALSE(said("makes no progress"));
  pass(3s);
  EXPECT_TRUE(said("makes no progress"));
  EXPECT_EQ(alice.next<Cancel>().lease, of_alice[0].lease);
  alice.read_all();
  bob.read_all();
}

TEST_F(Leasing, a_finished_batch_waits_for_ever_while_the_sink_acknowledges_nothing) {
  job_of(1);
  Worker& alice = worker(1);
  const Tasks batch = alice.tasks();
  alice.running = {runs(batch, 1, 0ns)};
  pass(1h);
  EXPECT_EQ(audit().leased, 1U);
}

}  // namespace
}  // namespace ventile
