// A dispatcher that keeps jobs: whose they are, under which name, and when they are over.
#include <gmock/gmock.h>

#include "serving_fixture.hpp"

namespace ventile::testing {
namespace {

using ::testing::HasSubstr;

class KeepingJobs : public Serving {
protected:
  static constexpr PeerId other{7};  // A client with another key.
  static constexpr PeerId keeper = local_peer(1);
  SessionId keepers_session;
  SessionId others_session;

  KeepingJobs()
      : Serving({.client_window_tasks = 8, .durable = true, .identity_of = [](PeerId peer) {
                   return PeerIdentity{peer == other ? "B" : "A", false};
                 }}) {}

  static Submit kept(const std::string& source = "a file") {
    Submit submit;
    submit.name = "nightly";
    submit.function = "work";
    submit.kept = true;
    submit.source = source;
    return submit;
  }
  SessionId session_of(PeerId peer, const Hello& hello, std::uint64_t incarnation) {
    dispatcher.on_message(peer, {{{}, {incarnation}, {}, 1}, hello}, now);
    SessionId found;
    for (const Action& action : dispatcher.take_actions())
      if (const auto* send = std::get_if<Send>(&action); send != nullptr && send->to == peer)
        if (std::holds_alternative<Welcome>(send->message)) found = send->session;
    return found;
  }
  void keeper_says(Message message) {
    dispatcher.on_message(keeper, {{job, {20}, keepers_session, 1}, std::move(message)}, now);
    act();
  }
  // The job is there, with so many tasks, and the disk knows.
  void open(std::uint64_t tasks) {
    introduce();
    say(kept(), job);
    ASSERT_EQ(asked<Keeping>().size(), 1U);
    const Hello hello{.role = Role::sink, .node = {6, 6}, .name = "keeper", .held = {{.job = job}}, .greeting = 1};
    keepers_session = session_of(keeper, hello, 20);
    keeper_says(Opened{{}, {}, false, {}, {}, {1000, 1'000'000, UINT64_MAX}});
    persisted(UINT64_MAX / 2);
    offer({0, tasks});
    say(Complete{tasks}, job);
    persisted(UINT64_MAX / 2);
    owner.clear();
  }
  void finish(std::uint64_t tasks) {
    keeper_says(Stored{{{{}, {}, {0, tasks}, Verdict::stored, 0, 0, {}}}, {1000, 1'000'000, UINT64_MAX}});
    keeper_says(Closed{});
    owner.clear();
  }
  void fetch() { say(Fetch{"nightly", "", false, {}, {}}, {8, 8}); }
};

TEST_F(KeepingJobs, a_client_is_told_when_the_disk_has_all_of_its_job) {
  introduce();
  say(kept(), job);
  persisted(1);
  offer({0, 3});
  say(Complete{3}, job);
  EXPECT_FALSE(told<Accepted>().back().complete);
  persisted(UINT64_MAX / 2);
  const std::vector<Accepted> accepted = told<Accepted>();
  EXPECT_EQ(accepted.back().submitted, 3U);
  EXPECT_TRUE(accepted.back().complete);
}

// Found by a map of 100,000 numbers, which held 4,096 of them and waited to be told that it need not.
TEST_F(KeepingJobs, a_client_is_told_of_tasks_as_soon_as_the_disk_has_them) {
  introduce();
  say(kept(), job);
  persisted(1);
  offer({0, 1});
  mail.clear();
  persisted(UINT64_MAX / 2);
  EXPECT_EQ(told<Accepted>().at(0).submitted, 1U);
}

TEST_F(KeepingJobs, the_job_outlives_its_client) {
  open(3);
  say(Bye{});
  now += std::chrono::hours{1};
  dispatcher.on_tick(now);
  act();
  EXPECT_TRUE(dispatcher.has_job(job));
}

TEST_F(KeepingJobs, the_same_job_under_another_id_is_told_the_first) {
  open(3);
  say(kept(), {5, 5});
  EXPECT_EQ(told<Accepted>().back().job, job);
}

TEST_F(KeepingJobs, another_input_under_the_same_name_is_refused_with_the_difference) {
  open(3);
  say(kept("another file"), {5, 5});
  EXPECT_THAT(told<Accepted>().back().refusal, HasSubstr("its input is a file, and that of this one another file"));
}

TEST_F(KeepingJobs, a_fetch_is_over_when_the_disk_knows_that_all_of_it_was_had) {
  open(3);
  finish(3);
  mail.clear();
  fetch();
  EXPECT_EQ(told<End>().size(), 1U);
  say(Closed{}, job);
  EXPECT_TRUE(told<Close>().empty());
  EXPECT_TRUE(dispatcher.has_job(job));
  persisted(UINT64_MAX / 2);
  EXPECT_FALSE(told<Close>().empty());
  EXPECT_FALSE(dispatcher.has_job(job));
}

// Found by the simulation: its CLOSED was said, its session was lost, and nobody told it that all was over.
TEST_F(KeepingJobs, a_client_that_comes_back_before_the_disk_knows_is_told_when_it_does) {
  open(3);
  finish(3);
  fetch();
  say(Closed{}, job);
  introduce();
  fetch();
  mail.clear();
  persisted(UINT64_MAX / 2);
  EXPECT_EQ(told<Close>().size(), 1U);
}

TEST_F(KeepingJobs, who_has_another_key_can_neither_fetch_nor_discard) {
  open(3);
  others_session = session_of(other, {.role = Role::client, .node = {9, 9}, .name = "other", .greeting = 1}, 30);
  std::vector<Message> answers;
  const auto say_as_other = [&](Message message) {
    dispatcher.on_message(other, {{{8, 8}, {30}, others_session, 1}, std::move(message)}, now);
    for (const Action& action : dispatcher.take_actions())
      if (const auto* send = std::get_if<Send>(&action); send != nullptr && send->to == other)
        answers.push_back(send->message);
  };
  say_as_other(Fetch{"nightly", "", false, {}, {}});
  EXPECT_THAT(std::get<Accepted>(answers.at(0)).refusal, HasSubstr("for this key"));
  say_as_other(Discard{"nightly"});
  EXPECT_FALSE(std::get<Explanation>(answers.at(1)).found);
  EXPECT_TRUE(dispatcher.has_job(job));
}

// It even knows what only the dispatcher should: the node of the job's client.
TEST_F(KeepingJobs, who_has_another_key_can_bring_nothing_and_end_nothing) {
  open(3);
  const JobId plain{4, 4};
  say(Submit{.name = "plain", .function = "work"}, plain);
  std::uint64_t misdeeds = 0;
  for (const JobId of : {job, plain})
    for (const Message& message : {Message{Offer{{0, 1}, {}}}, Message{Complete{3}}, Message{Stored{}},
                                   Message{Closed{}}, Message{Submit{.name = "mine"}}}) {
      const Hello hello{.role = Role::client, .node = {3, 3}, .name = "other", .greeting = 1};
      others_session = session_of(other, hello, 30);
      dispatcher.on_message(other, {{of, {30}, others_session, 1}, message}, now);
      act();
      EXPECT_EQ(dispatcher.refusals().of(RefusedFor::out_of_place), ++misdeeds) << name_of(message);
    }
  EXPECT_EQ(dispatcher.audit(job).queued, 3U);
  say(Complete{0}, plain);  // It is still its client's.
  EXPECT_EQ(dispatcher.refusals().total(), misdeeds);
}

TEST_F(KeepingJobs, what_its_client_still_brings_for_a_discarded_one_is_not_written) {
  introduce();
  say(kept(), job);
  persisted(1);
  offer({0, 3});
  say(Discard{"nightly"});
  act();
  offer({3, 1});
  say(Complete{3}, job);
  std::vector<JobRecord::Kind> kinds;
  for (const Persist& persist : asked<Persist>()) kinds.push_back(persist.record.kind);
  EXPECT_EQ(kinds, (std::vector{JobRecord::Kind::opened, JobRecord::Kind::offered, JobRecord::Kind::closed}));
  persisted(UINT64_MAX / 2);
  EXPECT_EQ(told<Close>().size(), 1U);
}

TEST_F(KeepingJobs, one_that_is_discarded_is_gone_when_the_disk_knows) {
  open(3);
  say(Discard{"nightly"});
  EXPECT_TRUE(told<Explanation>().empty());
  persisted(UINT64_MAX / 2);
  EXPECT_TRUE(told<Explanation>().at(0).found);
  EXPECT_FALSE(dispatcher.has_job(job));
}

TEST_F(KeepingJobs, workers_are_given_nothing_of_a_job_that_is_full_until_it_has_room) {
  open(3);
  dispatcher.on_kept(job, 100, true, now);
  introduce_worker();
  EXPECT_TRUE(workers_told<Tasks>().empty());
  EXPECT_THAT(dispatcher.why_waiting(job), HasSubstr("--keep-bytes"));
  dispatcher.on_kept(job, 50, false, now);
  act();
  EXPECT_FALSE(workers_told<Tasks>().empty());
}

}  // namespace
}  // namespace ventile::testing
