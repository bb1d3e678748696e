// What one worker, and all the workers of one key, may have of a dispatcher, whatever they claim.
#include <gmock/gmock.h>

#include <map>
#include <set>
#include <string>

#include <ventile/queue/key_quota.hpp>

#include "tests/patterns/queue/dispatcher_fixture.hpp"

namespace ventile::testing {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

TEST(KeyQuota, a_key_has_so_many_sessions_and_another_has_its_own) {
  KeyQuota quota{{.sessions_max = 2, .slots_max = 100}};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(quota.objection_to("key", 1), "");
    quota.begin("key", 1);
  }
  EXPECT_EQ(quota.objection_to("key", 0), "there are 2 sessions of its key; more may not be");
  EXPECT_EQ(quota.objection_to("another", 1), "");
  quota.end("key", 1);
  EXPECT_EQ(quota.objection_to("key", 1), "");
}

TEST(KeyQuota, a_key_has_so_many_slots_however_they_are_added_up) {
  KeyQuota quota{{.sessions_max = 100, .slots_max = 8}};
  quota.begin("key", 5);
  EXPECT_EQ(quota.objection_to("key", 3), "");
  EXPECT_EQ(quota.objection_to("key", 4), "with its 4 slots the workers of its key would have 9; they may have 8");
  EXPECT_NE(quota.objection_to("key", UINT64_MAX), "");
  EXPECT_NE(quota.objection_to("another", 9), "");
  quota.end("key", 5);
  EXPECT_EQ(quota.objection_to("key", 8), "");
}

TEST(KeyQuota, what_would_be_too_many_slots_is_cut) {
  KeyQuota quota{{.sessions_max = 100, .slots_max = 8}};
  quota.begin("key", 2);
  quota.begin("key", 3);
  EXPECT_EQ(quota.resize("key", 2, 4), 4U);
  EXPECT_EQ(quota.resize("key", 4, UINT64_MAX), 5U);
  EXPECT_EQ(quota.resize("key", 5, 1), 1U);
  EXPECT_EQ(quota.objection_to("key", 4), "");
  EXPECT_NE(quota.objection_to("key", 5), "");
}

TEST(KeyQuota, who_has_no_key_has_no_limit) {
  KeyQuota quota{{.sessions_max = 1, .slots_max = 1}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(quota.objection_to("", 1000), "");
    quota.begin("", 1000);
  }
  EXPECT_EQ(quota.resize("", 1000, 2000), 2000U);
}

// Peers have the keys that the test gives them; the others have one of their own.
class KeyLimitsTest : public DispatcherTest {
protected:
  void serve(DispatcherOptions options) {
    options.identity_of = [this](PeerId peer) {
      const auto it = keys.find(peer);
      return PeerIdentity{it == keys.end() ? "key of " + std::to_string(peer.value) : it->second, false};
    };
    options.is_sealed = [this](PeerId, const HeldRange& held) { return sealed.contains(held.lease); };
    start(options);
  }
  Worker& with_key(const std::string& key, std::uint32_t slots = 1) {
    Worker& worker = new_worker(slots);
    keys[worker.id] = key;
    return worker;
  }
  Refused refused_hello(Worker& worker, std::vector<HeldRange> held = {}) {
    worker.session = {};
    worker.say(Hello{Role::worker,
                     worker.node,
                     "greedy",
                     "test",
                     worker.slots,
                     worker.functions,
                     {},
                     worker.credit,
                     std::move(held),
                     ++worker.greetings});
    return worker.next<Refused>();
  }
  std::uint64_t refused(RefusedFor reason) const { return dispatcher->refusals().of(reason); }

  std::map<PeerId, std::string> keys;
  std::set<LeaseId> sealed;
};

