// Conversations: who is here, what jobs they share, and how both end. Who gets what is in leasing_test.cpp.
#include <ventile/queue/dispatcher.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <span>
#include <string>

#include "tests/patterns/queue/dispatcher_fixture.hpp"

namespace ventile {
namespace {

using namespace std::chrono_literals;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Puppet;
using testing::Sink;
using testing::Worker;

class DispatcherTest : public testing::DispatcherTest {
protected:
  // A job of so many tasks that a worker has all run and the sink has stored.
  Worker& finished_job(std::uint64_t tasks) {
    job_of(tasks);
    Worker& alice = worker(100);
    teach(alice, 1ms, tasks);
    end_job();
    return alice;
  }
};

// --- Opening -----------------------------------------------------------------------------------------------------

// The letters say who comes when: j(ob), s(ink), w(orker).
class AnyOrder : public testing::DispatcherTest, public ::testing::WithParamInterface<std::string> {};

TEST_P(AnyOrder, of_arrival_works) {
  Worker* alice = nullptr;
  for (const char who : GetParam()) {
    if (who == 'j') {
      open_job();
      offer(1);
    } else if (who == 's') {
      new_sink().hello();
    } else {
      alice = &worker();
    }
  }
  EXPECT_FALSE(alice->has_mail()) << "nothing is leased before the sink has opened the job";
  sink().opens();
  EXPECT_EQ(alice->tasks().range, (Range{0, 1}));
}

INSTANTIATE_TEST_SUITE_P(Start, AnyOrder, ::testing::Values("jsw", "jws", "sjw", "swj", "wjs", "wsj"));

TEST_F(DispatcherTest, a_peer_is_told_how_often_to_say_something) {
  Worker& alice = new_worker();
  alice.say(Hello{Role::worker, alice.node, "alice", "test", 1, {}, {}, {}, {}});
  EXPECT_EQ(alice.next<Welcome>(), (Welcome{500, 2000, 0}));
}

TEST_F(DispatcherTest, a_worker_learns_where_its_sink_is_and_that_nothing_may_be_lent_to_it_any_more) {
  open_job();
  Sink& there = new_sink();
  there.machine = {7, 8};
  there.hello().opens();
  Worker& alice = worker();
  offer(1);
  alice.next<Open>();
  EXPECT_EQ(alice.next<Route>(), (Route{there.incarnation, "tcp://sink:5571", {7, 8}}));
  alice.tasks();
  there.machine = {};
  there.hello({{.job = job}}).opens();
  EXPECT_EQ(alice.next<Route>(), (Route{there.incarnation, "tcp://sink:5571", {}}));
}

TEST_F(DispatcherTest, a_worker_learns_what_a_job_is_before_its_first_tasks) {
  open_job({.name = "squares",
            .function = "square",
            .index = {.enabled = true, .start = 5, .step = 2},
            .timeout = 3s,
            .tries_max = 4});
  new_sink().hello().opens({}, "sum");
  offer(1);
  Worker& alice = worker();
  const auto open = alice.next<Open>();
  EXPECT_EQ(open.function, "square");
  EXPECT_EQ(open.index, (IndexRule{true, 5, 2}));
  EXPECT_EQ(open.timeout_nanoseconds, 3'000'000'000U);
  EXPECT_EQ(open.tries_max, 4U);
  EXPECT_EQ(open.fold, "sum");
  EXPECT_EQ(alice.next<Route>(), (Route{sink().incarnation, "tcp://sink:5571"}));
  alice.next<Tasks>();
}

TEST_F(DispatcherTest, a_worker_without_the_function_gets_nothing) {
  job_of(1);
  Worker& alice = new_worker();
  alice.functions = {{"cube", true}};
  alice.hello();
  EXPECT_FALSE(alice.has_mail());
  EXPECT_EQ(dispatcher->why_waiting(job), "none of the 1 workers has the function 'square'");
}

TEST_F(DispatcherTest, says_what_it_waits_for) {
  open_job();
  EXPECT_EQ(dispatcher->why_waiting(job), "no sink has connected");
  new_sink().hello();
  EXPECT_EQ(dispatcher->why_waiting(job), "the sink sink-1 has not opened the job yet");
  sink().opens();
  EXPECT_EQ(dispatcher->why_waiting(job), "");
  offer(1);
  EXPECT_EQ(dispatcher->why_waiting(job), "no worker has connected");
  worker().tasks();
  EXPECT_EQ(dispatcher->why_waiting(job), "");
}

TEST_F(DispatcherTest, a_peer_of_an_unknown_session_is_asked_to_introduce_itself) {
  Worker& alice = new_worker();
  alice.progress();
  alice.next<HelloAgain>();
  alice.hello();
  alice.session = {12345};
  alice.progress();
  alice.next<HelloAgain>();
}

TEST_F(DispatcherTest, a_peer_that_introduces_itself_again_has_a_new_session) {
  job_of(1);
  Worker& alice = worker();
  const SessionId before = alice.session;
  const Tasks batch = alice.tasks();
  alice.hello({{job, batch.lease, batch.range}});
  EXPECT_NE(alice.session, before);
  EXPECT_EQ(dispatcher->worker_count(), 1U);
  EXPECT_EQ(dispatcher->slot_count(), 1U);
  alice.next<Open>();
  alice.next<Route>();
  EXPECT_EQ(audit().leased, 1U);
}

TEST_F(DispatcherTest, a_process_that_connects_anew_is_one_worker) {
  Worker& alice = worker(4);
  returning(alice).hello();
  EXPECT_EQ(dispatcher->worker_count(), 1U);
  EXPECT_EQ(dispatcher->workers_seen(), 1U);
  EXPECT_EQ(dispatcher->slot_count(), 4U);
  EXPECT_EQ(next<Forget>().peer, alice.id);
}

// --- Staying in touch --------------------------------------------------------------------------------------------

TEST_F(DispatcherTest, whoever_is_silent_for_four_heartbeats_is_dead) {
  Worker& alice = worker();
  alice.fall_silent();
  pass(2s);
  EXPECT_EQ(dispatcher->worker_count(), 1U);
  pass(200ms);
  EXPECT_EQ(dispatcher->worker_count(), 0U);
  EXPECT_TRUE(said("silent for"));
}

TEST_F(DispatcherTest, any_message_counts_as_a_heartbeat) {
  worker();
  pass(1h);
  EXPECT_EQ(dispatcher->worker_count(), 1U);
}

TEST_F(DispatcherTest, heartbeats_become_rarer_with_many_peers) {
  start({.heartbeats_per_second_max = 10});
  for (int i = 0; i < 20; ++i) worker();
  Worker& alice = new_worker();
  alice.say(Hello{Role::worker, alice.node, "alice", "test", 1, {}, {}, {}, {}});
  EXPECT_EQ(alice.next<Welcome>(), (Welcome{2100, 8400, 0}));
}

TEST_F(DispatcherTest, a_sink_may_be_given_more_time_than_a_worker) {
  start({.sink_dead_after_heartbeats = 100});
  job_of(1);
  Worker& alice = worker();
  alice.fall_silent();
  sink().fall_silent();
  pass(10s);
  EXPECT_EQ(dispatcher->worker_count(), 0U);
  EXPECT_EQ(dispatcher->why_waiting(job), "no worker has connected") << "and not that there is no sink";
  pass(41s);
  EXPECT_EQ(dispatcher->why_waiting(job), "no sink has connected");
}

class CrowdTest : public DispatcherTest {
protected:
  // One of 41, who was told to speak every 4.1 seconds. The others have left.
  Worker& left_by_a_crowd() {
    start({.heartbeats_per_second_max = 10});
    std::vector<Worker*> crowd;
    for (int i = 0; i < 40; ++i) crowd.push_back(&worker());
    Worker& alice = worker();
    for (Worker* one : crowd) {
      one->say(Bye{});
      one->next<Bye>();
      one->fall_silent();
    }
    return alice;
  }
};

TEST_F(CrowdTest, a_peer_may_be_silent_for_as_long_as_it_was_told_whoever_has_left_since) {
  Worker& alice = left_by_a_crowd();
  alice.fall_silent();
  pass(10s);
  EXPECT_EQ(dispatcher->worker_count(), 1U);
}

// It once kept the interval that it was told for good: 10,000 that had come one by one said 4,000 words a second.
TEST_F(DispatcherTest, whoever_was_there_first_hears_of_a_crowd_how_often_to_speak) {
  start({.heartbeats_per_second_max = 10});
  Worker& alice = worker();
  for (int i = 0; i < 40; ++i) worker();
  EXPECT_FALSE(alice.pace);
  pass(600ms);
  EXPECT_EQ(alice.pace, (Pace{4100, 16'400}));
}

TEST_F(CrowdTest, whoever_stays_hears_that_the_crowd_has_left_and_has_less_time_once_it_has_spoken) {
  Worker& alice = left_by_a_crowd();
  pass(4200ms);
  EXPECT_EQ(alice.pace, (Pace{500, 2000}));
  alice.progress();
  alice.fall_silent();
  pass(1900ms);
  EXPECT_EQ(dispatcher->worker_count(), 1U);
  pass(400ms);
  EXPECT_EQ(dispatcher->worker_count(), 0U);
}

TEST_F(DispatcherTest, one_peer_more_or_less_is_no_news) {
  start({.heartbeats_per_second_max = 10});
  Worker& alice = worker();
  for (int i = 0; i < 39; ++i) worker();
  pass(10s);
  EXPECT_EQ(alice.pace, (Pace{4000, 16'000}));
  worker();
  pass(10s);
  EXPECT_EQ(alice.pace, (Pace{4000, 16'000}));
}

// What they say waits behind what the crowd says.
TEST_F(DispatcherTest, a_peer_may_be_silent_for_as_long_as_the_crowd_that_came_after_it) {
  start({.heartbeats_per_second_max = 10});
  Worker& alice = worker();  // It was told to speak every half second.
  for (int i = 0; i < 40; ++i) worker();
  alice.fall_silent();
  pass(10s);
  EXPECT_EQ(dispatcher->worker_count(), 41U);
  pass(8s);
  EXPECT_EQ(dispatcher->worker_count(), 40U);
}

// --- The sink ----------------------------------------------------------------------------------------------------

TEST_F(DispatcherTest, a_job_waits_for_its_sink_to_come_back_and_goes_on) {
  job_of(3);
  Worker& alice = worker(1);
  const auto batches = alice.all_tasks();
  complete(alice, batches[0]);
  alice.read_all();
  Sink& before = sink();
  unreachable(before);
  EXPECT_EQ(dispatcher->why_waiting(job), "the sink that stored 1 task has not come back");
  returning(before).hello({{.job = job}}).opens({{0, 1}});
  EXPECT_EQ(alice.next<Route>().sink, before.incarnation);
  complete(alice, batches[1]);
  EXPECT_EQ(count(Outcome::done), 2U);
}

TEST_F(DispatcherTest, a_new_sink_that_has_everything_gets_a_new_route) {
  job_of(1);
  Worker& alice = worker(1);
  const Tasks batch = alice.tasks();
  unreachable(sink());
  Sink& again = new_sink().hello().opens();
  EXPECT_EQ(alice.next<Route>().sink, again.incarnation);
  complete(alice, batch);
}

TEST_F(DispatcherTest, what_a_sink_stored_and_could_not_say_is_settled_when_it_comes_back) {
  job_of(2);
  Worker& alice = worker(1);
  const auto batches = alice.all_tasks();
  unreachable(sink());
  returning(sink()).hello({{.job = job}}).opens({{0, 1}});
  EXPECT_EQ(alice.next<Cancel>(), (Cancel{batches[0].lease, {0, 1}}));
  EXPECT_EQ(alice.next<Route>().sink, sink().incarnation) << "else its result waits for a verdict for ever";
  EXPECT_EQ(count(Outcome::done), 1U);
  next<Forget>();
  EXPECT_EQ(next<Settled>().range, (Range{0, 1}));
}

TEST_F(DispatcherTest, what_failed_before_the_sink_came_back_has_failed) {
  job_of(3);
  unreachable(sink());
  Sink& again = returning(sink()).hello({{.job = job}});
  again.next<Open>();
  again.say(Opened{{}, {}, false, {{0, 2}}, {{{1, 1}, Outcome::failed}}, again.credit}, job);
  EXPECT_EQ(count(Outcome::done), 1U);
  EXPECT_EQ(count(Outcome::failed), 1U);
  next<Forget>();
  EXPECT_EQ(next<Settled>().failures, (std::vector<FailureNote>{{{1, 1}, Outcome::failed, {}, {}}}));
}

TEST_F(DispatcherTest, a_sink_that_comes_back_with_nothing_ends_the_job) {
  Worker& alice = finished_job(5);
  sink().next<End>();
  sink().fall_silent();
  unreachable(sink());
  Sink& again = new_sink().hello();
  pass(9s);
  EXPECT_FALSE(again.has_mail()) << "the one that has the results may come back";
  pass(2s);
  again.opens();
  alice.next<Close>();
  sink().next<Close>();
  for (int i = 0; i < 5; ++i) next<Settled>();
  next<Forget>();
  EXPECT_EQ(next<JobFailed>().lost, 5U);
}

TEST_F(DispatcherTest, a_sink_that_refuses_the_job_ends_it_and_is_free_again) {
  open_job();
  Sink& picky = new_sink().hello();
  picky.next<Open>();
  picky.say(Opened{"the file is not empty", {}, false, {}, {}, {}}, job);
  EXPECT_EQ(next<JobFailed>().message, "the sink refused the job: the file is not empty");
  picky.next<Close>();
  open_job({}, JobId{2, 2});
  picky.next<Open>();
}

TEST_F(DispatcherTest, numbers_that_a_sink_has_before_they_are_submitted_do_not_run) {
  open_job();
  new_sink().hello().opens({{0, 2}, {5, 100}});
  offer(3);
  offer(5);
  EXPECT_EQ(count(Outcome::done), 5U);
  const auto batches = worker(8).all_tasks();
  ASSERT_FALSE(batches.empty());
  EXPECT_EQ(batches.front().range.first, 2U);
  EXPECT_EQ(audit().leased + audit().queued, 3U);
}

TEST_F(DispatcherTest, what_the_sink_calls_a_duplicate_is_settled) {
  job_of(1);
  Worker& alice = worker();
  Settlement known = settlement(alice, alice.tasks());
  known.verdict = Verdict::duplicate;
  sink().stores(known);
  EXPECT_TRUE(alice.next<Cancel>().lease);
  alice.next<Verdicts>();
  EXPECT_EQ(count(Outcome::done), 1U);
  EXPECT_FALSE(alice.has_mail()) << "it would run for ever";
}

TEST_F(DispatcherTest, proposals_are_repeated_to_a_sink_that_comes_back) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  alice.give_back(batch.lease, {batch.range}, ReturnReason::failed, "boom");
  sink().next<Propose>();
  unreachable(sink());
  returning(sink()).hello({{.job = job}}).opens();
  take_proposals();
  alice.next<Route>();
  EXPECT_EQ(count(Outcome::failed), 1U);
}

TEST_F(DispatcherTest, a_second_sink_waits_for_a_job_of_its_own) {
  job_of(0);
  Sink& first = sink();
  Sink& second = new_sink().hello();
  EXPECT_FALSE(second.has_mail());
  open_job({}, JobId{2, 2});
  second.next<Open>();
  EXPECT_FALSE(first.has_mail());
}

TEST_F(DispatcherTest, a_second_sink_gets_the_next_job_when_the_first_is_busy_no_more) {
  finished_job(1).fall_silent();
  Sink& first = sink();
  first.next<End>();
  open_job({}, JobId{2, 2});
  EXPECT_EQ(dispatcher->why_waiting(JobId{2, 2}), "every sink serves another job");
  first.say(Closed{}, job);
  first.next<Close>();
  first.next<Open>();
}

TEST_F(DispatcherTest, a_sink_that_only_waits_does_not_get_a_job_of_which_another_has_results) {
  job_of(3);
  Sink& first = sink();
  Worker& alice = worker(1);
  const auto batches = alice.all_tasks();
  complete(alice, batches[0]);
  alice.read_all();
  Sink& second = new_sink().hello();
  first.fall_silent();
  unreachable(first);
  pass(1s);
  EXPECT_FALSE(second.has_mail());
  returning(first).hello({{.job = job}}).opens({{0, 1}});
  EXPECT_FALSE(second.has_mail());
  alice.next<Route>();
}

// --- The end -----------------------------------------------------------------------------------------------------

TEST_F(DispatcherTest, a_job_ends_when_everything_has_an_outcome_and_the_output_is_closed) {
  Worker& alice = finished_job(5);
  EXPECT_EQ(sink().next<End>().total, 5U);
  EXPECT_FALSE(alice.has_mail());
  Closed closed;
  closed.outcomes[0] = 5;
  sink().say(closed, job);
  sink().next<Close>();
  alice.next<Close>();
  for (int i = 0; i < 5; ++i) next<Settled>();
  EXPECT_EQ(next<JobClosed>().report, closed);
}

TEST_F(DispatcherTest, a_job_without_tasks_ends_too) {
  job_of(0);
  end_job();
  EXPECT_EQ(sink().next<End>().total, 0U);
}

TEST_F(DispatcherTest, a_job_does_not_end_while_more_may_come) {
  job_of(1);
  Worker& alice = worker();
  complete(alice, alice.tasks());
  EXPECT_FALSE(sink().has_mail());
  end_job();
  sink().next<End>();
}

TEST_F(DispatcherTest, a_sink_that_comes_back_at_the_end_is_told_again) {
  finished_job(1).fall_silent();
  sink().next<End>();
  unreachable(sink());
  returning(sink()).hello({{.job = job}}).opens({{0, 1}});
  EXPECT_EQ(sink().next<End>().total, 1U);
}

TEST_F(DispatcherTest, a_sink_that_missed_the_end_is_told_to_forget_the_job) {
  finished_job(1).fall_silent();
  sink().next<End>();
  sink().say(Closed{}, job);
  sink().read_all();
  returning(sink()).hello({{.job = job}});
  sink().next<Close>();
}

TEST_F(DispatcherTest, an_output_that_cannot_be_written_fails_the_job) {
  job_of(1);
  Worker& alice = worker();
  alice.tasks();
  Closed broken;
  broken.error = "no space left on device";
  sink().say(broken, job);
  alice.next<Close>();
  sink().next<Close>();
  EXPECT_EQ(next<JobFailed>().message, "the sink could not write its output: no space left on device");
}

TEST_F(DispatcherTest, verdicts_on_their_way_when_the_job_ended_do_no_harm) {
  job_of(1);
  Worker& alice = worker();
  const Tasks batch = alice.tasks();
  Closed broken;
  broken.error = "no space left on device";
  sink().say(broken, job);
  sink().next<Close>();
  alice.next<Close>();
  sink().stores(settlement(alice, batch));
  EXPECT_FALSE(sink().has_mail());
}

TEST_F(DispatcherTest, everybody_is_told_when_the_dispatcher_leaves) {
  Worker& alice = worker();
  Sink& sink = new_sink().hello();
  dispatcher->stop(ByeReason::done, "the job is over");
  pass(0s);
  EXPECT_EQ(alice.next<Bye>().message, "the job is over");
  sink.next<Bye>();
}

// --- Cancelling --------------------------------------------------------------------------------------------------

TEST_F(DispatcherTest, cancelled_soon_what_runs_may_finish) {
  job_of(100);
  Worker& alice = worker(1);
  const auto batches = alice.all_tasks();
  cancel_job(false);
  alice.read_all();
  take_proposals();
  EXPECT_EQ(count(Outcome::cancelled), 100 - batches.size());
  for (const Tasks& batch : batches) complete(alice, batch);
  EXPECT_EQ(count(Outcome::done), batches.size());
  sink().next<End>();
}

TEST_F(DispatcherTest, cancelled_soon_workers_are_asked_for_what_has_not_begun) {
  job_of(100);
  Worker& alice = worker(1);
  const std::vector<Tasks> batches = alice.all_tasks();
  ASSERT_GT(batches.size(), 1U);
  cancel_job(false);
  for (const Tasks& batch : batches)
    EXPECT_EQ(alice.next<Retract>(), (Retract{batch.lease, batch.range.count})) << "it knows best what has begun";
  for (const Tasks& batch : std::span(batches).subspan(1)) alice.give_back(batch.lease, {batch.range});
  take_proposals();
  complete(alice, batches.front());
  EXPECT_EQ(count(Outcome::done), batches.front().range.count);
  EXPECT_EQ(count(Outcome::cancelled), 100 - batches.front().range.count);
  sink().next<End>();
}

TEST_F(DispatcherTest, cancelled_now_what_runs_is_stopped) {
  job_of(1);
  Worker& alice = worker(1);
  const Tasks batch = alice.tasks();
  cancel_job(true);
  EXPECT_EQ(alice.next<Cancel>(), Cancel{});
  alice.give_back(batch.lease, {batch.range}, ReturnReason::cancelled);
  take_proposals();
  EXPECT_EQ(count(Outcome::cancelled), 1U);
  sink().next<End>();
}

TEST_F(DispatcherTest, what_comes_back_after_the_job_was_cancelled_does_not_run) {
  job_of(3);
  Worker& alice = worker(1);
  Worker& bob = worker(1);
  const auto batches = alice.all_tasks();
  cancel_job(false);
  alice.read_all();
  take_proposals();
  alice.give_back(batches[0].lease, {batches[0].range});
  take_proposals();
  unreachable(alice);
  take_proposals();
  EXPECT_FALSE(bob.has_mail());
  EXPECT_EQ(count(Outcome::cancelled), 3U);
  sink().next<End>();
}

TEST_F(DispatcherTest, a_job_may_be_cancelled_before_it_has_a_sink) {
  open_job();
  offer(5);
  cancel_job(true);
  new_sink().hello().opens();
  take_proposals();
  EXPECT_EQ(count(Outcome::cancelled), 5U);
  sink().next<End>();
}

TEST_F(DispatcherTest, a_result_that_came_before_the_proposal_wins) {
  job_of(1);
  Worker& alice = worker(1);
  const Tasks batch = alice.tasks();
  cancel_job(true);
  alice.next<Cancel>();
  alice.give_back(batch.lease, {batch.range}, ReturnReason::cancelled);
  sink().next<Propose>();
  complete(alice, batch);
  sink().stores({{}, {}, batch.range, Verdict::duplicate, 0, 0, {}});
  EXPECT_EQ(count(Outcome::done), 1U);
  sink().next<End>();
}

// A stage seeks the stream without a session and is forgotten at the turn's end; what it says before that counts. Its
// WELCOME was once sent to nobody.
TEST_F(DispatcherTest, who_introduces_itself_in_the_turn_in_which_it_was_to_be_forgotten_is_welcomed) {
  const PeerId peer{4711};
  const Envelope envelope{{}, {5}, {}, 1};
  Hello hello;
  hello.node = {1, 2};
  dispatcher->on_message(peer, {envelope, Seek{}}, now);
  dispatcher->on_message(peer, {envelope, hello}, now);
  bool welcomed = false;
  for (const Action& action : dispatcher->take_actions()) {
    EXPECT_FALSE(std::holds_alternative<Forget>(action));
    const auto* send = std::get_if<Send>(&action);
    welcomed = welcomed || (send != nullptr && send->to == peer && std::holds_alternative<Welcome>(send->message));
  }
  EXPECT_TRUE(welcomed);
}

// It was once told so when it had been forgotten, by which nothing was sent.
TEST_F(DispatcherTest, who_speaks_in_the_turn_in_which_it_was_to_be_forgotten_is_asked_to_introduce_itself) {
  const PeerId peer{4711};
  const Envelope envelope{{}, {5}, {}, 1};
  Hello hello;
  hello.node = {1, 2};
  dispatcher->on_message(peer, {envelope, hello}, now);
  (void)dispatcher->take_actions();
  dispatcher->on_malformed(peer, {Code::invalid, "garbage"}, protocol_version, now);
  dispatcher->on_message(peer, {envelope, Heartbeat{}}, now);
  bool asked = false;
  bool forgotten = false;
  for (const Action& action : dispatcher->take_actions()) {
    const auto* send = std::get_if<Send>(&action);
    asked = asked || (!forgotten && send != nullptr && std::holds_alternative<HelloAgain>(send->message));
    forgotten = forgotten || std::holds_alternative<Forget>(action);
  }
  EXPECT_TRUE(asked);
  EXPECT_TRUE(forgotten);
}

// Who lends to a dispatcher, and what it is told when something cannot be read.
class LentToDispatcher : public DispatcherTest {
protected:
  LentToDispatcher() { start({.machine = here}); }

  static constexpr MachineId here{7, 8};

  MachineId welcomed(std::uint64_t number, MachineId machine, Role role = Role::worker) {
    Hello hello;
    hello.role = role;
    hello.node = {1, number};
    hello.name = "peer " + std::to_string(number);
    hello.machine = machine;
    dispatcher->on_message(PeerId{number}, {{{}, {number}, {}, 1}, hello}, now);
    std::optional<MachineId> said;
    for (const Action& action : dispatcher->take_actions())
      if (const auto* send = std::get_if<Send>(&action);
          send != nullptr && std::holds_alternative<Welcome>(send->message))
        said = std::get<Welcome>(send->message).machine;
    return said.value();
  }
  // What is done about it: names of messages, and notices.
  std::vector<std::string> answer(std::uint64_t number, Code code = Code::failed) {
    dispatcher->on_unreadable(PeerId{number}, {code, "It is gone."}, now);
    std::vector<std::string> said;
    for (const Action& action : dispatcher->take_actions()) {
      if (const auto* send = std::get_if<Send>(&action)) said.emplace_back(name_of(send->message));
      if (const auto* notice = std::get_if<Notice>(&action)) said.push_back(notice->text);
    }
    return said;
  }
};

TEST_F(LentToDispatcher, only_by_those_who_are_on_its_machine) {
  EXPECT_EQ(welcomed(101, here), here);
  EXPECT_EQ(welcomed(102, {1, 2}), MachineId{}) << "it is elsewhere";
  EXPECT_EQ(welcomed(103, {}), MachineId{}) << "it reads nothing itself";
}

TEST_F(LentToDispatcher, what_cannot_be_read_is_the_last_that_its_lender_lends) {
  welcomed(101, here);
  EXPECT_THAT(answer(101), ElementsAre("It is gone. From now on nothing is lent by peer 101.", "HELLO-AGAIN"));
  EXPECT_THAT(answer(101), ElementsAre("HELLO-AGAIN")) << "it had been sent before that was heard";
  EXPECT_EQ(welcomed(101, here), MachineId{});
  EXPECT_EQ(welcomed(102, here), here) << "the fault was not on this side";
}

TEST_F(LentToDispatcher, who_may_lend_nothing_is_refused_and_who_has_no_session_asked_for_one) {
  welcomed(102, {1, 2});
  EXPECT_THAT(answer(102), Contains(HasSubstr("refused a message of peer 102")));
  EXPECT_THAT(answer(103), ElementsAre("HELLO-AGAIN"));
}

TEST_F(LentToDispatcher, who_seems_to_be_dead_may_go_on_if_it_is_not) {
  welcomed(101, here);
  EXPECT_THAT(answer(101, Code::disconnected), ElementsAre("HELLO-AGAIN"));
  EXPECT_EQ(welcomed(101, here), here);
}

// Else the offer behind the one that was lost would be refused as out of its place.
TEST_F(LentToDispatcher, a_client_has_no_session_when_a_message_of_it_was_lost) {
  welcomed(101, here, Role::client);
  EXPECT_THAT(answer(101), Contains("HELLO-AGAIN"));
  EXPECT_FALSE(dispatcher->knows(PeerId{101}));
}

TEST_F(LentToDispatcher, nothing_is_lent_by_anybody_when_what_many_lent_cannot_be_read) {
  std::vector<std::string> last;
  for (std::uint64_t number = 1; number <= 16; ++number) {
    EXPECT_EQ(welcomed(number, here), here);
    last = answer(number);
  }
  EXPECT_THAT(last, Contains("It is gone. From now on nothing is lent by anybody."));
  EXPECT_EQ(welcomed(17, here), MachineId{});
}

// A sink's turn with many workers asks for thousands of actions, whose memory was had from the kernel anew each time.
TEST_F(DispatcherTest, actions_are_taken_in_the_memory_of_those_that_are_carried_out) {
  const auto ask = [&] { dispatcher->on_message(PeerId{4711}, {{{}, {5}, {}, 1}, Heartbeat{}}, now); };
  Actions first;
  ask();
  ASSERT_TRUE(dispatcher->take_actions(first));
  const Action* const memory = first.data();
  EXPECT_FALSE(dispatcher->take_actions(first));
  EXPECT_TRUE(first.empty());
  ask();
  Actions second;
  ASSERT_TRUE(dispatcher->take_actions(second));
  EXPECT_EQ(second.data(), memory);
}

TEST_F(DispatcherTest, memory_of_very_many_actions_is_given_back) {
  const auto ask = [&] { dispatcher->on_message(PeerId{4711}, {{{}, {5}, {}, 1}, Heartbeat{}}, now); };
  for (int i = 0; i < 10'000; ++i) ask();
  Actions actions;
  ASSERT_TRUE(dispatcher->take_actions(actions));
  ASSERT_GE(actions.capacity(), 10'000U);
  for (int i = 0; i < 2; ++i) {
    ask();
    ASSERT_TRUE(dispatcher->take_actions(actions));
    EXPECT_LT(actions.capacity(), 100U);
  }
}

TEST_F(DispatcherTest, each_worker_is_told_at_once_of_all_its_batches_that_a_sink_has_stored_at_once) {
  job_of(0);
  Worker& alice = worker(4);
  Worker& bob = worker(4);
  offer(3);
  std::vector<Tasks> of_alice = alice.all_tasks();
  std::vector<Tasks> of_bob = bob.all_tasks();
  ASSERT_EQ(of_alice.size() + of_bob.size(), 3U);
  const bool alice_has_two = of_alice.size() == 2;
  Worker& busier = alice_has_two ? alice : bob;
  Worker& other = alice_has_two ? bob : alice;
  const std::vector<Tasks> two = alice_has_two ? of_alice : of_bob;
  const std::vector<Tasks> one = alice_has_two ? of_bob : of_alice;
  sink().says_stored({settlement(busier, two[0]), settlement(other, one[0]), settlement(busier, two[1])});
  EXPECT_EQ(busier.next<Verdicts>().verdicts.size(), 2U);
  EXPECT_EQ(other.next<Verdicts>().verdicts.size(), 1U);
  EXPECT_FALSE(busier.has_mail());
  EXPECT_FALSE(other.has_mail());
}

TEST_F(DispatcherTest, who_has_a_session_seeks_no_stream) {
  Worker& seeker = worker();
  seeker.say(Seek{});
  seeker.next<Refused>();
  EXPECT_TRUE(said("SEEK is not for a worker to send now"));
}

// --- Strangers and liars -----------------------------------------------------------------------------------------

// Says something that is not for it to say. Only its own session ends.
class Liar : public testing::DispatcherTest {
protected:
  Liar() {
    job_of(100);
    alice = &worker(1);
    batch = alice->all_tasks().front();
  }
  void expect_only_to_lose(const Puppet& liar) {
    EXPECT_EQ(dispatcher->refusals().total(), 1U);
    EXPECT_EQ(next<Forget>().peer, liar.id);
    EXPECT_EQ(audit().settled(), 0U);
    EXPECT_TRUE(dispatcher->job_running(job));
  }
  Worker* alice = nullptr;
  Tasks batch;
};

TEST_F(Liar, a_worker_that_says_what_a_sink_says_ends_its_own_session) {
  Worker& mallory = worker(1);
  mallory.read_all();
  mallory.say(Stored{{settlement(*alice, batch)}, {}}, job);
  mallory.next<Refused>();
  expect_only_to_lose(mallory);
}

TEST_F(Liar, a_sink_that_speaks_of_a_job_that_it_was_not_given_ends_its_own_session) {
  Sink& honest = sink();
  Sink& mallory = new_sink().hello();
  mallory.stores(settlement(*alice, batch));
  mallory.next<Refused>();
  expect_only_to_lose(mallory);
  EXPECT_TRUE(honest.session);
}

TEST_F(Liar, a_peer_that_says_what_a_dispatcher_says_ends_its_own_session) {
  Worker& mallory = worker(1);
  mallory.read_all();
  mallory.say(Cancel{batch.lease, batch.range}, job);
  mallory.next<Refused>();
  expect_only_to_lose(mallory);
}

TEST_F(Liar, a_peer_that_takes_the_name_of_another_gets_no_session) {
  Worker& mallory = new_worker();
  mallory.incarnation = alice->incarnation;
  mallory.say(Hello{Role::worker, mallory.node, "alice", "test", 1, mallory.functions, {}, mallory.credit, {}});
  EXPECT_EQ(mallory.next<Refused>().message, "its HELLO takes the name of another");
  EXPECT_EQ(dispatcher->worker_count(), 1U);
  EXPECT_TRUE(dispatcher->job_running(job));
}

// Four billion slots once got a lease each, until the dispatcher's memory was full.
TEST_F(Liar, a_worker_with_more_slots_than_any_machine_gets_no_session) {
  Worker& mallory = new_worker();
  mallory.say(
      Hello{Role::worker, mallory.node, "mallory", "test", UINT32_MAX, mallory.functions, {}, mallory.credit, {}});
  EXPECT_EQ(mallory.next<Refused>().message, "its HELLO claims 4294967295 slots; a worker has at most 65536");
  EXPECT_EQ(dispatcher->worker_count(), 1U);
}

TEST_F(Liar, a_worker_that_holds_a_lease_of_the_future_gets_no_session) {
  Worker& mallory = new_worker();
  LeaseId future = batch.lease;
  future.counter += 1000;
  mallory.say(Hello{Role::worker,
                    mallory.node,
                    "mallory",
                    "test",
                    1,
                    mallory.functions,
                    {},
                    mallory.credit,
                    {{job, future, {0, 1}}}});
  EXPECT_EQ(mallory.next<Refused>().message, "its HELLO names a lease that was never given");
}

TEST_F(Liar, a_hello_without_a_name_gets_no_session) {
  Worker& mallory = new_worker();
  mallory.incarnation = {};
  mallory.say(Hello{Role::worker, mallory.node, "mallory", "test", 1, {}, {}, {}, {}});
  EXPECT_EQ(mallory.next<Refused>().message, "its HELLO names no node or no incarnation");
}

TEST_F(Liar, a_malformed_message_ends_the_session_of_its_sender) {
  malformed(*alice);
  EXPECT_EQ(next<Forget>().peer, alice->id);
  EXPECT_EQ(audit().leased, 0U);
}

TEST_F(Liar, who_does_what_its_key_does_not_entitle_it_to_is_told_so_and_loses_its_session) {
  unauthorized(*alice, "it may not");
  const auto refused = alice->next<Refused>();
  EXPECT_EQ(refused.reason, Refusal::unauthorized);
  EXPECT_EQ(refused.message, "it may not");
  EXPECT_EQ(next<Forget>().peer, alice->id);
  EXPECT_EQ(audit().leased, 0U);
  EXPECT_EQ(dispatcher->refusals().of(RefusedFor::unauthorized), 1U);
  EXPECT_EQ(dispatcher->refusals().total(), 1U);
}

TEST_F(Liar, who_is_revoked_is_told_nothing_and_its_tasks_are_not_suspect) {
  revoked(*alice);
  EXPECT_EQ(next<Forget>().peer, alice->id);
  EXPECT_EQ(audit().leased, 0U);
  EXPECT_GT(audit().queued, 0U);
  EXPECT_EQ(dispatcher->counters(job).workers_lost, 0U);
  EXPECT_FALSE(alice->has_mail());
}

TEST_F(Liar, a_stranger_of_another_version_is_told_both_versions) {
  Worker& stranger = new_worker();
  malformed(stranger, std::uint16_t{7});
  const auto refused = stranger.next<Refused>();
  EXPECT_EQ(refused.reason, Refusal::version);
  EXPECT_NE(refused.message.find("version 7"), std::string::npos);
  EXPECT_NE(refused.message.find("version 1"), std::string::npos);
}

TEST_F(Liar, numbers_that_were_never_submitted_cannot_be_settled) {
  sink().stores({{}, {}, {1000, 1}, Verdict::stored, 0, 0, {}});
  sink().next<Refused>();
  EXPECT_EQ(audit().settled(), 0U);
}

TEST_F(Liar, an_output_cannot_be_closed_before_its_end) {
  sink().say(Closed{}, job);
  EXPECT_EQ(sink().next<Refused>().message, "CLOSED before END");
  EXPECT_TRUE(dispatcher->job_running(job));
}

TEST_F(Liar, a_job_is_opened_once) {
  sink().say(Opened{{}, {}, false, {{0, 50}}, {}, sink().credit}, job);
  sink().next<Refused>();
  EXPECT_EQ(audit().settled(), 0U);
}

TEST_F(Liar, progress_on_leases_of_others_is_ignored) {
  Worker& mallory = worker(1);
  mallory.read_all();
  mallory.running = {runs(batch, batch.range.count, 0ns)};
  mallory.progress();
  EXPECT_FALSE(dispatcher->account(job).leases_of(alice->session).empty());
  EXPECT_EQ(dispatcher->refusals().total(), 0U);
}

// --- The source of a pipeline ------------------------------------------------------------------------------------

TEST_F(DispatcherTest, whoever_seeks_a_stream_is_told_where_it_is_once_there_is_a_source) {
  Worker& stage = new_worker();
  stage.say(Seek{"stage"});
  next<Forget>();
  EXPECT_FALSE(stage.has_mail());
  Worker& source = new_worker();
  source.say(Hello{Role::worker, source.node, "source", "test", 16, {}, "tcp://10.0.0.7:5572", {}, {}});
  stage.say(Seek{"stage"});
  next<Forget>();
  EXPECT_EQ(stage.next<Stream>(), (Stream{"tcp://10.0.0.7:5572"}));
  source.fall_silent();
}

TEST_F(DispatcherTest, tasks_that_a_pipeline_gives_up_are_dead) {
  job_of(10);
  Worker& source = worker(16);
  const Tasks batch = source.tasks();
  source.give_back(batch.lease, {batch.range}, ReturnReason::dead, "never arrived");
  const auto proposal = sink().next<Propose>();
  EXPECT_EQ(proposal.outcome, Outcome::dead);
  EXPECT_EQ(proposal.ranges, (std::vector<Range>{batch.range}));
  source.read_all();
}

}  // namespace
}  // namespace ventile
