// Somebody with a good key who breaks every rule of the conversation. Only its own session ends, and the
// results are what they would have been.
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include <tests/system/fabric.hpp>
#include <tests/system/introductions.hpp>
#include <tests/system/rogue.hpp>

#include <tests/support/random_message.hpp>

namespace ventile {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::uint64_t tasks = 2000;

// A job that an honest worker and an honest sink do; it does not end before the test lets it.
class AbuseTest : public SystemTest {
protected:
  AbuseTest() {
    EXPECT_EQ(start("ventile", {"keygen", "--out", path("keys")}).wait(), 0);
    EXPECT_EQ(start("ventile", {"keygen", "--out", path("keys"), "--add", "worker", "--name", "rogue"}).wait(), 0);
    gate_.mark(0);
    ventilator_ = &start_ventilator({"--range", "0:" + std::to_string(tasks), "--function", "hold", "--args",
                                     gate_.arguments(), "--no-speculate", "--keys", path("keys")});
    sink_ = &start_sink({"--output", path("results"), "--format", "raw", "--keys", path("keys")});
    worker_ = &start_worker({"-j", "1", "--keys", path("keys")});
    gate_.next();
  }

  Keys keys(const std::string& of) const {
    return *Keys::open(path("keys") + "/" + of, {KeyRole::worker, KeyRole::sink, KeyRole::client, KeyRole::admin});
  }
  std::unique_ptr<Rogue> rogue(Role role) const {
    const char* const key = role == Role::worker ? "worker-rogue" : role == Role::sink ? "sink" : "client";
    return std::make_unique<Rogue>(address_, role, keys(key));
  }
  std::unique_ptr<Rogue> enrolled(Role role) const {
    auto one = rogue(role);
    one->enrol(one->hello("hold"));
    return one;
  }
  // The honest ones go on as if nothing had been, and never had to introduce themselves again. Returns what was
  // counted.
  Summary expect_no_harm() {
    gate_.open(0);
    Summary summary = exact_summary(*ventilator_);
    EXPECT_EQ(summary.done, tasks);
    EXPECT_EQ(sorted_lines(path("results")), numbers_below(tasks));
    for (Process* const honest : {worker_, sink_}) {
      EXPECT_THAT(honest->errors(), Not(HasSubstr("refused this")));
      EXPECT_EQ(introductions_of(*honest, *ventilator_), 1) << honest->name();
    }
    for (const std::string& line : lines_of_text(ventilator_->errors())) {
      const bool is_loss = line.find(" lost: ") != std::string::npos;
      EXPECT_TRUE(!is_loss || line.find("rogue") != std::string::npos) << line;
    }
    return summary;
  }
  // NOLINTBEGIN(readability-identifier-naming)
  Gate gate_{path("gate")};
  Process* ventilator_;
  Process* sink_;
  Process* worker_;
  // NOLINTEND(readability-identifier-naming)
};

Buffer frame_of(testing::Outgoing&& outgoing) {
  return encode(outgoing.envelope, outgoing.message, std::move(outgoing.payloads));
}

TEST_F(AbuseTest, every_message_without_a_session_changes_nothing) {
  testing::Random random{7};
  for (const Role role : {Role::worker, Role::sink, Role::client}) {
    for (std::size_t type = 0; type < testing::message_types; ++type) {
      const auto one = rogue(role);
      testing::Outgoing outgoing = testing::random_message(type, random);
      if (std::holds_alternative<Hello>(outgoing.message)) continue;  // That is how one gets a session.
      outgoing.envelope.session = {};
      one->say_bytes(frame_of(std::move(outgoing)));
      one->enrol(one->hello("hold"));  // It is still heard.
    }
  }
  expect_no_harm();
}

TEST_F(AbuseTest, every_message_in_a_session_ends_at_most_that_session) {
  testing::Random random{8};
  for (const Role role : {Role::worker, Role::sink, Role::client}) {
    for (std::size_t type = 0; type < testing::message_types; ++type) {
      const auto one = enrolled(role);
      testing::Outgoing outgoing = testing::random_message(type, random);
      outgoing.envelope.session = one->session;
      one->say_bytes(frame_of(std::move(outgoing)));
      const auto next = enrolled(role);  // What came before it has been read.
    }
  }
  expect_no_harm();
}

TEST_F(AbuseTest, what_its_key_is_not_for_ends_its_session) {
  const std::vector<std::pair<Role, std::vector<Message>>> misdeeds{
      {Role::worker, {Submit{}, Drain{"all"}, Stored{}, Closed{}, Opened{}, Inquire{}, End{}, Welcome{}, Close{}}},
      {Role::sink, {Submit{}, Drain{"all"}, Progress{}, Inquire{}, Return{}}},
      {Role::client, {Drain{"all"}, Progress{}, Opened{}, Return{}}}};
  for (const auto& [role, messages] : misdeeds) {
    for (const Message& message : messages) {
      const auto one = enrolled(role);
      one->say(message);
      EXPECT_EQ(one->hear<Refused>().reason, Refusal::unauthorized) << name_of(message);
      one->say(Heartbeat{});
      one->hear<HelloAgain>();
    }
  }
  const Summary summary = expect_no_harm();
  EXPECT_EQ(summary.refusals.at("unauthorized"), 9U + 5U + 4U);
  EXPECT_EQ(summary.refusals.at("out_of_place"), 0U);
}

TEST_F(AbuseTest, a_sink_that_speaks_of_a_job_that_it_does_not_collect_loses_its_session) {
  Settlement settlement;
  settlement.range = {0, tasks};
  for (const Message& message : {Message{Stored{{settlement}, {}}}, Message{Opened{}}, Message{Closed{}}}) {
    const auto one = enrolled(Role::sink);
    one->say(message, {1, 2});
    EXPECT_EQ(one->hear<Refused>().reason, Refusal::malformed) << name_of(message);
    one->say(Heartbeat{});
    one->hear<HelloAgain>();
  }
  EXPECT_EQ(expect_no_harm().refusals.at("out_of_place"), 3U);
}

TEST_F(AbuseTest, the_session_of_another_is_good_for_nobody) {
  const auto one = enrolled(Role::worker);
  const SessionId own = one->session;
  for (std::uint64_t guess = 1; guess < 64; ++guess) {  // Sessions are counted, so that others can be guessed.
    const SessionId other{own.value ^ guess};
    one->say(Bye{}, {}, other);
    one->hear<HelloAgain>();
    one->say(Progress{}, {}, other);
    one->hear<HelloAgain>();
  }
  expect_no_harm();
}

TEST_F(AbuseTest, forged_numbers_touch_no_lease_of_another) {
  const auto one = rogue(Role::worker);
  one->enrol(one->hello("hold", 1));
  one->hear<Route>();
  const Tasks own = one->hear<Tasks>();
  const JobId job = one->envelope.job;
  const Range huge{0, UINT64_MAX};
  std::vector<RunningLease> running;
  for (std::uint64_t counter = 1; counter <= own.lease.counter + 3; ++counter) {
    const LeaseId lease{own.lease.dispatcher, counter};
    running.push_back({job, lease, UINT64_MAX, UINT64_MAX});
    if (lease == own.lease) continue;
    for (const ReturnReason reason : {ReturnReason::not_begun, ReturnReason::failed, ReturnReason::dead,
                                      ReturnReason::unknown, ReturnReason::stopped, ReturnReason::cancelled}) {
      one->say(Return{lease, {huge}, reason, "kind", "message"}, job);
      one->say(Return{lease, {{0, 1}}, reason, "kind", "message"}, {9, 9});
    }
  }
  one->say(Progress{{UINT64_MAX, UINT64_MAX}, UINT32_MAX, UINT64_MAX, running});
  one->say(Waiting{UINT64_MAX});
  one->say(Progress{{0, 0}, 0, 0, {}});
  one->say(Return{own.lease, {huge}, ReturnReason::not_begun, {}, {}}, job);
  one->say(Return{own.lease, {huge}, ReturnReason::not_begun, {}, {}}, job);
  const auto next = enrolled(Role::worker);
  expect_no_harm();
}

TEST_F(AbuseTest, absurd_claims_in_hello_are_refused) {
  const auto one = rogue(Role::worker);
  for (const Hello& hello : one->absurd_hellos()) EXPECT_FALSE(one->comes_in(hello));
  const auto honest = enrolled(Role::worker);
  one->incarnation = honest->incarnation;
  EXPECT_FALSE(one->comes_in(one->hello("hold"))) << "the name of another";
  honest->say(Heartbeat{});
  assign_random(one->incarnation);
  one->enrol(one->hello("hold"));
  const Summary summary = expect_no_harm();
  EXPECT_EQ(summary.refusals.at("over_limit"), 1U);
  EXPECT_EQ(summary.refusals.at("malformed"), 1U);
  EXPECT_EQ(summary.refusals.at("out_of_place"), 1U);
}

TEST_F(AbuseTest, what_is_replayed_counts_once) {
  const auto one = rogue(Role::worker);
  one->enrol(one->hello("hold", 1));
  const std::string sink = one->hear<Route>().address;
  const Tasks own = one->hear<Tasks>();
  const JobId job = one->envelope.job;
  ASSERT_EQ(own.range.count, 1U);
  Results results;
  results.lease = own.lease;
  results.range = own.range;
  results.folded = true;  // Nobody has asked for that.
  results.seal = own.seal;
  one->push(sink, results, {job.high, job.low ^ 1});
  for (int i = 0; i < 3; ++i) one->say(Return{own.lease, {own.range}, ReturnReason::not_begun, {}, {}}, job);
  for (int i = 0; i < 100; ++i) one->enrol(one->hello("hold"));  // The same HELLO again and again.
  expect_no_harm();
}

TEST_F(AbuseTest, halves_of_messages_that_never_end_hold_nothing_up) {
  const auto one = enrolled(Role::worker);
  for (std::uint64_t transfer = 1; transfer <= 1000; ++transfer) one->say(Part{transfer, 0, UINT64_MAX / 2, {}});
  for (std::uint64_t transfer = 1; transfer <= 1000; ++transfer) one->say(Part{transfer, 7, 1 << 20, {}});
  const auto next = enrolled(Role::worker);
  expect_no_harm();
}

TEST_F(AbuseTest, who_talks_without_end_is_heard_out_and_others_are_too) {
  const auto one = enrolled(Role::worker);
  for (int i = 0; i < 20'000; ++i) one->say(Progress{{static_cast<std::uint64_t>(i), 0}, 1, 0, {}});
  const auto other = enrolled(Role::client);
  for (int i = 0; i < 2'000; ++i) other->say(Inquire{});
  other->hear<Report>();
  expect_no_harm();
}

}  // namespace
}  // namespace ventile
