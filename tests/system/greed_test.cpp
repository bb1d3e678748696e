// Somebody with a stolen worker key who wants every task and runs none: what it can have is what its key may have.
#include <tests/system/broker_abuse.hpp>

namespace ventile {
namespace {

class Greed : public BrokerAbuse {
protected:
  static constexpr std::uint64_t sessions_max = 20;
  static constexpr std::uint64_t slots_max = 8;

  Greed() {
    limits = {"--key-sessions-max", std::to_string(sessions_max), "--key-slots-max", std::to_string(slots_max)};
  }

  // A HELLO that is worth tasks, with all the credit that there is.
  static Hello greedy_hello(const Rogue& one, std::uint32_t slots) {
    Hello hello = one.hello("hold", UINT64_MAX);
    hello.slots = slots;
    hello.credit = {UINT64_MAX, UINT64_MAX};
    return hello;
  }
  std::uint64_t open_tasks() {
    std::uint64_t open = 0;
    const nlohmann::json report = status();
    for (const nlohmann::json& job : report.at("jobs"))
      open += job.at("queued").get<std::uint64_t>() + job.at("leased").get<std::uint64_t>();
    return open;
  }
  std::uint64_t leased_to(const char* name) {
    std::uint64_t leased = 0;
    const nlohmann::json report = status();
    for (const nlohmann::json& peer : report.at("workers"))
      if (peer.at("name") == name) leased += peer.at("leased").get<std::uint64_t>();
    return leased;
  }
};

TEST_F(Greed, many_sessions_of_one_key_are_refused_beyond_its_limit_and_another_key_has_room) {
  std::vector<std::unique_ptr<Rogue>> crowd;
  std::uint64_t welcome = 0;
  for (int i = 0; i < 60; ++i) {
    Rogue& one = *crowd.emplace_back(rogue(as_worker()));
    if (one.comes_in(greedy_hello(one, 0))) ++welcome;
  }
  EXPECT_EQ(welcome, sessions_max);
  EXPECT_EQ(refused("over_limit"), crowd.size() - sessions_max);
  Process& another = start_worker({"-j", "1", "--keys", path("keys")});
  EXPECT_NE(broker->line_with(":" + std::to_string(another.pid()) + " is here"), "");
  expect_no_harm();
}

// They never answer. All but what they sit on is done meanwhile, and that when they are gone.
TEST_F(Greed, slots_and_credit_without_end_get_no_more_than_the_key_may_have) {
  const auto large = rogue(as_worker());
  EXPECT_FALSE(large->comes_in(greedy_hello(*large, slots_max + 1)));
  std::vector<std::unique_ptr<Rogue>> crowd;
  std::uint64_t welcome = 0;
  for (int i = 0; i < 20; ++i) {
    Rogue& one = *crowd.emplace_back(rogue(as_worker()));
    if (one.comes_in(greedy_hello(one, 2))) ++welcome;
  }
  EXPECT_EQ(welcome, slots_max / 2);
  EXPECT_EQ(refused("over_limit"), 1 + crowd.size() - welcome);
  crowd.front()->say(Waiting{UINT64_MAX});
  EXPECT_EQ(refused("over_limit"), 2 + crowd.size() - welcome);
  const std::uint64_t sat_on = leased_to("rogue");
  EXPECT_GT(sat_on, 0U);
  EXPECT_LE(sat_on, 2 * slots_max);  // Of each job one task for each slot.
  kept.gate.open(0);
  const std::uint64_t left = sat_on + 1;  // That of the other gate.
  const auto give_up = std::chrono::steady_clock::now() + guard;
  while (open_tasks() > left && std::chrono::steady_clock::now() < give_up) EXPECT_EQ(leased_to("rogue"), sat_on);
  EXPECT_EQ(open_tasks(), left);
  for (const auto& one : crowd)
    if (one->session) leave(*one);
  expect_no_harm();
}

// Whoever knows a job's number once had all that waited in it for the asking, without slots or credit.
TEST_F(Greed, what_was_never_given_cannot_be_held) {
  const auto one = rogue(as_worker());
  Hello hello = greedy_hello(*one, 1);
  hello.credit = {};
  const LeaseId foreign{{4711}, 1};
  for (const HonestJob* const job : {&plain, &kept})
    for (const bool finished : {false, true}) hello.held.push_back({job->id, foreign, {0, tasks}, finished, {}});
  ASSERT_TRUE(one->comes_in(hello));
  for (std::size_t i = 0; i < hello.held.size(); ++i) EXPECT_EQ(one->hear<Cancel>().lease, foreign);
  EXPECT_EQ(leased_to("rogue"), 0U);
  EXPECT_EQ(refused("forged"), hello.held.size());
  expect_no_harm();
}

TEST_F(Greed, what_another_was_given_cannot_be_held) {
  Tasks own;
  const auto honest = leaseholder(own);
  const JobId job = honest->envelope.job;
  Rogue thief{address_, Role::worker, *Keys::open(path("keys") + "/worker-fence", {KeyRole::worker})};
  Hello hello = thief.hello("nothing");
  hello.held = {{job, own.lease, own.range, false, own.seal}};
  leave(*honest);  // It waits again.
  ASSERT_TRUE(thief.comes_in(hello));
  EXPECT_EQ(thief.hear<Cancel>().lease, own.lease);
  EXPECT_EQ(refused("forged"), 1U);
  const auto back = rogue(as_worker());
  hello = back->hello("nothing");
  hello.held = {{job, own.lease, {own.range.first, own.range.count + 1}, false, own.seal}};
  ASSERT_TRUE(back->comes_in(hello));
  EXPECT_EQ(back->hear<Cancel>().lease, own.lease);
  EXPECT_EQ(refused("forged"), 2U);
  hello.held = {{job, own.lease, own.range, false, own.seal}};
  ASSERT_TRUE(back->comes_in(hello));  // Who was given it may have it again, if nobody else has it by now.
  EXPECT_EQ(refused("forged"), 2U);
  leave(*back);
  expect_no_harm();
}

TEST_F(Greed, an_honest_worker_may_hold_what_it_was_given_by_a_broker_that_was_killed) {
  broker->kill();
  broker->wait();
  serve();
  EXPECT_NE(broker->line_with(":" + std::to_string(worker->pid()) + " is here"), "");
  for (HonestJob* const job : {&plain, &kept}) {
    job->gate.open(0);
    EXPECT_EQ(job->client->wait(), 0) << job->client->errors();
    EXPECT_EQ(summary_in(job->client->output()).done, static_cast<std::uint64_t>(tasks));
    EXPECT_EQ(sorted_lines(job->results), numbers_below(tasks));
  }
  EXPECT_EQ(refused("forged"), 0U);
}

}  // namespace
}  // namespace ventile
