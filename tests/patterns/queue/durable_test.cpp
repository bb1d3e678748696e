// A dispatcher whose job outlives it.
#include <gtest/gtest.h>

#include "dispatcher_fixture.hpp"

namespace ventile::testing {
namespace {

using namespace std::chrono_literals;

JobOptions durable(bool reread, bool resumed = false) {
  return {.name = "squares", .function = "square", .durable = true, .reread = reread, .resumed = resumed};
}

class DurableTest : public DispatcherTest {
protected:
  void persisted(std::uint64_t token) {
    dispatcher->on_persisted(token, now);
    settle_actions();
  }
  // A worker's tasks of a microsecond each, whose verdicts come 20 ms late. Returns how many it has in the end.
  std::uint64_t leased_with_late_verdicts(const JobOptions& options) {
    open_job(options);
    new_sink().hello().opens();
    Worker& alice = worker();
    offer(2'000'000);
    for (int round = 0; round < 20; ++round) {
      const std::vector<Tasks> batches = alice.all_tasks();
      pass(100ms);
      for (const Tasks& tasks : batches) complete(alice, tasks, 10us);
    }
    alice.fall_silent();
    return audit().leased;
  }
  // A job's only task is with a worker that dies. Returns what is to be written of that.
  Persist death_of_the_only_task() {
    open_job(durable(true));
    new_sink().hello().opens();
    Worker& alice = worker();
    offer(1);
    alice.tasks();
    alice.fall_silent();
    unreachable(alice);
    auto record = next<Persist>();
    next<Forget>();
    return record;
  }
  // Lets the fixture take up what the dispatcher wants.
  void settle_actions() { pass(1ms); }
};

TEST_F(DurableTest, a_task_that_cannot_be_read_again_is_on_the_disk_before_a_worker_sees_it) {
  open_job(durable(false));
  new_sink().hello().opens();
  Worker& alice = worker();
  EXPECT_EQ(offer(5), (Range{0, 5}));
  const auto record = next<Persist>();
  EXPECT_EQ(record.record, (JobRecord{JobRecord::Kind::offered, {0, 5}}));
  EXPECT_EQ(audit().submitted, 0U);
  persisted(record.token);
  EXPECT_EQ(audit().submitted, 5U);
  EXPECT_FALSE(alice.all_tasks().empty());
}

TEST_F(DurableTest, a_task_that_can_be_read_again_does_not_wait) {
  open_job(durable(true));
  new_sink().hello().opens();
  Worker& alice = worker();
  offer(5);
  EXPECT_FALSE(alice.all_tasks().empty());
}

TEST_F(DurableTest, a_job_does_not_end_while_tasks_wait_for_the_disk) {
  open_job(durable(false));
  new_sink().hello().opens();
  offer(1);
  const auto record = next<Persist>();
  end_job();
  EXPECT_EQ(next<Persist>().record.kind, JobRecord::Kind::ended);
  persisted(record.token);
  EXPECT_EQ(audit().queued, 1U);
}

TEST_F(DurableTest, while_verdicts_wait_for_a_disk_a_worker_has_more_to_run) {
  EXPECT_GE(leased_with_late_verdicts(durable(true)), 7'500U);
}

// Then it is the way that takes so long: 10,000 tasks are on it, and there are two batches.
TEST_F(DurableTest, where_nothing_waits_for_a_disk_a_worker_has_what_runs_while_others_are_on_their_way) {
  const std::uint64_t leased = leased_with_late_verdicts({.name = "squares", .function = "square"});
  EXPECT_GE(leased, 11'000U);
  EXPECT_LE(leased, 18'000U) << "of 10 to 40 ms each";
}

TEST_F(DurableTest, a_resumed_job_runs_nothing_that_its_sink_has) {
  open_job(durable(true, true));
  offer(10);
  new_sink().hello({{.job = job}}).opens({{0, 6}});
  next<Settled>();
  EXPECT_EQ(next<JobResumed>().settled, 6U);
  EXPECT_EQ(audit().settled(), 6U);
  EXPECT_EQ(audit().queued, 4U);
}

TEST_F(DurableTest, a_resumed_job_waits_for_the_sink_that_has_its_results) {
  open_job(durable(true, true));
  offer(10);
  Sink& stranger = new_sink().hello();
  Worker& alice = worker();
  EXPECT_TRUE(alice.all_tasks().empty());
  pass(11s);
  stranger.opens();
  EXPECT_EQ(next<JobResumed>().settled, 0U);
  EXPECT_FALSE(alice.all_tasks().empty());
}

// Found by simulation, seed 403: the sink was refused, and the job could not end.
TEST_F(DurableTest, results_of_tasks_that_are_not_offered_again_yet_count) {
  open_job(durable(true, true));
  new_sink().hello({{.job = job}}).opens();
  next<JobResumed>();
  sink().stores({.worker = {3}, .lease = {{9}, 1}, .range = {0, 5}, .verdict = Verdict::stored});
  offer(10);
  EXPECT_EQ(audit().settled(), 5U);
  next<Settled>();
}

// Found by simulation, seed 4357: the worker kept them for ever, and had no credit for anything else.
TEST_F(DurableTest, a_worker_learns_that_its_results_are_settled_before_their_tasks_are_offered_again) {
  open_job(durable(true, true));
  new_sink().hello({{.job = job}}).opens({{0, 5}});
  next<JobResumed>();
  Worker& alice = new_worker().hello({{.job = job, .lease = {{9}, 1}, .range = {0, 5}, .finished = true}});
  alice.next<Open>();
  alice.next<Route>();
  EXPECT_EQ(alice.next<Verdicts>().verdicts, (std::vector<VerdictNote>{{{{9}, 1}, {0, 5}, Verdict::duplicate}}));
}

TEST_F(DurableTest, a_suspect_is_sent_when_the_disk_knows_what_it_has_done) {
  const Persist record = death_of_the_only_task();
  EXPECT_EQ(record.record, (JobRecord{JobRecord::Kind::suspected, {0, 1}, 1, 1}));
  Worker& bob = worker();
  EXPECT_EQ(bob.mail().find("TASKS"), std::string::npos);
  persisted(record.token);
  EXPECT_EQ(bob.tasks().range, (Range{0, 1}));
}

TEST_F(DurableTest, whoever_dies_before_a_suspect_was_sent_has_not_died_of_it) {
  const Persist record = death_of_the_only_task();
  Worker& bob = worker();
  bob.fall_silent();
  unreachable(bob);
  next<Forget>();
  persisted(record.token);
  EXPECT_EQ(audit().queued, 1U);
}

TEST_F(DurableTest, a_resumed_job_counts_the_crashes_of_its_life_before) {
  JobOptions options = durable(true, true);
  options.suspects = {{{0, 1}, 2, 2}};
  open_job(options);
  new_sink().hello({{.job = job}}).opens();
  next<JobResumed>();
  Worker& alice = worker();
  offer(1);
  alice.tasks();
  unreachable(alice);
  EXPECT_EQ(sink().next<Propose>().outcome, Outcome::dead);
  EXPECT_EQ(next<Persist>().record, (JobRecord{JobRecord::Kind::suspected, {0, 1}, 3, 3}));
  next<Forget>();
}

TEST_F(DurableTest, a_task_that_had_killed_often_enough_is_not_run_again) {
  JobOptions options = durable(true, true);
  options.suspects = {{{3, 1}, 5, 3}};
  open_job(options);
  new_sink().hello({{.job = job}}).opens();
  next<JobResumed>();
  Worker& alice = worker();
  offer(4);
  EXPECT_EQ(sink().next<Propose>().ranges, (std::vector<Range>{{3, 1}}));
  EXPECT_EQ(audit().awaiting, 1U);
  EXPECT_FALSE(alice.all_tasks().empty());
}

TEST_F(DurableTest, who_was_taken_for_dead_and_is_not_has_its_tasks_acquitted_on_the_disk) {
  open_job(durable(true));
  new_sink().hello().opens();
  Worker& alice = worker();
  offer(1);
  const Tasks batch = alice.tasks();
  alice.fall_silent();
  unreachable(alice);
  next<Persist>();
  next<Forget>();
  returning(alice).hello({{job, batch.lease, batch.range}}).read_all();
  EXPECT_EQ(next<Persist>().record, (JobRecord{JobRecord::Kind::suspected, {0, 1}}));
}

TEST_F(DurableTest, tasks_that_were_settled_and_are_gone_must_be_in_the_sink) {
  JobOptions options = durable(false, true);
  options.retired = {{0, 4}};
  open_job(options);
  new_sink().hello({{.job = job}}).opens({{0, 3}});
  EXPECT_EQ(next<JobFailed>().lost, 1U);
  sink().next<Close>();
}

}  // namespace
}  // namespace ventile::testing
