// The dispatcher's side of a conversation with a client, without a client: whatever it is sent is mail, and whatever
// the dispatcher wants of its owner is kept for the test.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include <ventile/queue/dispatcher.hpp>

namespace ventile::testing {

class Serving : public ::testing::Test {
protected:
  static constexpr JobId job{1, 2};
  static constexpr PeerId client{5};
  static constexpr PeerId worker{6};

  TimePoint now{std::chrono::seconds{100}};
  SessionId session;
  SessionId workers_session;
  std::uint64_t greetings = 0;
  bool once = false;       // The job.
  bool repeatable = true;  // The worker's function.
  std::uint32_t workers_slots = 1;
  std::uint64_t workers_credit = 1000;
  Dispatcher dispatcher;
  std::vector<Message> mail;          // The client's.
  std::vector<Message> workers_mail;  // The worker's.
  std::vector<Action> owner;          // Keep, Persist, JobForgotten, JobFailed, JobResumed, Settled.
  std::vector<std::string> lines;     // For people.

  explicit Serving(DispatcherOptions options = {.client_window_tasks = 8}) : dispatcher({1}, options) {}

  void say(Message message, JobId of = {}) {
    dispatcher.on_message(client, {{of, {9}, session, 1}, std::move(message)}, now);
    act();
  }
  void act() {
    for (Action& action : dispatcher.take_actions()) {
      auto* send = std::get_if<Send>(&action);
      if (send != nullptr) {
        if (std::holds_alternative<Welcome>(send->message))
          (send->to == client ? session : workers_session) = send->session;
        (send->to == client ? mail : workers_mail).push_back(std::move(send->message));
      } else if (const auto* tasks = std::get_if<SendTasks>(&action)) {
        workers_mail.push_back(tasks->tasks);
      } else if (const auto* notice = std::get_if<Notice>(&action)) {
        if (notice->level >= Level::info) lines.push_back(notice->text);
      } else {
        owner.push_back(std::move(action));
      }
    }
  }
  // In a new session, as after a cut.
  void introduce() {
    session = {};
    say(Hello{.role = Role::client, .node = {3, 3}, .name = "client", .greeting = ++greetings});
  }
  // One that has the function.
  void introduce_worker(std::vector<HeldRange> held = {}) {
    const Hello hello{.role = Role::worker,
                      .node = {4, 4},
                      .name = "worker",
                      .slots = workers_slots,
                      .functions = {{"work", repeatable}},
                      .credit = {workers_credit, 1'000'000},
                      .held = std::move(held),
                      .greeting = 1};
    dispatcher.on_message(worker, {{{}, {10}, {}, 1}, hello}, now);
    act();
  }
  // What was told, in order; the rest of the mail is gone.
  template <class M>
  std::vector<M> told() {
    return taken<M>(mail);
  }
  template <class M>
  std::vector<M> workers_told() {
    return taken<M>(workers_mail);
  }
  // The same of what the owner is asked for.
  template <class A>
  std::vector<A> asked() {
    return taken<A>(owner);
  }
  void submit(std::vector<Range> have = {}) {
    Submit submit;
    submit.name = "nightly";
    submit.function = "work";
    submit.once = once;
    submit.have = std::move(have);
    submit.credit = {1000, 1'000'000, UINT64_MAX};
    say(std::move(submit), job);
  }
  void offer_bare(Range range) { say(Offer{range, {}}, job); }
  // One payload each, of so many bytes.
  void offer(Range range, std::size_t bytes_each = 1) {
    PayloadWriter payloads{0};
    for (std::uint64_t i = 0; i < range.count; ++i) payloads.append(std::vector<std::byte>(bytes_each));
    say(Offer{range, payloads.view()}, job);
  }
  void store(Range range) {
    say(Stored{{{{}, {}, range, Verdict::stored, 0, 0, {}}}, {1000, 1'000'000, UINT64_MAX}}, job);
  }
  void persisted(std::uint64_t token) {
    dispatcher.on_persisted(token, now);
    act();
  }

private:
  template <class T, class Variant>
  static std::vector<T> taken(std::vector<Variant>& all) {
    std::vector<T> found;
    for (Variant& one : std::exchange(all, {}))
      if (auto* it = std::get_if<T>(&one)) found.push_back(std::move(*it));
    return found;
  }
};

}  // namespace ventile::testing
