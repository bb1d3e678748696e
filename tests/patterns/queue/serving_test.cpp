// The dispatcher's side of a conversation with a client, without a client.
#include "serving_fixture.hpp"

namespace ventile::testing {
namespace {

TEST_F(Serving, a_client_that_comes_back_after_COMPLETE_is_told_so) {
  introduce();
  submit();
  say(Complete{0}, job);
  told<Accepted>();
  introduce();
  submit();
  EXPECT_EQ(told<Accepted>().size(), 1U);  // Without it, it never tells what it has.
}

TEST_F(Serving, tasks_that_a_client_has_settled_already_take_no_room) {
  introduce();
  submit({{0, 20}});
  EXPECT_EQ(told<Accepted>().at(0).credit.tasks, 8U);
  offer_bare({0, 8});
  const auto more = told<Accepted>();
  ASSERT_EQ(more.size(), 1U);
  EXPECT_EQ(more[0].credit.tasks, 16U);
}

// It was told CLOSE only, and took its tasks for lost.
TEST_F(Serving, who_brings_the_tasks_of_a_job_that_is_cancelled_is_told_so) {
  introduce();
  submit();
  offer({0, 3});
  store({0, 1});
  mail.clear();
  say(Discard{"nightly"});
  std::vector<std::string> names;
  for (const Message& message : mail) names.emplace_back(name_of(message));
  EXPECT_EQ(names, (std::vector<std::string>{"EXPLANATION", "PROPOSE", "CLOSE"}));
  const Propose propose = told<Propose>().at(0);
  EXPECT_EQ(propose.ranges, (std::vector<Range>{{1, 2}}));
  EXPECT_EQ(propose.outcome, Outcome::cancelled);
  EXPECT_EQ(propose.message, "client client has cancelled it");
}

// It brought the job anew, which ran to its end though somebody had been told that it was cancelled.
TEST_F(Serving, who_was_away_when_a_job_was_cancelled_is_told_so_when_it_brings_it_again) {
  introduce();
  submit();
  offer({0, 3});
  dispatcher.on_unreachable(client, now);
  act();
  introduce();
  say(Discard{"nightly"});
  mail.clear();
  submit();
  EXPECT_EQ(told<Accepted>().size(), 0U);
  submit();
  std::vector<std::string> names;
  for (const Message& message : mail) names.emplace_back(name_of(message));
  EXPECT_EQ(names, (std::vector<std::string>{"PROPOSE", "CLOSE"}));
  EXPECT_FALSE(dispatcher.has_job(job));
}

TEST_F(Serving, a_client_that_only_asks_is_not_worth_a_line) {
  introduce();
  say(Inquire{});
  say(Bye{});
  EXPECT_TRUE(lines.empty()) << lines[0];
}

TEST_F(Serving, a_client_with_jobs_is_named_once_when_it_comes_and_when_it_leaves) {
  introduce();
  submit();
  submit();
  say(Bye{});
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0], "client client is here");
  EXPECT_TRUE(lines[1].starts_with("client client has left")) << lines[1];
}

TEST_F(Serving, a_task_without_a_byte_needs_no_room) {
  introduce();
  submit();
  const auto offer_and_hold = [this](Range range, std::size_t megabytes) {
    offer(range, megabytes << 20);
    dispatcher.on_held(job, dispatcher.queued_bytes(job));
  };
  offer_and_hold({0, 1}, 15);
  offer_and_hold({1, 1}, 16);
  store({0, 2});
  dispatcher.on_held(job, 31U << 20);  // They are still held.
  offer({2, 1}, 1U << 20);             // There is no room, and nothing else: one may.
  offer({3, 1}, 0);
  EXPECT_EQ(told<Refused>().size(), 0U);
  offer({4, 1}, 1);
  EXPECT_EQ(told<Refused>().size(), 1U);
}

// --- Jobs that run once -------------------------------------------------------------------------------------------

class ServingOnce : public Serving {
protected:
  ServingOnce() : Serving({.client_window_tasks = 1000}) {
    once = true;
    repeatable = false;
  }
};

// What it is offered would be lost with this dispatcher, which keeps no journal.
TEST_F(ServingOnce, little_is_taken_ahead_of_the_slots) {
  introduce();
  submit();
  EXPECT_EQ(told<Accepted>().at(0).credit.tasks, 16U);
  offer({0, 16});
  store({0, 8});
  EXPECT_EQ(told<Accepted>().at(0).credit.tasks, 24U);
  workers_slots = 100;
  introduce_worker();
  store({8, 4});
  EXPECT_EQ(told<Accepted>().at(0).credit.tasks, 212U);
}

}  // namespace
}  // namespace ventile::testing
