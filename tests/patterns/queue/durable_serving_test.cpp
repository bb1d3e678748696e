// A dispatcher whose clients' jobs outlive it: nothing is said to a client that the disk does not know.
#include "serving_fixture.hpp"

namespace ventile::testing {
namespace {

using namespace std::chrono_literals;

class DurableServing : public Serving {
protected:
  DurableServing() : Serving({.client_window_tasks = 8, .durable = true}) {}

  // The one entry that is asked for, of this kind; everything else that was asked for is gone.
  Persist entry(JobRecord::Kind kind) {
    std::vector<Persist> entries = asked<Persist>();
    EXPECT_EQ(entries.size(), 1U);
    if (entries.empty()) return {};
    EXPECT_EQ(entries[0].record.kind, kind);
    return entries[0];
  }
  // A job that the disk knows.
  void open() {
    introduce();
    submit();
    persisted(entry(JobRecord::Kind::opened).token);
    mail.clear();
  }
  ClientJob earlier_job() {
    ClientJob made{job, {3, 3}, "client", {}, {7, 8}};
    made.specification.function = "work";
    made.specification.once = once;
    return made;
  }
};

TEST_F(DurableServing, a_job_is_accepted_when_the_disk_knows_it) {
  introduce();
  submit();
  EXPECT_TRUE(told<Accepted>().empty());
  const Persist opened = entry(JobRecord::Kind::opened);
  ASSERT_TRUE(opened.opened);
  EXPECT_EQ(opened.opened->id, job);
  EXPECT_EQ(opened.opened->client, (NodeId{3, 3}));
  EXPECT_EQ(opened.opened->specification.name, "nightly");
  EXPECT_EQ(opened.opened->specification.credit, SinkCredit{});
  persisted(opened.token);
  EXPECT_EQ(told<Accepted>().size(), 1U);
}

TEST_F(DurableServing, a_client_that_asks_again_meanwhile_waits_for_the_same_entry) {
  introduce();
  submit();
  introduce();
  submit();
  EXPECT_TRUE(told<Accepted>().empty());
  persisted(entry(JobRecord::Kind::opened).token);
  EXPECT_EQ(told<Accepted>().size(), 1U);
}

TEST_F(DurableServing, a_task_is_on_the_disk_before_a_worker_sees_it) {
  open();
  introduce_worker();
  offer({0, 3});
  EXPECT_EQ(dispatcher.audit(job).submitted, 0U);
  const Persist offered = entry(JobRecord::Kind::offered);
  EXPECT_EQ(offered.record.range, (Range{0, 3}));
  EXPECT_TRUE(workers_told<Tasks>().empty());
  persisted(offered.token);
  EXPECT_EQ(dispatcher.audit(job).submitted, 3U);
  EXPECT_FALSE(workers_told<Tasks>().empty());
}

// Else it would offer them again, within a room that they take already, and never get on.
TEST_F(DurableServing, a_client_that_comes_back_is_answered_when_all_it_had_offered_is_on_the_disk) {
  open();
  offer({0, 3});
  const Persist offered = entry(JobRecord::Kind::offered);
  introduce();
  submit();
  EXPECT_TRUE(told<Accepted>().empty());
  persisted(offered.token);
  EXPECT_EQ(told<Accepted>().at(0).submitted, 3U);
}

TEST_F(DurableServing, what_a_client_settles_before_the_disk_knows_it_is_settled_when_it_does) {
  open();
  offer({0, 2});
  const Persist offered = entry(JobRecord::Kind::offered);
  store({1, 1});
  EXPECT_TRUE(told<Refused>().empty());
  persisted(offered.token);
  EXPECT_EQ(dispatcher.audit(job).submitted, 2U);
  EXPECT_EQ(dispatcher.audit(job).settled(), 1U);
  const std::vector<Settled> settled = asked<Settled>();
  ASSERT_EQ(settled.size(), 1U);
  EXPECT_EQ(settled[0].range, (Range{1, 1}));
}

TEST_F(DurableServing, what_was_never_offered_cannot_be_settled) {
  open();
  offer({0, 2});
  store({2, 1});
  EXPECT_EQ(told<Refused>().size(), 1U);
}

TEST_F(DurableServing, a_job_is_over_for_its_client_when_the_disk_knows_it) {
  open();
  offer({0, 1});
  persisted(entry(JobRecord::Kind::offered).token);
  say(Complete{1}, job);
  EXPECT_EQ(entry(JobRecord::Kind::ended).record.range.count, 1U);
  store({0, 1});
  EXPECT_EQ(told<End>().size(), 1U);
  say(Closed{{1}, 0, 0, {}}, job);
  EXPECT_TRUE(told<Close>().empty());
  persisted(entry(JobRecord::Kind::closed).token);
  EXPECT_EQ(told<Close>().size(), 1U);
  EXPECT_EQ(asked<JobForgotten>().size(), 1U);
}

TEST_F(DurableServing, a_job_does_not_end_while_its_last_tasks_wait_for_the_disk) {
  open();
  offer({0, 1});
  store({0, 1});
  say(Complete{1}, job);
  EXPECT_TRUE(told<End>().empty());
  persisted(asked<Persist>().at(0).token);
  EXPECT_EQ(told<End>().size(), 1U);
}

TEST_F(DurableServing, a_resumed_job_waits_for_its_client_and_goes_on_where_it_was) {
  dispatcher.resume_job(earlier_job(), {.retired = {{0, 2}}}, now);
  dispatcher.offer_again(job, 5, 5, now);
  introduce_worker();
  EXPECT_TRUE(workers_told<Tasks>().empty());
  introduce();
  submit({{0, 3}});
  EXPECT_EQ(told<Accepted>().at(0).submitted, 5U);
  EXPECT_EQ(dispatcher.audit(job).settled(), 3U);
  const std::vector<JobResumed> resumed = asked<JobResumed>();
  ASSERT_EQ(resumed.size(), 1U);
  EXPECT_EQ(resumed[0].settled, 3U);
  const std::vector<Tasks> tasks = workers_told<Tasks>();
  ASSERT_FALSE(tasks.empty());
  EXPECT_EQ(tasks[0].range.first, 3U);
}

TEST_F(DurableServing, a_worker_that_outlived_the_dispatcher_keeps_what_it_has) {
  dispatcher.resume_job(earlier_job(), {}, now);
  dispatcher.offer_again(job, 5, 5, now);
  introduce_worker({{job, {{77}, 3}, {0, 2}, false}});
  introduce();
  submit();
  EXPECT_EQ(dispatcher.account(job).find({{77}, 3})->remaining.count(), 2U);
}

TEST_F(DurableServing, a_resumed_job_whose_client_does_not_come_is_dropped) {
  dispatcher.resume_job(earlier_job(), {}, now);
  dispatcher.offer_again(job, 5, 5, now);
  now += 9s;
  dispatcher.on_tick(now);
  act();
  EXPECT_TRUE(dispatcher.has_job(job));
  now += 2s;
  dispatcher.on_tick(now);
  act();
  EXPECT_FALSE(dispatcher.has_job(job));
  EXPECT_EQ(asked<JobForgotten>().size(), 1U);
}

// --- Jobs that run once -------------------------------------------------------------------------------------------

class RunningOnce : public DurableServing {
protected:
  RunningOnce() {
    once = true;
    repeatable = false;
  }
};

TEST_F(RunningOnce, of_a_clients_job_too_the_disk_knows_of_a_lease_before_its_worker_does) {
  open();
  introduce_worker();
  offer({0, 1});
  persisted(entry(JobRecord::Kind::offered).token);
  const Persist leased = entry(JobRecord::Kind::leased);
  EXPECT_TRUE(workers_told<Tasks>().empty());
  persisted(leased.token);
  EXPECT_EQ(workers_told<Tasks>().size(), 1U);
}

TEST_F(RunningOnce, what_its_client_settles_before_it_was_sent_takes_none_of_the_workers_credit) {
  workers_credit = 1;
  open();
  introduce_worker();
  offer({0, 2});
  persisted(entry(JobRecord::Kind::offered).token);
  const Persist leased = entry(JobRecord::Kind::leased);
  store({0, 1});
  persisted(leased.token);
  EXPECT_TRUE(workers_told<Tasks>().empty());
  const Persist next = entry(JobRecord::Kind::leased);
  EXPECT_EQ(next.record.range, (Range{1, 1}));
  persisted(next.token);
  EXPECT_EQ(workers_told<Tasks>().size(), 1U);
}

TEST_F(RunningOnce, a_resumed_job_does_not_begin_again_what_its_life_before_had_given_out) {
  dispatcher.resume_job(earlier_job(), {.begun = {{0, 2}}}, now);
  dispatcher.offer_again(job, 3, 3, now);
  introduce_worker();
  introduce();
  submit();
  EXPECT_EQ(entry(JobRecord::Kind::leased).record.range, (Range{2, 1}));
  now += 1min;
  say(Heartbeat{});
  dispatcher.on_tick(now);
  act();
  const std::vector<Propose> proposed = told<Propose>();
  ASSERT_FALSE(proposed.empty());
  EXPECT_EQ(proposed[0].outcome, Outcome::lost);
}

TEST_F(RunningOnce, a_dispatcher_that_has_forgotten_the_job_says_so) {
  open();
  introduce();
  submit();
  const LifeId life = told<Accepted>().at(0).life;
  EXPECT_TRUE(life);
  introduce();
  submit();
  EXPECT_EQ(told<Accepted>().at(0).life, life);
  say(Bye{});
  now += 1min;
  dispatcher.on_tick(now);
  act();
  ASSERT_FALSE(dispatcher.has_job(job));
  asked<Persist>();
  introduce();
  submit();
  persisted(asked<Persist>().at(0).token);
  EXPECT_NE(told<Accepted>().at(0).life, life);
}

}  // namespace
}  // namespace ventile::testing
