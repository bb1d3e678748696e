#include <ventile/task/runner.hpp>

#include <pthread.h>
#include <signal.h>

#include <array>
#include <atomic>
#include <latch>
#include <limits>
#include <thread>
#include <tuple>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ventile/base/turns.hpp>

#include "tests/core/task/fixture.hpp"
#include "tests/support/slice.hpp"

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using namespace std::chrono_literals;

// A Runner whose tasks may wait at a gate. The gate is shared with them, for a task may outlive the test.
struct RunnerTest : testing::Test {
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  Events events;
  std::optional<Runner> runner;

  void make(std::uint32_t slots, Duration stop_grace = 60s) {
    RunnerOptions options;
    options.slots = slots;
    options.run.limits = test_limits;
    options.run.hold = 1h;
    options.stop_grace = stop_grace;
    runner.emplace(options, events.callback());
  }
  ~RunnerTest() override { gate->open(); }

  // Its tasks wait at the gate and return their index.
  std::shared_ptr<TaskJob> gated_job() const {
    auto job = index_job_of([gate = gate](int i) {
      gate->wait();
      return i;
    });
    job->timeout = 10s;
    return job;
  }

  // Its tasks return their index at once, but for one that waits at the gate.
  std::shared_ptr<TaskJob> job_that_waits_at(int number, std::latch* others = nullptr) const {
    return index_job_of([gate = gate, number, others](int i) {
      if (i == number)
        gate->wait();
      else if (others != nullptr)
        others->count_down();
      return i;
    });
  }

  // Until no thread works on the job any more.
  static void wait_until_unused(const std::weak_ptr<TaskJob>& job) {
    while (!job.expired()) std::this_thread::yield();
  }

  // Everything that was reported as finished, each number once.
  IntervalSet finished() {
    IntervalSet numbers;
    for (const Finished& finished : events.all<Finished>())
      EXPECT_EQ(numbers.insert(finished.range), finished.range.count);
    return numbers;
  }
};

