#include <ventile/queue/session.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr JobId job{1, 1};
constexpr LeaseId lease{{9}, 1};
constexpr IncarnationId sink{5};
constexpr SessionId session_id{77};

// A Session and what it did. The dispatcher is whatever a test says; its messages go through the real codec.
class SessionTest : public ::testing::Test {
protected:
  SessionTest() : session(options()) {}
  static SessionOptions options() {
    SessionOptions options;
    options.node = {1, 2};
    options.incarnation = {3};
    options.slots = 2;
    options.functions = {{"square", true}};
    options.credit_tasks = 100;
    return options;
  }

  // What the dispatcher says.
  void tell(const Message& message, JobId about = job) {
    const Buffer frame = encode({about, {9}, session_id, 0}, message);
    const Result<Received> received = decode(frame);
    ASSERT_TRUE(received) << received.error().message;
    session.on_message(*received, now);
    collect();
  }
  void open() {
    session.start(now);
    collect();
    const auto hello = said<Hello>();
    tell(Welcome{500, 2000, hello.greeting});
  }
  void open_job() {
    tell(Open{.name = "squares", .function = "square"});
    tell(Route{sink, "tcp://sink:5571"});
    did<Session::PrepareJob>();
    did<Session::ConnectSink>();
  }
  void give(Range range, LeaseId of = lease) {
    tell(Tasks{of, range, 0, {}});
    did<Session::Start>();
  }
  ResultId finish(Range range, std::size_t failures = 0, LeaseId of = lease) {
    const ResultId result = session.on_finished(job, of, range, 10, failures, now);
    collect();
    return result;
  }
  void pass(Duration duration) {
    for (const TimePoint end = now + duration; now < end;) {
      now = std::min(end, std::max(session.next_tick(), now + 1ms));
      session.on_tick(now, {});
      collect();
    }
  }

  // What it did. Heartbeats are not counted.
  void collect() {
    for (auto& action : session.take_actions()) {
      const auto* say = std::get_if<Session::Say>(&action);
      const auto* progress = say == nullptr ? nullptr : std::get_if<Progress>(&say->message);
      if (progress != nullptr)
        last_progress = *progress;
      else
        actions.push_back(std::move(action));
    }
  }
  template <class A>
  A did() {
    if (actions.empty()) {
      ADD_FAILURE() << "it did nothing";
      return {};
    }
    const Session::Action action = std::move(actions.front());
    actions.pop_front();
    if (const auto* expected = std::get_if<A>(&action)) return *expected;
    const auto* say = std::get_if<Session::Say>(&action);
    ADD_FAILURE() << "it did something else" << (say != nullptr ? ": it said " : "")
                  << (say != nullptr ? name_of(say->message) : "");
    return {};
  }
  template <class M>
  M said() {
    const auto say = did<Session::Say>();
    if (const auto* message = std::get_if<M>(&say.message)) return *message;
    ADD_FAILURE() << "it said " << name_of(say.message);
    return {};
  }
  std::size_t hellos() {
    return static_cast<std::size_t>(std::count_if(actions.begin(), actions.end(), [](const Session::Action& action) {
      const auto* say = std::get_if<Session::Say>(&action);
      return say != nullptr && std::holds_alternative<Hello>(say->message);
    }));
  }

  TimePoint now{1h};
  Session session;
  std::deque<Session::Action> actions;
  Progress last_progress;
};

// --- Opening -----------------------------------------------------------------------------------------------------

TEST_F(SessionTest, introduces_itself_until_it_is_answered) {
  session.start(now);
  collect();
  EXPECT_EQ(said<Hello>().slots, 2U);
  pass(999ms);
  EXPECT_TRUE(actions.empty());
  pass(1ms);
  EXPECT_EQ(said<Hello>().greeting, 2U);
}

TEST_F(SessionTest, introduces_itself_ever_more_rarely) {
  session.start(now);
  collect();
  pass(60s);
  EXPECT_LE(hellos(), 11U);
  EXPECT_GE(hellos(), 8U);
}

TEST_F(SessionTest, a_welcome_to_an_older_hello_is_ignored) {
  session.start(now);
  collect();
  pass(1s);
  tell(Welcome{500, 2000, 1});
  EXPECT_FALSE(session.open());
  tell(Welcome{500, 2000, 2});
  EXPECT_TRUE(session.open());
}

TEST_F(SessionTest, introduces_itself_again_when_told_to_and_once_only) {
  open();
  tell(HelloAgain{});
  tell(HelloAgain{});
  EXPECT_EQ(said<Hello>().greeting, 2U);
  EXPECT_TRUE(actions.empty());
}

