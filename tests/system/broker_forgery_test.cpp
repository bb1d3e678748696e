// Somebody with a good key who tells a broker what is not true: forged results and numbers, claims that nobody can
// meet, the same again and again, halves of messages, and all of it without end.
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <tests/system/broker_abuse.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

using BrokerForgery = BrokerAbuse;

// What `hold` makes of these tasks.
Results results_of(const Tasks& tasks) {
  Results results;
  results.lease = tasks.lease;
  results.range = tasks.range;
  results.tries = tasks.tries + 1;
  results.seal = tasks.seal;
  return results;
}

TEST_F(BrokerForgery, forged_numbers_touch_no_lease_of_another) {
  Tasks own;
  const auto one = leaseholder(own);
  const JobId job = one->envelope.job;
  const Range huge{0, UINT64_MAX};
  std::vector<RunningLease> running;
  for (std::uint64_t counter = 1; counter <= own.lease.counter + 3; ++counter) {
    const LeaseId lease{own.lease.dispatcher, counter};
    running.push_back({job, lease, UINT64_MAX, UINT64_MAX});
    if (lease == own.lease) continue;
    for (const ReturnReason reason : {ReturnReason::not_begun, ReturnReason::failed, ReturnReason::dead,
                                      ReturnReason::unknown, ReturnReason::stopped, ReturnReason::cancelled})
      for (const JobId of : {plain.id, kept.id, JobId{9, 9}}) {
        one->say(Return{lease, {huge}, reason, "kind", "message"}, of);
        one->say(Return{lease, {{0, 1}}, reason, "kind", "message"}, of);
      }
  }
  one->say(Progress{{UINT64_MAX, UINT64_MAX}, UINT32_MAX, UINT64_MAX, running});
  one->say(Waiting{UINT64_MAX});
  one->say(Progress{{0, 0}, 0, 0, {}});
  one->say(Return{own.lease, {huge}, ReturnReason::not_begun, {}, {}}, job);
  one->say(Return{own.lease, {huge}, ReturnReason::not_begun, {}, {}}, job);
  leave(*one);
  expect_no_harm();
}

TEST_F(BrokerForgery, results_without_the_seal_of_a_lease_of_ones_own_are_refused_as_forged) {
  Tasks own;
  const auto one = leaseholder(own);
  const JobId job = one->envelope.job;
  const JobId other = job == plain.id ? kept.id : plain.id;
  const auto accomplice = rogue({Role::worker, "worker-fence", {}});
  std::uint64_t forged = 0;
  const auto is_refused = [&](Rogue& by, const Results& results, JobId of) {
    by.enrol(by.hello("nothing"));
    by.say(results, of);
    EXPECT_EQ(by.hear<Refused>().reason, Refusal::unauthorized);
    expect_shut_out(by);
    ++forged;
  };
  const Results good = results_of(own);
  Results bad = good;
  bad.seal = {};
  is_refused(*accomplice, good, job);  // What another was given.
  is_refused(*one, bad, job);
  is_refused(*one, good, other);
  bad = good;
  bad.range = {own.range.first + 1, 1};
  is_refused(*one, bad, job);
  bad = good;
  bad.lease.counter += 1;
  is_refused(*one, bad, job);
  EXPECT_EQ(refused("forged"), forged);
  EXPECT_EQ(refused("unauthorized"), 0U);
  expect_no_harm();
}

TEST_F(BrokerForgery, what_is_replayed_counts_once) {
  Tasks own;
  const auto one = leaseholder(own);
  const JobId job = one->envelope.job;
  const Results results = results_of(own);
  Buffer value;
  Packer{value}.pack_unsigned(own.range.first);
  for (int i = 0; i < 100; ++i) one->say(results, job, one->session, value);
  for (int i = 0; i < 3; ++i) one->say(Return{own.lease, {own.range}, ReturnReason::not_begun, {}, {}}, job);
  leave(*one);
  for (int i = 0; i < 100; ++i) one->say(results, job, one->session, value);  // Its session is over.
  for (int i = 0; i < 100; ++i) one->enrol(one->hello("nothing"));            // The same HELLO again and again.
  for (int i = 0; i < 100; ++i) one->say(results, job, one->session, value);
  leave(*one);
  expect_no_harm();
}