TEST_F(KeyLimitsTest, more_sessions_than_its_key_may_have_are_refused_and_counted) {
  serve({.key_limits = {.sessions_max = 2}});
  Worker& first = with_key("stolen").hello();
  with_key("stolen").hello();
  Worker& third = with_key("stolen");
  EXPECT_THAT(refused_hello(third).message, HasSubstr("greedy cannot come in: there are 2 sessions of its key"));
  EXPECT_EQ(refused(RefusedFor::over_limit), 1U);
  EXPECT_EQ(dispatcher->refusals().total(), 1U);
  with_key("honest").hello();
  EXPECT_EQ(dispatcher->worker_count(), 3U);
  unreachable(first);
  third.hello();
}

TEST_F(KeyLimitsTest, more_slots_than_its_key_may_have_are_refused_and_counted) {
  serve({.key_limits = {.slots_max = 4}});
  Worker& first = with_key("stolen", 3).hello();
  Worker& second = with_key("stolen", 2);
  EXPECT_THAT(refused_hello(second).message, HasSubstr("would have 5; they may have 4"));
  EXPECT_EQ(refused(RefusedFor::over_limit), 1U);
  with_key("honest", 4).hello();
  first.slots = 2;
  first.progress();  // One of its slots is broken for good.
  second.hello();
  EXPECT_EQ(dispatcher->slot_count(), 8U);
}

TEST_F(KeyLimitsTest, who_connects_anew_does_not_count_twice) {
  serve({.key_limits = {.sessions_max = 1, .slots_max = 2}});
  Worker& before = with_key("own", 2).hello();
  Worker& after = returning(before);
  keys[after.id] = "own";
  after.hello();
  after.hello();
  EXPECT_EQ(dispatcher->refusals().total(), 0U);
}

TEST_F(KeyLimitsTest, slots_that_are_lent_count_and_what_is_too_much_is_cut_and_counted) {
  serve({.key_limits = {.slots_max = 3}});
  job_of(100);
  Worker& worker = with_key("stolen").hello();
  const std::size_t before = worker.all_tasks().size();
  worker.say(Waiting{1'000'000});
  EXPECT_EQ(worker.all_tasks().size(), 2U);
  EXPECT_GT(before, 0U);
  EXPECT_EQ(refused(RefusedFor::over_limit), 1U);
  EXPECT_TRUE(said("asks for 10000 slots beside its own"));
  refused_hello(with_key("stolen"));
  worker.say(Waiting{0});
  with_key("stolen", 2).hello().read_all();
}

TEST_F(KeyLimitsTest, slots_that_were_lent_are_given_back_with_the_session) {
  serve({.key_limits = {.slots_max = 3}});
  job_of(100);
  Worker& worker = with_key("stolen").hello();
  worker.say(Waiting{2});
  worker.read_all();
  worker.fall_silent();
  unreachable(worker);
  with_key("stolen", 3).hello().read_all();
  EXPECT_EQ(dispatcher->refusals().total(), 0U);
}

// Slots break for good; they do not come up.
TEST_F(KeyLimitsTest, a_worker_gets_no_more_slots_by_saying_that_it_has_them) {
  serve({.key_limits = {.slots_max = 3}});
  Worker& worker = with_key("stolen", 2).hello();
  worker.slots = 1'000;
  worker.progress();
  EXPECT_EQ(dispatcher->slot_count(), 2U);
  worker.slots = 1;
  worker.progress();
  worker.slots = 2;
  worker.progress();
  EXPECT_EQ(dispatcher->slot_count(), 1U);
}