TEST_F(SessionTest, says_where_it_is_until_something_that_was_lent_cannot_be_read) {
  SessionOptions options = SessionTest::options();
  options.machine = {7, 8};
  session = Session{options};
  session.start(now);
  collect();
  EXPECT_EQ(said<Hello>().machine, (MachineId{7, 8}));
  tell(Welcome{500, 2000, 1});
  session.on_unreadable({Code::unavailable, "It is gone."}, now);
  collect();
  did<Notice>();
  EXPECT_FALSE(session.open()) << "what was lent to it before may be lost, too";
  EXPECT_EQ(said<Hello>().machine, MachineId{});
  tell(Welcome{500, 2000, 2});
  session.on_unreadable({Code::unavailable, "It is gone."}, now);
  collect();
  EXPECT_TRUE(session.open()) << "whoever sends notes could end one session after another";
  EXPECT_TRUE(actions.empty());
}

// Both sides have lost a message at the same time, so that the sink's new ROUTE is the first of the worker's new
// session.
TEST_F(SessionTest, results_that_were_lent_are_sent_again_when_the_sink_cannot_read_them) {
  open();
  tell(Open{.name = "squares", .function = "square"});
  tell(Route{sink, "tcp://sink:5571", {7, 8}});
  did<Session::PrepareJob>();
  did<Session::ConnectSink>();
  give({0, 10});
  const ResultId result = finish({0, 10});
  ASSERT_EQ(session.outbox().next(now)->result, result);
  tell(HelloAgain{});
  tell(Welcome{500, 2000, said<Hello>().greeting});
  tell(Open{.name = "squares", .function = "square"});
  tell(Route{sink, "tcp://sink:5571", {}});
  did<Session::PrepareJob>();
  did<Session::ConnectSink>();
  const auto again = session.outbox().next(now);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->result, result);
}

TEST_F(SessionTest, introduces_itself_again_when_the_dispatcher_is_silent) {
  open();
  pass(2100ms);
  did<Notice>();
  said<Hello>();
}

// Results go out with the seal of the range that theirs lies in, in whatever session they end.
TEST_F(SessionTest, a_seal_is_kept_beside_the_tasks_until_the_last_of_them_has_its_verdict) {
  open();
  open_job();
  const Seal first{{0, 10}, {1, 2}}, second{{20, 5}, {3, 4}};
  tell(Tasks{lease, {0, 4}, 0, first, {}});
  tell(Tasks{lease, {4, 6}, 0, first, {}});
  tell(Tasks{lease, {20, 5}, 0, second, {}});
  for (int i = 0; i < 3; ++i) did<Session::Start>();
  EXPECT_EQ(session.seal_of(lease, {3, 2}), first);
  EXPECT_EQ(session.seal_of(lease, {20, 5}), second);
  EXPECT_EQ(session.seal_of(lease, {9, 2}), Seal{}) << "no range that was leased holds these";
  EXPECT_EQ(session.seal_of({{9}, 77}, {0, 1}), Seal{});
  finish({0, 10});
  tell(HelloAgain{});
  EXPECT_EQ(said<Hello>().held,
            (std::vector<HeldRange>{{job, lease, {0, 10}, true, first}, {job, lease, {20, 5}, false, second}}));
  EXPECT_EQ(session.seal_of(lease, {24, 1}), second);
}

TEST_F(SessionTest, says_what_it_still_has_when_it_introduces_itself_again) {
  open();
  open_job();
  give({0, 10});
  finish({0, 4});
  tell(HelloAgain{});
  const auto hello = said<Hello>();
  EXPECT_EQ(hello.held, (std::vector<HeldRange>{{job, lease, {0, 4}, true}, {job, lease, {4, 6}, false}}));
  EXPECT_EQ(hello.credit.tasks, 90U) << "what it has counts against its credit";
}

TEST_F(SessionTest, messages_of_a_session_that_is_over_are_ignored) {
  open();
  tell(HelloAgain{});
  said<Hello>();
  tell(Tasks{lease, {0, 1}, 0, {}});
  EXPECT_TRUE(actions.empty());
}

// --- Tasks and results -------------------------------------------------------------------------------------------

TEST_F(SessionTest, hands_back_what_it_does_not_know) {
  open();
  tell(Tasks{lease, {0, 3}, 0, {}});
  const auto returned = said<Return>();
  EXPECT_EQ(returned.reason, ReturnReason::unknown);
  EXPECT_EQ(returned.ranges, (std::vector<Range>{{0, 3}}));
}

