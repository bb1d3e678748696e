#include "tests/patterns/queue/dispatcher_fixture.hpp"

#include <algorithm>

namespace ventile::testing {
namespace {

constexpr IncarnationId dispatcher_incarnation{0xd15};
constexpr Duration words_interval = std::chrono::milliseconds{500};

}  // namespace

// --- Puppets -----------------------------------------------------------------------------------------------------

Puppet::Puppet(DispatcherTest& test, PeerId peer, Role its_role)
    : id(peer), role(its_role), node{0xa0de, peer.value}, incarnation{0x100 + peer.value}, test_(&test) {}

void Puppet::say(const Message& message, JobId job) { test_->deliver(*this, message, job); }

std::string Puppet::mail() const {
  std::string names;
  for (const Message& message : inbox_) names += std::string{name_of(message)} + ' ';
  return names;
}

Worker& Worker::hello(std::vector<HeldRange> held) {
  session = {};
  say(Hello{Role::worker,
            node,
            "worker-" + std::to_string(id.value),
            "test",
            slots,
            functions,
            {},
            credit,
            std::move(held),
            ++greetings});
  EXPECT_EQ(next<Welcome>().greeting, greetings);
  return *this;
}

Tasks Worker::tasks() {
  if (next_is<Open>()) {
    next<Open>();
    next<Route>();
  }
  return next<Tasks>();
}

std::vector<Tasks> Worker::all_tasks() {
  std::vector<Tasks> all;
  while (has_mail()) all.push_back(tasks());
  return all;
}

void Worker::give_back(LeaseId lease, std::vector<Range> ranges, ReturnReason reason, const std::string& message) {
  say(Return{lease, std::move(ranges), reason, "kind", message}, DispatcherTest::job);
}

void Worker::progress() {
  std::uint64_t finished = 0;
  for (const RunningLease& one : running) finished += one.finished;
  say(Progress{credit, slots, finished, running});
}

Sink& Sink::hello(std::vector<HeldRange> held) {
  session = {};
  say(Hello{Role::sink,
            node,
            "sink-" + std::to_string(id.value),
            "test",
            0,
            {},
            "tcp://sink:5571",
            {},
            std::move(held),
            ++greetings,
            machine});
  EXPECT_EQ(next<Welcome>().greeting, greetings);
  return *this;
}

Sink& Sink::opens(std::vector<Range> have, std::string fold) {
  next<Open>();
  say(Opened{{}, std::move(fold), ordered, std::move(have), {}, credit}, DispatcherTest::job);
  return *this;
}

void Sink::says_stored(std::vector<Settlement> settlements) {
  say(Stored{std::move(settlements), credit}, DispatcherTest::job);
}

// --- The dispatcher and its owner --------------------------------------------------------------------------------

void DispatcherTest::start(const DispatcherOptions& options) {
  dispatcher = std::make_unique<Dispatcher>(dispatcher_incarnation, options);
}

void DispatcherTest::TearDown() {
  for (const auto& [id, peer] : peers_) {
    if (!peer->silent_) {
      EXPECT_EQ(peer->mail(), "") << "was sent to peer " << id.value << " and not expected";
    }
  }
}

void DispatcherTest::open_job(JobOptions options, JobId id) {
  dispatcher->open_job(id, std::move(options), now);
  act();
}

Range DispatcherTest::offer(std::uint64_t count, std::uint64_t bytes_each, JobId id) {
  const Range range = dispatcher->offer(id, count, count * bytes_each, now);
  act();
  return range;
}

void DispatcherTest::end_job(JobId id) {
  dispatcher->end_job(id, now);
  act();
}

void DispatcherTest::cancel_job(bool running) {
  dispatcher->cancel_job(job, running, now);
  act();
}

void DispatcherTest::job_of(std::uint64_t count, std::uint64_t bytes_each) {
  open_job();
  new_sink().hello().opens();
  offer(count, bytes_each);
}

void DispatcherTest::unreachable(const Puppet& peer) {
  dispatcher->on_unreachable(peer.id, now);
  act();
}

void DispatcherTest::unauthorized(const Puppet& peer, const std::string& why) {
  dispatcher->on_unauthorized(peer.id, RefusedFor::unauthorized, why, now);
  act();
}

void DispatcherTest::revoked(const Puppet& peer) {
  dispatcher->on_revoked(peer.id, now);
  act();
}

void DispatcherTest::malformed(const Puppet& peer, std::optional<std::uint16_t> version) {
  dispatcher->on_malformed(peer.id, {Code::invalid, "the checksum is wrong"}, version, now);
  act();
}

void DispatcherTest::pass(Duration duration) {
  const TimePoint end = now + duration;
  while (true) {
    const TimePoint tick = std::max(dispatcher->next_tick(), now);
    const TimePoint next = std::min({tick, next_words_, end});
    now = std::max(now, next);
    if (now >= next_words_) stay_in_touch();
    if (now >= tick) dispatcher->on_tick(now);
    act();
    if (now >= end && dispatcher->next_tick() > now) return;
  }
}

void DispatcherTest::stay_in_touch() {
  next_words_ = now + words_interval;
  for (const auto& worker : workers_)
    if (!worker->silent_ && worker->session) worker->progress();
  for (const auto& sink : sinks_)
    if (!sink->silent_ && sink->session) sink->say(Heartbeat{});
}

void DispatcherTest::deliver(const Puppet& from, const Message& message, JobId id) {
  const Buffer frame = encode({id, from.incarnation, from.session, 0}, message);
  const Result<Received> received = decode(frame);
  ASSERT_TRUE(received) << received.error().message;
  dispatcher->on_message(from.id, *received, now);
  act();
}

void DispatcherTest::act() {
  for (Action& action : dispatcher->take_actions()) {
    if (const auto* send = std::get_if<Send>(&action))
      put(send->to, send->session, send->job, send->message);
    else if (const auto* tasks = std::get_if<SendTasks>(&action))
      put(tasks->to, tasks->session, tasks->job, tasks->tasks);
    else if (const auto* notice = std::get_if<Notice>(&action))
      notices_.push_back(notice->text);
    else
      owner_.push_back(std::move(action));
  }
  ASSERT_EQ(dispatcher->check(), "");
}

void DispatcherTest::put(PeerId to, SessionId session, JobId id, const Message& message) {
  const Buffer frame = encode({id, dispatcher_incarnation, session, 0}, message);
  const Result<Received> received = decode(frame);
  ASSERT_TRUE(received) << received.error().message;
  Puppet& peer = *peers_.at(to);
  if (std::holds_alternative<Welcome>(received->message)) peer.session = session;
  if (session) {
    EXPECT_EQ(session, peer.session) << name_of(message);
  }
  if (const auto* pace = std::get_if<Pace>(&message))
    peer.pace = *pace;
  else if (!std::holds_alternative<Heartbeat>(message) && !peer.silent_)
    peer.inbox_.push_back(received->message);
}

// --- Puppets for everybody ---------------------------------------------------------------------------------------

Worker& DispatcherTest::new_worker(std::uint32_t slots) {
  Worker& worker = *workers_.emplace_back(std::make_unique<Worker>(*this, PeerId{++counter_}, Role::worker));
  worker.slots = slots;
  peers_.emplace(worker.id, &worker);
  return worker;
}

Worker& DispatcherTest::returning(const Worker& before) {
  Worker& worker = new_worker(before.slots);
  worker.node = before.node;
  worker.incarnation = before.incarnation;
  worker.functions = before.functions;
  return worker;
}

Sink& DispatcherTest::new_sink() {
  Sink& sink = *sinks_.emplace_back(std::make_unique<Sink>(*this, PeerId{++counter_}, Role::sink));
  peers_.emplace(sink.id, &sink);
  return sink;
}

Sink& DispatcherTest::returning(const Sink& before) {
  Sink& sink = new_sink();
  sink.node = before.node;
  sink.incarnation = before.incarnation;
  return sink;
}

// --- Batches -----------------------------------------------------------------------------------------------------

Settlement DispatcherTest::settlement(const Puppet& worker, const Tasks& tasks, Duration each) const {
  const auto busy = static_cast<std::uint64_t>(each.count()) * tasks.range.count;
  return {worker.incarnation, tasks.lease, tasks.range, Verdict::stored, busy, 0, {}};
}

void DispatcherTest::complete(Worker& worker, const Tasks& tasks, Duration each) {
  sink().stores(settlement(worker, tasks, each));
  if (worker.silent_) return;
  // What it is given next may come first.
  const auto is_verdict = [](const Message& message) { return std::holds_alternative<Verdicts>(message); };
  auto it = std::find_if(worker.inbox_.begin(), worker.inbox_.end(), is_verdict);
  ASSERT_NE(it, worker.inbox_.end()) << "no verdict was sent";
  const std::vector<VerdictNote> expected{{tasks.lease, tasks.range, Verdict::stored}};
  EXPECT_EQ(std::get<Verdicts>(*it).verdicts, expected);
  worker.inbox_.erase(it);
}

void DispatcherTest::teach(Worker& worker, Duration each, std::uint64_t count) {
  std::deque<Tasks> waiting;
  while (audit().settled() < count && !HasFailure()) {
    for (const Tasks& tasks : worker.all_tasks()) waiting.push_back(tasks);
    ASSERT_FALSE(waiting.empty());
    complete(worker, waiting.front(), each);
    waiting.pop_front();
  }
}

void DispatcherTest::take_proposals() {
  while (sink().next_is<Propose>()) {
    const auto propose = sink().next<Propose>();
    for (const Range range : propose.ranges)
      sink().stores({{}, {}, range, Verdict::stored, 0, 0, {{range, propose.outcome, propose.kind, propose.message}}});
  }
}

RunningLease DispatcherTest::runs(const Tasks& tasks, std::uint64_t finished, Duration running) {
  return {job, tasks.lease, finished, static_cast<std::uint64_t>(running.count())};
}

bool DispatcherTest::said(const std::string& words) const {
  return std::any_of(notices_.begin(), notices_.end(),
                     [&](const std::string& text) { return text.find(words) != std::string::npos; });
}

}  // namespace ventile::testing