TEST_F(KeyLimitsTest, of_a_name_without_end_the_beginning_is_kept) {
  serve({});
  Worker& worker = new_worker();
  worker.say(Hello{Role::worker,
                   worker.node,
                   std::string(100'000, 'n'),
                   "test",
                   1,
                   worker.functions,
                   {},
                   worker.credit,
                   {},
                   ++worker.greetings});
  worker.next<Welcome>();
  const Report report = dispatcher->report(now);
  ASSERT_EQ(report.workers.size(), 1U);
  EXPECT_EQ(report.workers.front().name, std::string(255, 'n'));
}

TEST_F(KeyLimitsTest, who_has_done_a_task_has_no_more_leases_than_it_may) {
  serve({.leases_per_slot_max = 1});
  job_of(9);
  Worker& worker = with_key("stolen").hello();
  const Tasks given = worker.tasks();
  complete(worker, given);
  EXPECT_EQ(worker.all_tasks().size(), 1U) << "its window is three tasks";
}

TEST_F(KeyLimitsTest, a_worker_has_so_many_leases_for_each_slot_whatever_it_asks_for) {
  serve({.leases_per_slot_max = 2});
  job_of(9);
  Worker& worker = with_key("stolen").hello();
  worker.say(Waiting{1});
  const std::vector<Tasks> given = worker.all_tasks();
  EXPECT_EQ(given.size(), 2U);
  complete(worker, given.front());
  EXPECT_EQ(worker.all_tasks().size(), 3U);
}

// Else it would have batches as large as those who do them can have.
TEST_F(KeyLimitsTest, who_has_not_done_a_task_yet_gets_one_for_each_slot) {
  serve({});
  job_of(20);
  Worker& honest = with_key("own").hello();
  teach(honest, 100us, 20);
  offer(1000);
  EXPECT_GT(honest.all_tasks().front().range.count, 1U);
  Worker& fresh = with_key("stolen", 2).hello();
  const std::vector<Tasks> given = fresh.all_tasks();
  ASSERT_EQ(given.size(), 2U);
  for (const Tasks& one : given) EXPECT_EQ(one.range.count, 1U);
  complete(fresh, given.front(), 100us);
  EXPECT_GT(fresh.all_tasks().front().range.count, 1U);
  unreachable(fresh);
  Worker& again = returning(fresh);
  keys[again.id] = "stolen";
  again.hello();
  EXPECT_EQ(again.tasks().range.count, 1U) << "in another session it is to do one again";
  again.read_all();
  honest.read_all();
}

// Whoever knew the number of a job could have all that waited in it, without credit or slots for it.
TEST_F(KeyLimitsTest, who_says_that_it_holds_what_it_was_never_given_has_nothing) {
  serve({});
  job_of(1000);
  Worker& liar = with_key("stolen");
  liar.credit = {};
  liar.hello({{job, {{0xdead}, 1}, {0, 1000}, false, {}}, {job, {{0xdead}, 2}, {0, 500}, true, {}}});
  EXPECT_EQ(liar.next<Cancel>(), (Cancel{{{0xdead}, 1}, {0, 1000}}));
  EXPECT_EQ(liar.next<Cancel>(), (Cancel{{{0xdead}, 2}, {0, 500}}));
  EXPECT_EQ(audit().leased, 0U);
  EXPECT_EQ(refused(RefusedFor::forged), 2U);
  EXPECT_TRUE(said("without the seal of a lease of its own"));
}

TEST_F(KeyLimitsTest, who_holds_what_it_was_given_keeps_it_up_to_the_limit_of_its_leases) {
  serve({.leases_per_slot_max = 2});
  job_of(1000);
  std::vector<HeldRange> held;
  for (std::uint64_t i = 0; i < 5; ++i) {
    held.push_back({job, {{0xdead}, i + 1}, {i * 10, 10}, false, {}});
    sealed.insert(held.back().lease);
  }
  Worker& returned = with_key("own");
  returned.credit = {};
  returned.hello(held);
  returned.next<Open>();
  returned.next<Route>();
  for (std::uint64_t i = 2; i < 5; ++i) EXPECT_EQ(returned.next<Cancel>().lease.counter, i + 1);
  EXPECT_EQ(audit().leased, 20U);
  EXPECT_EQ(refused(RefusedFor::forged), 0U);
}

}  // namespace
}  // namespace ventile::testing