TEST_F(SessionTest, keeps_a_result_until_its_verdict) {
  open();
  open_job();
  give({0, 10});
  const ResultId result = finish({0, 10});
  EXPECT_EQ(session.held_tasks(), 10U);
  tell(Verdicts{{{lease, {0, 10}, Verdict::stored}}});
  EXPECT_EQ(did<Session::DropResult>().result, result);
  EXPECT_EQ(session.held_tasks(), 0U);
}

TEST_F(SessionTest, a_failed_try_is_handed_back) {
  open();
  open_job();
  give({0, 1});
  session.on_failed_try(job, lease, 0, "boom", "it failed", now);
  collect();
  EXPECT_EQ(said<Return>(), (Return{lease, {{0, 1}}, ReturnReason::failed, "boom", "it failed"}));
  EXPECT_EQ(session.held_tasks(), 0U);
}

TEST_F(SessionTest, hands_back_what_it_has_not_begun_when_asked) {
  open();
  open_job();
  give({0, 10});
  tell(Retract{lease, 4});
  EXPECT_EQ(did<Session::TakeBack>().count, 4U);
  session.on_retracted(job, lease, {{6, 4}}, now);
  collect();
  EXPECT_EQ(said<Return>().ranges, (std::vector<Range>{{6, 4}}));
  EXPECT_EQ(session.held_tasks(), 6U);
}

TEST_F(SessionTest, a_task_that_was_stopped_because_it_is_no_longer_its_own_has_not_failed) {
  open();
  open_job();
  give({0, 4});
  tell(Cancel{lease, {1, 1}});
  EXPECT_EQ(did<Session::CancelLease>().range, (Range{1, 1}));
  EXPECT_FALSE(finish({1, 1}, 1)) << "somebody else runs it, and may succeed";
  EXPECT_TRUE(actions.empty());
  EXPECT_TRUE(finish({2, 1}, 1)) << "this one is its own failure";
}

TEST_F(SessionTest, what_was_finished_beside_a_stopped_task_is_handed_back) {
  open();
  open_job();
  give({0, 4});
  tell(Cancel{lease, {1, 1}});
  did<Session::CancelLease>();
  EXPECT_FALSE(finish({0, 4}, 1));
  EXPECT_EQ(said<Return>(), (Return{lease, {{0, 1}, {2, 2}}, ReturnReason::not_begun, {}, {}}));
  EXPECT_EQ(session.held_tasks(), 0U);
}

TEST_F(SessionTest, a_route_said_again_asks_for_results_without_a_verdict) {
  open();
  open_job();
  give({0, 1});
  const ResultId result = finish({0, 1});
  ASSERT_TRUE(session.outbox().next(now));
  EXPECT_FALSE(session.outbox().next(now));
  tell(Route{sink, "tcp://sink:5571"});
  const auto again = session.outbox().next(now);
  ASSERT_TRUE(again) << "its outcome may have come to a session that is over, and this one never hears of it";
  EXPECT_EQ(again->result, result);
}

TEST_F(SessionTest, what_has_a_verdict_makes_room_for_as_many_tasks) {
  open();
  open_job();
  give({0, 60});
  finish({0, 60});
  tell(Verdicts{{{lease, {0, 60}, Verdict::stored}}});
  pass(1s);
  EXPECT_EQ(last_progress.credit.tasks, 160U);
}

// It waited for the next heartbeat or tick: a slot that does more than its credit in a tenth of a second stood still.
TEST_F(SessionTest, says_at_once_that_much_credit_has_become_free) {
  open();
  open_job();
  give({0, 60});
  finish({0, 60});
  tell(Verdicts{{{lease, {0, 20}, Verdict::stored}}});
  EXPECT_EQ(last_progress.credit.tasks, 0U) << "a fifth of the window is not worth a message";
  tell(Verdicts{{{lease, {20, 40}, Verdict::stored}}});
  EXPECT_EQ(last_progress.credit.tasks, 160U);
}

TEST_F(SessionTest, credit_between_two_looks_at_the_slots_says_of_what_runs_what_is_known) {
  open();
  open_job();
  give({0, 80});
  now += 100ms;
  session.on_tick(now, {{job, lease, 3, 40ms}, {job, lease, 50, 90ms}});
  collect();
  now += 10ms;
  finish({0, 2});
  finish({50, 1});
  tell(Verdicts{{{lease, {0, 3}, Verdict::stored}}});
  finish({4, 46});
  tell(Verdicts{{{lease, {4, 46}, Verdict::stored}}});
  ASSERT_EQ(last_progress.running.size(), 1U);
  EXPECT_EQ(last_progress.running[0].running_nanoseconds, 50'000'000U) << "number 50 has ended, number 3 runs on";
}

