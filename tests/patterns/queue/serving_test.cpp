// The dispatcher's side of a conversation with a client, without a client.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <ventile/queue/dispatcher.hpp>

namespace ventile {
namespace {

using std::chrono::seconds;

constexpr JobId job{1, 2};
constexpr PeerId client{5};

class Serving : public ::testing::Test {
protected:
  TimePoint now{seconds{100}};
  SessionId session;
  std::uint64_t greetings = 0;
  DispatcherOptions options{.client_window_tasks = 8};
  Dispatcher dispatcher{{1}, options};
  std::vector<Message> mail;
  std::vector<std::string> lines;  // For people.

  void say(Message message, JobId of = {}) {
    dispatcher.on_message(client, {{of, {9}, session, 1}, std::move(message)}, now);
    for (Action& action : dispatcher.take_actions()) {
      if (const auto* notice = std::get_if<Notice>(&action); notice != nullptr && notice->level >= Level::info)
        lines.push_back(notice->text);
      auto* send = std::get_if<Send>(&action);
      if (send == nullptr || send->to != client) continue;
      if (std::holds_alternative<Welcome>(send->message)) session = send->session;
      mail.push_back(std::move(send->message));
    }
  }
  // In a new session, as after a cut.
  void introduce() {
    session = {};
    say(Hello{.role = Role::client, .node = {3, 3}, .name = "client", .greeting = ++greetings});
  }
  template <class M>
  std::vector<M> told() {
    std::vector<M> all;
    for (Message& message : std::exchange(mail, {}))
      if (auto* found = std::get_if<M>(&message)) all.push_back(std::move(*found));
    return all;
  }
  void submit(std::vector<Range> have = {}) {
    Submit submit;
    submit.function = "work";
    submit.have = std::move(have);
    submit.credit = {1000, 1'000'000, UINT64_MAX};
    say(std::move(submit), job);
  }
  void offer_bare(Range range) { say(Offer{range, {}}, job); }
};

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

}  // namespace
}  // namespace ventile