TEST_F(BrokerForgery, absurd_claims_in_hello_are_refused) {
  const auto one = rogue(as_worker());
  for (const Hello& hello : one->absurd_hellos()) EXPECT_FALSE(one->comes_in(hello));
  EXPECT_EQ(refused("over_limit"), 1U);
  EXPECT_EQ(refused("malformed"), 1U);
  Hello hello = one->hello("hold");
  hello.held = {{plain.id, {{1}, 0}, {0, tasks}, true, {}}};
  EXPECT_FALSE(one->comes_in(hello)) << "a lease that was never given";
  Tasks own;
  const auto robbed = leaseholder(own);
  one->incarnation = robbed->incarnation;
  EXPECT_FALSE(one->comes_in(one->hello("hold"))) << "the name of another";
  EXPECT_EQ(refused("out_of_place"), 2U);
  leave(*robbed);
  expect_no_harm();
}

// A worker learns from ROUTE the incarnation of the client whose tasks it has.
TEST_F(BrokerForgery, nobody_takes_the_name_of_an_honest_peer) {
  const auto spy = rogue(as_worker());
  spy->enrol(spy->hello("hold", 1));
  const IncarnationId client = spy->hear<Route>().sink;
  for (const Disguise& as : disguises()) {
    const auto one = rogue(as);
    one->incarnation = client;
    one->say(one->hello("nothing"), {}, {});
    EXPECT_EQ(one->hear<Refused>().reason, Refusal::malformed) << as.key;
  }
  leave(*spy);
  EXPECT_EQ(refused("out_of_place"), disguises().size());
  expect_no_harm();
}

TEST_F(BrokerForgery, credit_beyond_all_measure_is_taken_and_harms_nobody) {
  const auto worker_one = rogue(as_worker());
  Hello hello = worker_one->hello("nothing", UINT64_MAX);
  hello.slots = 16;
  hello.credit = {UINT64_MAX, UINT64_MAX};
  worker_one->enrol(hello);
  worker_one->say(Progress{{UINT64_MAX, UINT64_MAX}, UINT32_MAX, UINT64_MAX, {}});
  const SinkCredit all{UINT64_MAX, UINT64_MAX, UINT64_MAX};
  const auto client_one = enrolled(as_client());
  for (std::uint64_t i = 1; i <= 5; ++i) {
    Submit submit{.name = "own", .function = "nothing"};
    submit.priority = INT64_MAX;
    submit.keep_nanoseconds = UINT64_MAX;
    submit.timeout_nanoseconds = UINT64_MAX;
    submit.tries_max = UINT32_MAX;
    submit.constant_count = UINT32_MAX;
    submit.index = {true, INT64_MIN, INT64_MAX};
    submit.credit = all;
    client_one->say(submit, {3, i});
    EXPECT_EQ(client_one->hear<Accepted>().refusal, "");
    client_one->say_bytes(
        encode({{3, i}, client_one->incarnation, client_one->session, i}, Offer{{0, UINT64_MAX}, {}}));
    client_one->say(Stored{{}, all}, {3, i});
    client_one->say(Complete{UINT64_MAX}, {3, i});
  }
  leave(*client_one);
  expect_no_harm();
}

TEST_F(BrokerForgery, halves_of_messages_that_never_end_hold_nothing_up) {
  for (const Disguise& as : disguises()) {
    const auto one = enrolled(as);
    for (std::uint64_t transfer = 1; transfer <= 500; ++transfer) one->say(Part{transfer, 0, UINT64_MAX / 2, {}});
    for (std::uint64_t transfer = 1; transfer <= 500; ++transfer) one->say(Part{transfer, 7, 1 << 20, {}});
    enrolled(as);
  }
  expect_no_harm();
}

TEST_F(BrokerForgery, who_talks_without_end_is_heard_out_and_others_are_too) {
  const auto one = enrolled(as_worker());
  for (int i = 0; i < 20'000; ++i) one->say(Progress{{static_cast<std::uint64_t>(i), 0}, 1, 0, {}});
  const auto client_one = enrolled(as_client());
  for (int i = 0; i < 2'000; ++i) client_one->say(Inquire{});
  client_one->hear<Report>();
  const auto admin = enrolled(as_admin());
  for (int i = 0; i < 2'000; ++i) admin->say(Drain{"nobody"});
  EXPECT_FALSE(admin->hear<Explanation>().found);
  expect_no_harm();
}

}  // namespace
}  // namespace ventile