TEST_F(SessionTest, a_route_in_a_new_session_to_the_same_sink_sends_nothing_twice) {
  open();
  open_job();
  give({0, 1});
  finish({0, 1});
  session.outbox().next(now);
  tell(HelloAgain{});
  tell(Welcome{500, 2000, said<Hello>().greeting});
  open_job();
  EXPECT_FALSE(session.outbox().next(now));
}

TEST_F(SessionTest, forgets_a_job_that_is_over) {
  open();
  open_job();
  give({0, 10});
  const ResultId result = finish({0, 4});
  tell(Close{});
  did<Session::CancelJob>();
  did<Session::ForgetJob>();
  EXPECT_EQ(did<Session::DropResult>().result, result);
  EXPECT_EQ(did<Session::DisconnectSink>().sink, sink);
  EXPECT_FALSE(finish({4, 6}));
  EXPECT_EQ(session.held_tasks(), 0U);
}

// Found by simulation of clients, seed 1880: after a restart of its broker a worker was given nothing any more.
TEST_F(SessionTest, results_that_nobody_wants_any_more_give_their_credit_back) {
  open();
  open_job();
  give({0, 100});
  finish({0, 100});
  tell(HelloAgain{});
  const auto hello = said<Hello>();
  EXPECT_EQ(hello.credit.tasks, 0U);
  tell(Welcome{500, 2000, hello.greeting});
  tell(Cancel{lease, {0, 100}});
  pass(1s);
  EXPECT_EQ(last_progress.credit.tasks, 100U);
}

TEST_F(SessionTest, what_a_cancelled_job_still_ran_is_handed_back_as_cancelled) {
  open();
  open_job();
  give({0, 1});
  tell(Cancel{});
  did<Session::CancelJob>();
  EXPECT_FALSE(finish({0, 1}, 1));
  EXPECT_EQ(said<Return>().reason, ReturnReason::cancelled);
}

TEST_F(SessionTest, passes_on_what_tasks_say_of_themselves_when_it_has_changed) {
  open();
  open_job();
  give({0, 2});
  const auto heartbeat = [this](std::vector<RunningTask> running) {
    now = session.next_tick();
    session.on_tick(now, running);
    collect();
  };
  const Milestone half{job, 1, 500, "half way"};
  heartbeat({{job, lease, 1, 1s, half}});
  EXPECT_EQ(said<Milestones>().milestones, std::vector<Milestone>{half});
  heartbeat({{job, lease, 1, 2s, half}});
  EXPECT_TRUE(actions.empty());
  tell(HelloAgain{});
  did<Session::Say>();  // HELLO, to a dispatcher that knows nothing.
  tell(Welcome{500, 2000, 2});
  heartbeat({{job, lease, 1, 2s, half}});
  EXPECT_EQ(said<Milestones>().milestones.size(), 1U);
  heartbeat({});
  EXPECT_TRUE(said<Milestones>().milestones.empty());
}

TEST_F(SessionTest, who_says_all_the_time_that_credit_has_become_free_passes_it_on_all_the_same) {
  open();
  open_job();
  give({0, 1});
  Number at = 1;
  for (const TimePoint heartbeat = session.next_tick(); now < heartbeat; now += 100ms, at += 60) {
    give({at, 60});
    finish({at, 60});
    tell(Verdicts{{{lease, {at, 60}, Verdict::stored}}});
    did<Session::DropResult>();
    EXPECT_EQ(last_progress.credit.tasks, at + 60 + 99);
  }
  session.on_tick(now, {{job, lease, 0, 1s, Milestone{job, 0, 500, "half way"}}});
  collect();
  EXPECT_EQ(said<Milestones>().milestones.size(), 1U);
}

// --- Leaving -----------------------------------------------------------------------------------------------------

TEST_F(SessionTest, drains_what_it_has_and_then_leaves) {
  open();
  open_job();
  give({0, 10});
  session.drain(now);
  collect();
  EXPECT_EQ(said<Bye>().reason, ByeReason::leaving);
  did<Session::TakeBackAll>();
  session.on_retracted(job, lease, {{1, 9}}, now);
  collect();
  said<Return>();
  finish({0, 1});
  EXPECT_TRUE(actions.empty()) << "its result has no verdict yet";
  tell(Verdicts{{{lease, {0, 1}, Verdict::stored}}});
  did<Session::DropResult>();
  EXPECT_EQ(said<Bye>().reason, ByeReason::done);
  EXPECT_EQ(did<Session::Leave>().ending, Session::Ending::done);
}