TEST_F(RunnerTest, a_batch_comes_out) {
  make(2);
  runner->start(index_batch(index_job_of([](int i) { return i; }), {5, 10'000}, 3));
  ASSERT_TRUE(events.wait_for_tasks(10'000));
  EXPECT_EQ(finished(), IntervalSet(Range{5, 10'000}));
  for (const Finished& finished : events.all<Finished>()) EXPECT_EQ(finished.lease, lease(3));
}

TEST_F(RunnerTest, slots_that_a_reactor_has_started_have_the_usual_turns_of_whoever_computes) {
  const std::uint64_t usual = slice_of_this_thread();
  const ShortTurns turns;
  make(1);
  std::uint64_t of_the_slot = 0;
  runner->start(index_batch(index_job_of([&of_the_slot](int i) {
                              of_the_slot = slice_of_this_thread();
                              return i;
                            }),
                            {0, 1}));
  ASSERT_TRUE(events.wait_for_tasks(1));
  EXPECT_EQ(of_the_slot, usual);
}

TEST_F(RunnerTest, all_slots_share_one_batch) {
  make(4);
  runner->start(index_batch(gated_job(), {0, 4}));
  EXPECT_TRUE(gate->wait_for_visitors(4));
  gate->open();
  ASSERT_TRUE(events.wait_for_tasks(4));
  EXPECT_EQ(finished(), IntervalSet(Range{0, 4}));
}

TEST_F(RunnerTest, batches_are_begun_in_order) {
  make(1);
  std::atomic<Number> last{0};
  const auto job = index_job_of([&](Number number) { return last.exchange(number) < number; });
  for (Number i = 0; i < 20; ++i) runner->start(index_batch(job, {i * 10 + 1, 10}, i + 1));
  ASSERT_TRUE(events.wait_for_tasks(200));
  for (const Finished& finished : events.all<Finished>())
    for (std::uint32_t i = 0; i < finished.payload_count; ++i) EXPECT_TRUE(*unpack_from<bool>(payload_of(finished, i)));
}

TEST_F(RunnerTest, what_has_not_begun_is_retracted_from_the_back) {
  make(1);
  runner->start(index_batch(gated_job(), {100, 10}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_THAT(runner->retract(lease(1), 3), ElementsAre(Range{107, 3}));
  EXPECT_THAT(runner->retract(lease(9)), IsEmpty());
  EXPECT_THAT(runner->retract(lease(1)), ElementsAre(Range{101, 6}));
  EXPECT_THAT(runner->retract(lease(1)), IsEmpty());
  gate->open();
  ASSERT_TRUE(events.wait_for_tasks(1));
  EXPECT_EQ(finished(), IntervalSet(Range{100, 1}));
}

// Short tasks are claimed several at once, and then one of them turned out to be long: a worker whose slot hung kept
// the tasks behind it, and its answer to every RETRACT was that there were none.
TEST_F(RunnerTest, what_is_claimed_behind_a_task_that_waits_is_retracted) {
  make(1);
  runner->start(index_batch(job_that_waits_at(5000), {0, 10'000}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_THAT(runner->retract(lease(1)), ElementsAre(Range{5001, 4999}));
  gate->open();
  ASSERT_TRUE(events.wait_for_tasks(5001));
  EXPECT_EQ(finished(), IntervalSet(Range{0, 5001}));
}

// Where claims end is chance. A task that was the last of its claim once held up what was left behind it.
class AnyTaskWaits : public RunnerTest, public ::testing::WithParamInterface<int> {};

TEST_P(AnyTaskWaits, and_what_is_behind_it_is_run_by_another_slot) {
  make(2);
  std::latch others{9'999};
  runner->start(index_batch(job_that_waits_at(GetParam(), &others), {0, 10'000}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  const TimePoint now = Clock::now();
  events.take(runner->tick(now));
  events.take(runner->tick(now + 1s));
  others.wait();
  gate->open();
  ASSERT_TRUE(events.wait_for_tasks(10'000));
  EXPECT_EQ(finished(), IntervalSet(Range{0, 10'000}));
}

INSTANTIATE_TEST_SUITE_P(Runner, AnyTaskWaits, ::testing::Range(20, 10'000, 199));

TEST_F(RunnerTest, all_pieces_of_a_lease_are_retracted_highest_first) {
  make(1);
  const auto job = gated_job();
  runner->start(index_batch(job, {0, 10}, 1));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  runner->start(index_batch(job, {20, 10}, 2));
  runner->start(index_batch(job, {10, 10}, 1));
  EXPECT_THAT(runner->retract(lease(1), 13), ElementsAre(Range{10, 10}, Range{7, 3}));
}

TEST_F(RunnerTest, everything_that_has_not_begun_is_retracted) {
  make(1);
  const auto job = gated_job();
  runner->start(index_batch(job, {0, 10}, 1));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  runner->start(index_batch(job, {20, 10}, 2));
  EXPECT_EQ(runner->queued(), 19u);
  EXPECT_THAT(runner->retract_all(),
              UnorderedElementsAre(Retracted{{1, 2}, lease(1), {1, 9}}, Retracted{{1, 2}, lease(2), {20, 10}}));
  EXPECT_EQ(runner->queued(), 0u);
}

TEST_F(RunnerTest, a_cancelled_job_is_returned_and_its_running_tasks_are_told) {
  make(1);
  const auto job = index_job_of([gate = gate](const TaskContext& context, int) {
    const std::stop_callback opener{context.stop_token(), [&] { gate->open(); }};
    gate->wait();
    return context.stop_requested();
  });
  auto other = std::make_shared<TaskJob>(
      *index_job_of([](const TaskContext& context, int) { return context.stop_requested(); }));
  other->id = {8, 8};
  runner->start(index_batch(job, {0, 10}, 1));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  runner->start(index_batch(job, {10, 10}, 2));
  runner->start(index_batch(other, {0, 1}, 3));
  events.take(runner->cancel(JobId{1, 2}));
  ASSERT_TRUE(events.wait_for_tasks(21));
  IntervalSet returned;
  for (const Returned& event : events.all<Returned>()) returned.insert(event.range);
  EXPECT_EQ(returned, IntervalSet(Range{1, 19}));
  for (const Finished& finished : events.all<Finished>())
    EXPECT_EQ(*unpack_from<bool>(payload_of(finished, 0)), finished.job == job->id);
}

TEST_F(RunnerTest, only_the_cancelled_numbers_of_a_lease_are_returned) {
  make(1);
  const auto job = gated_job();
  runner->start(index_batch(job, {0, 10}, 1));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  runner->start(index_batch(job, {10, 10}, 1));
  EXPECT_THAT(runner->cancel(lease(2)), IsEmpty());
  events.take(runner->cancel(lease(1), {5, 8}));
  EXPECT_EQ(runner->queued(), 4u + 7u);
  gate->open();
  ASSERT_TRUE(events.wait_for_tasks(20));
  IntervalSet ran{Range{0, 5}};
  ran.insert({13, 7});
  EXPECT_EQ(finished(), ran);
}

TEST_F(RunnerTest, a_task_over_its_time_out_loses_its_slot_and_the_rest_moves_on) {
  make(2);
  const auto other_gate = std::make_shared<Gate>();
  runner->start(index_batch(index_job_of([other_gate](int) { other_gate->wait(); }), {0, 1}, 2));
  ASSERT_TRUE(other_gate->wait_for_visitors(1));
  const auto job = index_job_of([gate = gate](int i) {
    if (i == 0) gate->wait();
  });
  job->timeout = 10s;
  runner->start(index_batch(job, {0, 100}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_THAT(runner->tick(Clock::now() + 9s), IsEmpty());
  events.take(runner->tick(Clock::now() + 11s));
  const auto abandoned = events.all<SlotAbandoned>();
  ASSERT_EQ(abandoned.size(), 1u);
  EXPECT_EQ(abandoned[0].number, 0u);
  EXPECT_EQ(abandoned[0].slots_left, 1u);
  const auto failed = events.all<Finished>();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].range, (Range{0, 1}));
  EXPECT_EQ(unpack_error(payload_of(failed[0], 0)).kind, "timeout");
  EXPECT_THAT(unpack_error(payload_of(failed[0], 0)).message, HasSubstr("longer than its time-out of 10.000 s"));
  other_gate->open();
  EXPECT_TRUE(events.wait_for_tasks(1 + 100));
}

TEST_F(RunnerTest, a_late_result_of_an_abandoned_slot_is_dropped) {
  make(1);
  auto job = gated_job();
  const std::weak_ptr<TaskJob> used = job;
  runner->start(index_batch(std::move(job), {0, 3}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  events.take(runner->tick(Clock::now() + 11s));
  EXPECT_EQ(runner->status().at(0).state, SlotStatus::State::abandoned);
  EXPECT_EQ(events.all<SlotAbandoned>().at(0).slots_left, 0u);
  EXPECT_THAT(runner->retract_all(), ElementsAre(Retracted{{1, 2}, lease(1), {1, 2}}));
  gate->open();
  wait_until_unused(used);
  EXPECT_EQ(finished(), IntervalSet(Range{0, 1}));
  EXPECT_EQ(runner->idle_slots(), 0u);
}

TEST_F(RunnerTest, a_task_over_its_time_out_with_tries_left_is_a_retry) {
  make(1);
  const auto job = gated_job();
  job->tries_max = 2;
  runner->start(index_batch(job, {0, 1}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  events.take(runner->tick(Clock::now() + 11s));
  EXPECT_EQ(events.all<Retry>().at(0).kind, "timeout");
  EXPECT_EQ(finished(), IntervalSet{});
}

TEST_F(RunnerTest, results_that_an_abandoned_slot_had_not_reported_are_to_be_had_again) {
  make(1);
  const auto job = index_job_of([gate = gate](int i) {
    if (i == 3) gate->wait();
    return i;
  });
  job->timeout = 10s;
  runner->start(index_batch(job, {0, 4}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_THAT(runner->tick(Clock::now()), IsEmpty());
  events.take(runner->tick(Clock::now() + 11s));
  EXPECT_EQ(finished(), IntervalSet(Range{3, 1}));
  EXPECT_THAT(runner->retract_all(), ElementsAre(Retracted{{1, 2}, lease(1), {0, 3}}));
}

TEST_F(RunnerTest, a_function_that_enforces_its_time_out_keeps_its_slot) {
  make(1);
  const auto job = index_job_of([gate = gate](int) { gate->wait(); }, {.enforces_timeout = true});
  job->timeout = 10s;
  runner->start(index_batch(job, {0, 1}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_THAT(runner->tick(Clock::now() + 1h), IsEmpty());
  gate->open();
  ASSERT_TRUE(events.wait_for_tasks(1));
  EXPECT_EQ(finished(), IntervalSet(Range{0, 1}));
}

TEST_F(RunnerTest, the_status_shows_what_runs_since_when) {
  make(2);
  EXPECT_EQ(runner->idle_slots(), 2u);
  const TimePoint before = Clock::now();
  runner->start(index_batch(gated_job(), {42, 1}, 6));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_EQ(runner->idle_slots(), 1u);
  EXPECT_THAT(runner->tick(Clock::now()), IsEmpty());
  const auto all = runner->status();
  const auto running =
      std::find_if(all.begin(), all.end(), [](const auto& each) { return each.state == SlotStatus::State::running; });
  ASSERT_NE(running, all.end());
  EXPECT_EQ(running->job, (JobId{1, 2}));
  EXPECT_EQ(running->lease, lease(6));
  EXPECT_EQ(running->number, 42u);
  EXPECT_GE(running->since, before);
  EXPECT_LE(running->since, Clock::now());
}

TEST_F(RunnerTest, the_status_shows_what_a_task_says_of_itself_while_it_runs) {
  make(1);
  const std::string long_text(300, 'x');
  for (const auto& [fraction, text, permille, shown] :
       {std::tuple{0.42, std::string{"epoch\n3"}, 420U, std::string{"epoch 3"}},
        {7.0, long_text, 1000U, long_text.substr(0, 256)},
        {-1.0, std::string{}, 0U, std::string{}},
        {std::numeric_limits<double>::quiet_NaN(), std::string{}, 0U, std::string{}}}) {
    gate = std::make_shared<Gate>();
    const auto job = index_job_of([gate = gate, fraction = fraction, text = text](TaskContext context, int i) {
      context.progress(fraction, text);
      gate->wait();
      return i;
    });
    runner->start(index_batch(job, {42, 1}, 6));
    ASSERT_TRUE(gate->wait_for_visitors(1));
    EXPECT_EQ(runner->status().at(0).milestone, (Milestone{JobId{1, 2}, 42, permille, shown}));
    gate->open();
    while (runner->idle_slots() == 0) std::this_thread::yield();
    EXPECT_EQ(runner->status().at(0).milestone, std::nullopt);
  }
}

TEST_F(RunnerTest, what_a_task_said_is_not_taken_for_what_the_next_one_says) {
  make(1);
  const auto job = index_job_of([gate = gate](TaskContext context, int i) {
    if (i == 0) context.progress(0.5);
    if (i == 1) gate->wait();
    return i;
  });
  runner->start(index_batch(job, {0, 2}, 6));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  EXPECT_EQ(runner->status().at(0).milestone, std::nullopt);
}

TEST_F(RunnerTest, slots_are_named_and_take_no_signals) {
  make(1);
  runner->start(index_batch(index_job_of([](int) {
                              std::array<char, 16> name{};
                              pthread_getname_np(pthread_self(), name.data(), name.size());
                              sigset_t blocked;
                              pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
                              return std::pair{std::string{name.data()}, sigismember(&blocked, SIGTERM)};
                            }),
                            {0, 1}));
  ASSERT_TRUE(events.wait_for_tasks(1));
  const auto all = events.all<Finished>();
  const auto answer = unpack_from<std::pair<std::string, int>>(payload_of(all.at(0), 0));
  EXPECT_EQ(*answer, (std::pair<std::string, int>{"slot-0", 1}));
}

TEST_F(RunnerTest, the_destructor_asks_running_tasks_to_stop_and_reports_them) {
  make(1);
  runner->start(index_batch(index_job_of([gate = gate](const TaskContext& context, int) {
                              const std::stop_callback opener{context.stop_token(), [&] { gate->open(); }};
                              gate->wait();
                            }),
                            {0, 2}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  runner.reset();
  EXPECT_EQ(finished(), IntervalSet(Range{0, 1}));
}

TEST_F(RunnerTest, the_destructor_leaves_a_hung_task_behind_without_harm) {
  std::optional<Events> short_lived{std::in_place};
  RunnerOptions options;
  options.run.limits = test_limits;
  options.stop_grace = 0s;
  std::optional<Runner> doomed{std::in_place, options, short_lived->callback()};
  auto job = gated_job();
  const std::weak_ptr<TaskJob> used = job;
  doomed->start(index_batch(std::move(job), {0, 2}));
  ASSERT_TRUE(gate->wait_for_visitors(1));
  doomed.reset();
  short_lived.reset();
  gate->open();
  wait_until_unused(used);  // A late callback would have crashed.
}

}  // namespace
}  // namespace ventile
