// Somebody with a good key who says to a broker what is not for it to say: as a worker, a client, an admin and a sink.
// Only its own session ends, each refusal is counted with its reason, and honest clients get what they asked for.
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include <tests/system/broker_abuse.hpp>

#include <tests/support/random_message.hpp>

namespace ventile {
namespace {

using ::testing::HasSubstr;

std::uint8_t type_of(const Message& message) {
  return std::visit([](const auto& m) { return std::decay_t<decltype(m)>::type; }, message);
}

Message blank(std::size_t type) {
  testing::Random random{1};
  return testing::random_message(type, random).message;
}

// Says a message that chance has filled, in a session and of a job that are none of its business, or all.
class Chatter {
public:
  explicit Chatter(std::uint64_t seed) : random_(seed) {}

  void say(Rogue& one, std::size_t type, SessionId session, JobId job) {
    testing::Outgoing outgoing = testing::random_message(type, random_);
    // An admin may cancel any job that it can name, and chance would name one some day.
    if (auto* discard = std::get_if<Discard>(&outgoing.message)) discard->job += " of nobody";
    outgoing.envelope.session = session;
    outgoing.envelope.job = job;
    outgoing.envelope.incarnation = one.incarnation;
    one.say_bytes(encode(outgoing.envelope, outgoing.message, std::move(outgoing.payloads)));
  }

private:
  testing::Random random_;
};

TEST_F(BrokerAbuse, every_message_without_a_session_or_after_its_end_changes_nothing) {
  Chatter chatter{17};
  for (const Disguise& as : disguises())
    for (std::size_t type = 0; type < testing::message_types; ++type) {
      if (std::holds_alternative<Hello>(blank(type))) continue;  // That is how one gets a session.
      const auto one = rogue(as);
      chatter.say(*one, type, {}, plain.id);
      one->enrol(one->hello("nothing"));  // It is still heard.
      one->say(Bye{});
      chatter.say(*one, type, one->session, kept.id);
      one->enrol(one->hello("nothing"));
    }
  expect_no_harm();
}

TEST_F(BrokerAbuse, every_message_in_a_session_ends_at_most_that_session) {
  Chatter chatter{18};
  for (const Disguise& as : disguises())
    for (std::size_t type = 0; type < testing::message_types; ++type)
      for (const JobId job : {plain.id, kept.id, JobId{1, 2}}) {
        const auto one = enrolled(as);
        chatter.say(*one, type, one->session, job);
        enrolled(as);  // What came before it has been read.
      }
  expect_no_harm();
}

TEST_F(BrokerAbuse, every_message_of_a_worker_with_tasks_leaves_them_to_others) {
  Chatter chatter{19};
  for (std::size_t type = 0; type < testing::message_types; ++type) {
    Tasks own;
    const auto one = leaseholder(own);
    chatter.say(*one, type, one->session, one->envelope.job);
    leave(*one);
  }
  expect_no_harm();
}

TEST_F(BrokerAbuse, every_message_of_a_client_with_a_job_is_about_that_job) {
  Chatter chatter{20};
  for (std::size_t type = 0; type < testing::message_types; ++type)
    for (const bool keep : {false, true}) {
      const auto one = enrolled(as_client());
      const JobId own{7, 2 * type + (keep ? 1 : 2)};
      Submit submit{.name = "own " + std::to_string(type), .function = "nothing"};
      submit.kept = keep;
      submit.credit = {UINT64_MAX, UINT64_MAX, UINT64_MAX};
      one->say(submit, own);
      EXPECT_EQ(one->hear<Accepted>().refusal, "");
      chatter.say(*one, type, one->session, own);
      leave(*one);
    }
  expect_no_harm();
}

TEST_F(BrokerAbuse, what_its_key_is_not_for_ends_its_session_and_is_counted) {
  std::uint64_t misdeeds = 0;
  for (const Disguise& as : disguises())
    for (std::size_t type = 0; type < testing::message_types; ++type) {
      const Message message = blank(type);
      if (as.rights.contains(type_of(message))) continue;
      const auto one = enrolled(as);
      Chatter{1}.say(*one, type, one->session, plain.id);
      EXPECT_EQ(one->hear<Refused>().reason, Refusal::unauthorized) << as.key << " " << name_of(message);
      expect_shut_out(*one);
      ++misdeeds;
    }
  for (const Disguise& as : disguises())
    for (const Role role : {Role::worker, Role::client, Role::sink}) {
      if (role == as.role) continue;
      const auto one = rogue(as);
      Hello hello = one->hello("hold", 100);
      hello.role = role;
      one->say(hello, {}, {});
      EXPECT_EQ(one->hear<Refused>().reason, Refusal::unauthorized) << as.key;
      ++misdeeds;
    }
  EXPECT_EQ(refused("unauthorized"), misdeeds);
  EXPECT_EQ(refused("malformed") + refused("forged") + refused("out_of_place"), 0U);
  expect_no_harm();
}

TEST_F(BrokerAbuse, who_speaks_of_the_job_of_another_loses_its_session) {
  Settlement all;
  all.range = {0, tasks};
  Opened opened;
  opened.have = {all.range};
  const std::vector<std::pair<Disguise, std::vector<Message>>> misdeeds{
      {as_client(), {Offer{{0, 1}, {}}, Complete{tasks}, Stored{{all}, {}}, Closed{}}},
      {as_sink(), {opened, Stored{{all}, {}}, Closed{}}}};
  std::uint64_t count = 0;
  for (const auto& [as, messages] : misdeeds)
    for (const Message& message : messages)
      for (const JobId job : {plain.id, kept.id}) {
        const auto one = rogue(as);
        Hello hello = one->hello();
        if (as.role == Role::sink) hello.held = {{.job = job}};  // It claims to collect it.
        one->enrol(hello);
        one->say(message, job);
        EXPECT_EQ(one->hear<Refused>().reason, Refusal::malformed) << name_of(message);
        expect_shut_out(*one);
        ++count;
      }
  EXPECT_EQ(refused("out_of_place"), count);
  expect_no_harm();
}

TEST_F(BrokerAbuse, the_job_of_another_can_neither_be_taken_up_nor_fetched_nor_discarded) {
  const auto one = enrolled(as_client());
  for (const bool keep : {false, true})
    for (const JobId job : {plain.id, kept.id}) {
      Submit submit{.name = keep ? "nightly" : "hourly", .function = "hold"};
      submit.kept = keep;
      submit.have = {{0, tasks}};
      one->say(submit, job);
      EXPECT_THAT(one->hear<Accepted>().refusal, HasSubstr("somebody else's"));
    }
  EXPECT_EQ(refused("out_of_place"), 4U);
  one->say(Fetch{"nightly", "", false, {}, {UINT64_MAX, UINT64_MAX, UINT64_MAX}}, {7, 7});
  EXPECT_THAT(one->hear<Accepted>().refusal, HasSubstr("no job"));
  for (const char* const name : {"nightly", "hourly", "", "0", "f"}) {
    one->say(Discard{name});
    EXPECT_FALSE(one->hear<Explanation>().found) << name;
  }
  expect_no_harm();
}

TEST_F(BrokerAbuse, the_session_of_another_is_good_for_nobody) {
  for (const Disguise& as : disguises()) {
    const auto one = enrolled(as);
    for (std::uint64_t guess = 1; guess < 32; ++guess) {  // Sessions are counted, so that others can be guessed.
      const SessionId other{one->session.value ^ guess};
      one->say(Bye{}, plain.id, other);
      one->hear<HelloAgain>();
      one->say(Heartbeat{}, kept.id, other);
      one->hear<HelloAgain>();
    }
  }
  expect_no_harm();
}

}  // namespace
}  // namespace ventile