// A worker that runs what outlives nobody.
class LentTest : public SessionTest {
protected:
  LentTest() {
    SessionOptions lent = options();
    lent.stop_when_alone = true;
    session = Session{lent};
    open();
    open_job();
    give({0, 2});
    kept = finish({0, 1});
  }
  // Everything of the job is stopped, its results are dropped, and what ends now is forgotten.
  void expect_stopped() {
    bool cancelled = false;
    bool dropped = false;
    Hello hello;
    for (; !actions.empty(); actions.pop_front()) {
      if (const auto* cancel = std::get_if<Session::CancelJob>(&actions.front())) cancelled = cancel->job == job;
      if (const auto* drop = std::get_if<Session::DropResult>(&actions.front())) dropped = drop->result == kept;
      if (const auto* say = std::get_if<Session::Say>(&actions.front()))
        if (const auto* said = std::get_if<Hello>(&say->message)) hello = *said;
    }
    EXPECT_TRUE(cancelled);
    EXPECT_TRUE(dropped);
    EXPECT_FALSE(finish({1, 1}, 1)) << "nobody wants it";
    EXPECT_EQ(session.held_tasks(), 0U);
    pass(20s);
    for (; !actions.empty(); actions.pop_front())
      if (const auto* say = std::get_if<Session::Say>(&actions.front()))
        if (const auto* said = std::get_if<Hello>(&say->message)) hello = *said;
    EXPECT_TRUE(hello.held.empty());
  }
  ResultId kept;
};

TEST_F(LentTest, what_runs_is_stopped_when_the_dispatcher_is_silent) {
  pass(1999ms);
  EXPECT_TRUE(actions.empty());
  pass(2ms);
  expect_stopped();
}

TEST_F(LentTest, what_runs_is_stopped_when_the_dispatcher_leaves) {
  tell(Bye{ByeReason::failed, "interrupted"}, {});
  expect_stopped();
}

TEST_F(LentTest, what_runs_is_stopped_when_the_dispatcher_forgot_it_and_is_silent_then) {
  tell(HelloAgain{}, {});
  EXPECT_EQ(said<Hello>().held.size(), 2U) << "it may want to go on";
  pass(2001ms);
  expect_stopped();
}

TEST_F(LentTest, a_connection_that_comes_back_in_time_is_no_end) {
  session.on_disconnected(now);
  pass(1500ms);
  tell(Heartbeat{}, {});
  pass(1500ms);
  EXPECT_TRUE(actions.empty());
}

TEST_F(SessionTest, speaks_as_often_as_it_was_told_last) {
  open();
  tell(Pace{4000, 16'000}, {});
  pass(500ms);
  last_progress.slots = 0;
  pass(3999ms);
  EXPECT_EQ(last_progress.slots, 0U) << "no word";
  pass(1ms);
  EXPECT_GT(last_progress.slots, 0U);
  EXPECT_TRUE(actions.empty()) << "the dispatcher, silent for 4.5 s, is not taken for dead";
}

TEST_F(SessionTest, takes_nothing_more_while_it_drains) {
  open();
  open_job();
  give({0, 1});
  session.drain(now);
  collect();
  said<Bye>();
  did<Session::TakeBackAll>();
  tell(Tasks{{{9}, 2}, {5, 1}, 0, {}});
  EXPECT_EQ(said<Return>().reason, ReturnReason::not_begun);
}

TEST_F(SessionTest, an_idle_worker_leaves_at_once) {
  open();
  session.drain(now);
  collect();
  said<Bye>();
  did<Session::TakeBackAll>();
  said<Bye>();
  did<Session::Leave>();
}

TEST_F(SessionTest, leaves_when_all_its_slots_hang) {
  open();
  open_job();
  give({0, 2});
  session.on_slots_left(0, "both slots hang", now);
  collect();
  did<Notice>();
  EXPECT_EQ(said<Return>().ranges, (std::vector<Range>{{0, 2}}));
  EXPECT_EQ(said<Bye>().reason, ByeReason::failed);
  EXPECT_EQ(did<Session::Leave>().ending, Session::Ending::hung);
}

TEST_F(SessionTest, leaves_a_dispatcher_of_another_version) {
  session.start(now);
  collect();
  said<Hello>();
  session.on_malformed({Code::invalid, "another version"}, std::uint16_t{7}, now);
  collect();
  EXPECT_EQ(did<Session::Leave>().ending, Session::Ending::version_mismatch);
}

}  // namespace
}  // namespace ventile
