// A Dispatcher among puppets: workers and a sink that say what a test tells them to, on a clock that it moves by hand.
// Every message goes through the real codec. After every step the dispatcher's own check must be empty, and at the end
// of a test nothing may be left that it sent and nobody expected.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/queue/dispatcher.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile::testing {

class DispatcherTest;

// A peer. What it is told to say arrives at once; what it is sent waits until the test asks for it.
class Puppet {
public:
  Puppet(DispatcherTest& test, PeerId id, Role role);

  void say(const Message& message, JobId job = {});
  // The next message that came in must be an M. Heartbeats are not counted, and PACE is in `pace`.
  template <class M>
  M next();
  template <class M>
  bool next_is() const {
    return !inbox_.empty() && std::holds_alternative<M>(inbox_.front());
  }
  bool has_mail() const { return !inbox_.empty(); }
  std::string mail() const;  // The names of what waits.
  void read_all() { inbox_.clear(); }
  // From now on it says nothing by itself any more, and nobody minds what it is sent.
  void fall_silent() { silent_ = true; }

  PeerId id;
  Role role;
  NodeId node;
  IncarnationId incarnation;
  SessionId session;
  std::uint64_t greetings = 0;
  std::optional<Pace> pace;  // That it was last told within a session.

private:
  friend class DispatcherTest;

  DispatcherTest* test_;
  std::deque<Message> inbox_;
  bool silent_ = false;
};

class Worker : public Puppet {
public:
  using Puppet::Puppet;

  // HELLO, WELCOME. With the same incarnation and another PeerId: it has connected anew.
  Worker& hello(std::vector<HeldRange> held = {});
  // The next message must be TASKS, after OPEN and ROUTE if it had none for the job.
  Tasks tasks();
  std::vector<Tasks> all_tasks();  // All that came in, in order; nothing else may have.
  void give_back(LeaseId lease, std::vector<Range> ranges, ReturnReason reason = ReturnReason::not_begun,
                 const std::string& message = {});
  void progress();  // Also said by itself, every half second.

  std::uint32_t slots = 1;
  Credit credit{1'000'000, 1'000'000'000};
  std::vector<FunctionOffer> functions{{"square", true}};
  std::vector<RunningLease> running;
};

class Sink : public Puppet {
public:
  using Puppet::Puppet;

  Sink& hello(std::vector<HeldRange> held = {});
  // OPEN, OPENED.
  Sink& opens(std::vector<Range> have = {}, std::string fold = {});
  void stores(const Settlement& settlement) { says_stored({settlement}); }
  void says_stored(std::vector<Settlement> settlements);

  SinkCredit credit{1'000'000, 1'000'000'000, UINT64_MAX};
  bool ordered = false;
  MachineId machine;
};

class DispatcherTest : public ::testing::Test {
public:
  static constexpr JobId job{1, 1};

protected:
  DispatcherTest() { start({}); }
  void start(const DispatcherOptions& options);
  void TearDown() override;

  // --- What an owner does ---
  void open_job(JobOptions options = {.name = "squares", .function = "square"}, JobId id = job);
  Range offer(std::uint64_t count, std::uint64_t bytes_each = 0, JobId id = job);
  void end_job(JobId id = job);
  void cancel_job(bool running);
  // A job with a sink that has opened it, and so many tasks; more may follow.
  void job_of(std::uint64_t count, std::uint64_t bytes_each = 0);
  void pass(Duration duration);  // Everybody who is not silent stays in touch.
  void unreachable(const Puppet& peer);
  void malformed(const Puppet& peer, std::optional<std::uint16_t> version = protocol_version);
  void unauthorized(const Puppet& peer, const std::string& why);
  void revoked(const Puppet& peer);

  // --- Puppets ---
  Worker& new_worker(std::uint32_t slots = 1);  // Has not said hello.
  Worker& worker(std::uint32_t slots = 1) { return new_worker(slots).hello(); }
  Worker& returning(const Worker& before);  // The same process over a new connection; has not said hello.
  Sink& new_sink();
  Sink& sink() { return *sinks_.back(); }
  Sink& returning(const Sink& before);

  // --- What happens to a batch ---
  Settlement settlement(const Puppet& worker, const Tasks& tasks, Duration each = {}) const;
  // The sink stores it, and its worker is told.
  void complete(Worker& worker, const Tasks& tasks, Duration each = {});
  // The job's tasks are known to take so long, from `count` tasks that this worker runs.
  void teach(Worker& worker, Duration each, std::uint64_t count);
  // Everything that a sink says about proposals: they are taken.
  void take_proposals();
  static RunningLease runs(const Tasks& tasks, std::uint64_t finished = 0,
                           Duration running = std::chrono::nanoseconds{1});

  // --- What came of it ---
  Audit audit(JobId id = job) const { return dispatcher->audit(id); }
  std::uint64_t count(Outcome outcome) const { return audit().outcomes[static_cast<std::size_t>(outcome)]; }
  template <class A>
  A next();  // The next Settled, JobClosed, JobFailed or Forget must be an A. Notices are read by `said`.
  bool said(const std::string& words) const;  // In some Notice.

  std::unique_ptr<Dispatcher> dispatcher;
  TimePoint now{std::chrono::hours{1}};

private:
  friend class Puppet;
  friend class Worker;
  friend class Sink;

  std::deque<std::unique_ptr<Worker>> workers_;
  std::deque<std::unique_ptr<Sink>> sinks_;
  std::map<PeerId, Puppet*> peers_;
  std::deque<Action> owner_;
  std::vector<std::string> notices_;
  std::uint64_t counter_ = 0;
  TimePoint next_words_{};

  void deliver(const Puppet& from, const Message& message, JobId id);
  void act();
  void put(PeerId to, SessionId session, JobId id, const Message& message);
  void stay_in_touch();
};

template <class M>
M Puppet::next() {
  if (inbox_.empty()) {
    ADD_FAILURE() << "expected " << name_of(M{}) << ", but nothing was sent";
    return {};
  }
  Message message = std::move(inbox_.front());
  inbox_.pop_front();
  if (auto* expected = std::get_if<M>(&message)) return std::move(*expected);
  ADD_FAILURE() << "expected " << name_of(M{}) << ", but " << name_of(message) << " was sent";
  return {};
}

template <class A>
A DispatcherTest::next() {
  if (!owner_.empty()) {
    Action action = std::move(owner_.front());
    owner_.pop_front();
    if (auto* expected = std::get_if<A>(&action)) return std::move(*expected);
  }
  ADD_FAILURE() << "another action was expected";
  return {};
}

}  // namespace ventile::testing
