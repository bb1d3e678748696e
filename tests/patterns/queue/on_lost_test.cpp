// Tasks that must not begin twice, and workers that are lost with them.
#include <gtest/gtest.h>

#include "dispatcher_fixture.hpp"

namespace ventile::testing {
namespace {

using namespace std::chrono_literals;

constexpr Duration forgotten = 6s;  // Longer than a worker may be away with its tasks.

class OnLostTest : public DispatcherTest {
protected:
  JobOptions options(bool durable = false) {
    return {.name = "invoices", .function = "send", .on_lost = OnLost::fail, .durable = durable};
  }
  void begin(const JobOptions& job_options, std::uint64_t tasks) {
    open_job(job_options);
    new_sink().hello().opens();
    offer(tasks);
  }
  Worker& sender(bool repeatable = false) {
    Worker& worker = new_worker(1);
    worker.functions = {{"send", repeatable}};
    return worker.hello();
  }
  void lose(Worker& worker) {
    worker.fall_silent();
    unreachable(worker);
  }
  Propose proposed() { return sink().next<Propose>(); }
};

TEST_F(OnLostTest, what_a_killed_worker_may_have_begun_is_lost_and_never_begins_again) {
  begin(options(), 1);
  Worker& alice = sender();
  alice.tasks();
  Worker& bob = sender();
  lose(alice);
  EXPECT_EQ(audit().delayed, 1U);
  pass(forgotten);
  const Propose propose = proposed();
  EXPECT_EQ(propose.ranges, (std::vector<Range>{{0, 1}}));
  EXPECT_EQ(propose.outcome, Outcome::lost);
  EXPECT_TRUE(bob.all_tasks().empty());
  EXPECT_EQ(audit().awaiting, 1U);
}

TEST_F(OnLostTest, what_is_repeatable_there_runs_again_all_the_same) {
  begin(options(), 1);
  Worker& alice = sender(true);
  alice.tasks();
  lose(alice);
  EXPECT_EQ(sender(true).tasks().range, (Range{0, 1}));
}

TEST_F(OnLostTest, what_runs_again_though_it_should_not_is_counted) {
  JobOptions job_options = options();
  job_options.on_lost = OnLost::rerun;
  begin(job_options, 1);
  Worker& alice = sender();
  alice.tasks();
  lose(alice);
  EXPECT_EQ(sender().tasks().range, (Range{0, 1}));
  EXPECT_EQ(dispatcher->counters(job).begun_again, 1U);
}

TEST_F(OnLostTest, a_worker_that_is_back_in_time_keeps_what_it_runs) {
  begin(options(), 1);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  lose(alice);
  Worker& again = returning(alice);
  again.functions = {{"send", false}};
  again.running = {runs(batch)};
  again.hello({{job, batch.lease, batch.range, false}});
  again.next<Open>();
  again.next<Route>();
  EXPECT_EQ(audit().leased, 1U);
  pass(forgotten);
  EXPECT_EQ(audit().leased, 1U);
}

// The simulation of the fabric found it (seed 5724): it came back, and more was leased than the sink takes.
TEST_F(OnLostTest, what_may_come_back_keeps_its_room_at_the_sink) {
  open_job(options());
  Sink& small = new_sink();
  small.credit.tasks = 2;
  small.hello().opens();
  offer(3);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  ASSERT_EQ(batch.range, (Range{0, 1}));
  lose(alice);
  Worker& bob = new_worker(2);
  bob.functions = {{"send", false}};
  bob.hello();
  EXPECT_EQ(bob.tasks().range, (Range{1, 1}));
  EXPECT_TRUE(bob.all_tasks().empty());
  Worker& again = returning(alice);
  again.functions = {{"send", false}};
  again.hello({{job, batch.lease, batch.range, false}});
  again.next<Open>();
  again.next<Route>();
  EXPECT_EQ(audit().leased, 2U);
}

TEST_F(OnLostTest, a_result_that_comes_before_the_time_is_over_counts) {
  begin(options(), 1);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  const Settlement stored = settlement(alice, batch);
  lose(alice);
  sink().stores(stored);
  next<Forget>();
  next<Settled>();
  EXPECT_EQ(count(Outcome::done), 1U);
  pass(forgotten);
  EXPECT_FALSE(sink().has_mail());
}

TEST_F(OnLostTest, a_task_that_makes_no_progress_is_lost_too) {
  JobOptions job_options = options();
  job_options.timeout = 2s;
  begin(job_options, 1);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  alice.running = {runs(batch, 0, 3s)};  // It hangs, and its worker talks on.
  pass(5s);
  EXPECT_EQ(alice.next<Cancel>(), (Cancel{batch.lease, batch.range}));
  alice.running.clear();
  pass(forgotten);
  EXPECT_EQ(proposed().outcome, Outcome::lost);
  EXPECT_FALSE(alice.has_mail());
}

TEST_F(OnLostTest, what_a_worker_stopped_because_it_left_at_once_is_lost_at_once) {
  begin(options(), 1);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  alice.give_back(batch.lease, {batch.range}, ReturnReason::stopped);
  EXPECT_EQ(proposed().outcome, Outcome::lost);
}

TEST_F(OnLostTest, what_was_stopped_and_may_run_twice_runs_again) {
  JobOptions job_options = options();
  job_options.on_lost = OnLost::rerun;
  begin(job_options, 1);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  alice.give_back(batch.lease, {batch.range}, ReturnReason::stopped);
  EXPECT_EQ(alice.tasks().range, batch.range);
}

TEST_F(OnLostTest, what_is_handed_back_unbegun_runs_elsewhere) {
  begin(options(), 1);
  Worker& alice = sender();
  const Tasks batch = alice.tasks();
  alice.give_back(batch.lease, {batch.range});
  EXPECT_EQ(alice.tasks().range, batch.range);
}

TEST_F(OnLostTest, cancelling_a_job_leaves_what_may_have_run_to_be_called_lost) {
  begin(options(), 1);
  Worker& alice = sender();
  alice.tasks();
  lose(alice);
  cancel_job(false);
  EXPECT_FALSE(sink().has_mail());
  pass(forgotten);
  EXPECT_EQ(proposed().outcome, Outcome::lost);
}

TEST_F(OnLostTest, of_a_durable_job_the_disk_knows_of_a_lease_before_its_worker_does) {
  begin(options(true), 1);
  Worker& alice = sender();
  alice.next<Open>();
  alice.next<Route>();
  EXPECT_FALSE(alice.has_mail());
  const auto record = next<Persist>();
  EXPECT_EQ(record.record, (JobRecord{JobRecord::Kind::leased, {0, 1}}));
  dispatcher->on_persisted(record.token, now);
  pass(1ms);
  const Tasks batch = alice.next<Tasks>();
  alice.give_back(batch.lease, {batch.range});
  EXPECT_EQ(next<Persist>().record, (JobRecord{JobRecord::Kind::returned, {0, 1}}));
  next<Persist>();  // Leased again.
}

TEST_F(OnLostTest, a_lease_that_was_lost_before_it_was_sent_runs_elsewhere) {
  begin(options(true), 1);
  Worker& alice = sender();
  alice.next<Open>();
  alice.next<Route>();
  const auto record = next<Persist>();
  lose(alice);
  next<Forget>();
  EXPECT_EQ(audit().queued, 1U);
  dispatcher->on_persisted(record.token, now);
  pass(1ms);
}

TEST_F(OnLostTest, a_lease_that_waits_for_the_disk_is_not_given_up_for_making_no_progress) {
  begin(options(true), 1);
  Worker& alice = sender();
  alice.next<Open>();
  alice.next<Route>();
  const auto record = next<Persist>();
  pass(1h);
  EXPECT_FALSE(alice.has_mail());
  dispatcher->on_persisted(record.token, now);
  pass(1ms);
  alice.next<Tasks>();
}

TEST_F(OnLostTest, what_was_sent_in_a_session_that_the_worker_never_entered_has_not_begun) {
  begin(options(), 1);
  Worker& alice = sender();
  alice.tasks();
  alice.session = {};  // Its second HELLO has crossed the WELCOME, which it takes for none.
  alice.hello();
  EXPECT_EQ(alice.tasks().range, (Range{0, 1}));
  Worker& reconnected = returning(alice);
  reconnected.functions = alice.functions;
  reconnected.session = {};  // The same, and the connection broke between the two.
  reconnected.hello();
  EXPECT_EQ(reconnected.tasks().range, (Range{0, 1}));
}

TEST_F(OnLostTest, a_resumed_job_does_not_begin_again_what_its_life_before_had_given_out) {
  JobOptions job_options = options(true);
  job_options.resumed = true;
  job_options.begun = {{0, 2}};
  open_job(job_options);
  new_sink().hello({{.job = job}}).opens({{0, 1}});  // One of the two is done.
  next<JobResumed>();
  Worker& alice = sender();
  offer(3);
  next<Settled>();
  EXPECT_EQ(next<Persist>().record, (JobRecord{JobRecord::Kind::leased, {2, 1}}));
  alice.read_all();
  pass(20s);
  EXPECT_EQ(proposed().ranges, (std::vector<Range>{{1, 1}}));
  alice.read_all();
}

}  // namespace
}  // namespace ventile::testing
