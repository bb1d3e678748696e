#include "tests/simulation/worker.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <ventile/wire/pack.hpp>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration tick_longest = 100ms;
constexpr Duration farewell = 500ms;

}  // namespace

void write_value(const Scenario& scenario, Number number, Buffer& out) {
  Packer{out}.pack_unsigned(scenario.value(number));
}

void write_fold(const Scenario& scenario, Range range, Buffer& out) {
  std::uint64_t sum = 0;
  for (Number number = range.first; number < range.end(); ++number) sum += scenario.value(number);
  Packer packer{out};
  packer.pack_array(2);
  packer.pack_unsigned(range.count);
  packer.pack_unsigned(sum);
}

void write_failure(Buffer& out) {
  Packer packer{out};
  packer.pack_map(2);
  packer.pack_string("kind");
  packer.pack_string("boom");
  packer.pack_string("message");
  packer.pack_string("it failed");
}

SessionOptions Worker::session_options(const Scenario& scenario, const std::string& name, std::uint64_t identity) {
  SessionOptions options;
  options.node = {0xa0de, identity};
  options.incarnation = {identity};
  options.name = name;
  options.slots = scenario.slots;
  options.functions = {{"work", scenario.repeatable}};
  options.credit_tasks = scenario.worker_credit_tasks;
  options.credit_bytes = scenario.worker_credit_bytes;
  return options;
}

Worker::Worker(Network& network, const Scenario& scenario, Fates& fates, std::string name, std::uint64_t identity,
               std::function<void()> die)
    : Process(network.world(), std::move(name)),
      network_(network),
      scenario_(scenario),
      incarnation_{identity},
      session_(session_options(scenario, this->name(), identity)),
      runner_(
          *this, scenario, fates, [this](std::vector<RunnerEvent> events) { on_runner(std::move(events)); },
          std::move(die)),
      wire_(scenario.frame_bytes_max),
      dispatcher_(network, *this, "dispatcher") {}

void Worker::start() {
  trace("starts");
  session_.start(now());
  dispatcher_.start([this](Bytes frame) { on_frame(frame); }, [] {}, [this] { flush_to_dispatcher(); });
  tick();
  run([] {});
}

void Worker::drain() {
  trace("is told to drain");
  session_.drain(now());
}

void Worker::stick(Duration duration) {
  trace("its slots stand still");
  stuck_since_ = now();
  stuck_until_ = now() + duration;
  runner_.stick(stuck_until_);
}

void Worker::check() {
  require(session_.held_tasks() <= scenario_.worker_credit_tasks, "a worker holds more tasks than it gave credit for");
}

void Worker::turn() {
  carry_out();
  send_results();
}

void Worker::tick() {
  session_.on_tick(now(), runner_.running());
  carry_out();
  after(std::clamp(session_.next_tick() - now(), Duration{1ms}, tick_longest), [this] { tick(); });
}

void Worker::on_frame(Bytes frame) {
  wire_.unpack(frame, [this](const Received& received) {
    trace([&] { return "<- " + describe(received.message); });
    session_.on_message(received, now());
    if (const auto* tasks = std::get_if<Tasks>(&received.message)) {
      for (std::uint32_t i = 0; i < tasks->payloads.count(); ++i)
        require(tasks->payloads[i].size() == scenario_.bytes(tasks->range.first + i),
                "a task came with the payload of another");
    }
    carry_out();
  });
}

// --- What the slots say ------------------------------------------------------------------------------------------

void Worker::on_runner(std::vector<RunnerEvent> events) {
  for (const RunnerEvent& event : events) std::visit([this](const auto& e) { on_event(e); }, event);
}

void Worker::on_event(const Finished& finished) {
  const Results& results = finished.results;
  PayloadWriter payloads{frame_header_size};
  if (results.folded) {
    write_fold(scenario_, results.range, payloads.buffer());
    payloads.end_payload();
  }
  auto failure = results.failures.begin();
  for (std::uint32_t offset = 0; !results.folded && offset < results.range.count; ++offset) {
    const bool failed = failure != results.failures.end() && failure->offset == offset;
    if (failed) ++failure;
    failed ? write_failure(payloads.buffer()) : write_value(scenario_, results.range.first + offset, payloads.buffer());
    payloads.end_payload();
  }
  Buffer frame = encode({finished.job, incarnation_, {}, ++sequence_}, results, std::move(payloads));
  const ResultId id =
      session_.on_finished(finished.job, results.lease, results.range, frame.size(), results.failures.size(), now());
  if (id) kept_.emplace(id, std::move(frame));
}
void Worker::on_event(const Retry& retry) {
  session_.on_failed_try(retry.job, retry.lease, retry.number, "boom", "it failed", now());
}
void Worker::on_event(const Returned& returned) {
  session_.on_cancelled(returned.job, returned.lease, returned.range, now());
}
void Worker::on_event(const SlotAbandoned& abandoned) {
  session_.on_slots_left(abandoned.slots_left, "a slot hangs", now());
}

// --- What Session wants ------------------------------------------------------------------------------------------

void Worker::carry_out() {
  for (Session::Actions actions = session_.take_actions(); !actions.empty(); actions = session_.take_actions())
    for (const auto& action : actions) std::visit([this](const auto& a) { act(a); }, action);
  flush_to_dispatcher();
}

void Worker::act(const Session::Say& say) {
  trace([&] { return "-> " + describe(say.message); });
  if (std::holds_alternative<Hello>(say.message)) to_dispatcher_.clear();
  for (Buffer& frame : wire_.pack({say.job, incarnation_, say.session, ++sequence_}, say.message))
    to_dispatcher_.push_back(std::move(frame));
}
void Worker::act(const Session::PrepareJob& prepare) { folded_[prepare.job] = !prepare.open.fold.empty(); }
void Worker::act(const Session::Start& start) {
  runner_.start(start.job, start.lease, start.range, start.tries, folded_.at(start.job));
}
void Worker::act(const Session::TakeBack& take) {
  session_.on_retracted(take.job, take.lease, runner_.retract(take.lease, take.count), now());
}
void Worker::act(const Session::TakeBackAll&) {
  for (const Retracted& back : runner_.retract_all()) session_.on_retracted(back.job, back.lease, {back.range}, now());
}
void Worker::act(const Session::CancelLease& cancel) { runner_.cancel(cancel.lease, cancel.range); }
void Worker::act(const Session::CancelJob& cancel) { runner_.cancel(cancel.job); }
void Worker::act(const Session::ForgetJob& forget) { folded_.erase(forget.job); }
void Worker::act(const Session::ConnectSink& connect) {
  unwanted_sinks_.erase(connect.sink);
  SinkLink& link = sinks_[connect.sink];
  if (link.connector != nullptr) return;
  link.connector = std::make_unique<Connector>(network_, *this, connect.address);
  link.connector->when_room([] {});  // The turn that follows sends.
  link.connector->start(
      {},
      [this, &link, sink = connect.sink] {
        link.queue.clear();
        session_.outbox().on_disconnected(sink);
      },
      [] {});
}
void Worker::act(const Session::DisconnectSink& disconnect) { unwanted_sinks_.insert(disconnect.sink); }
void Worker::act(const Session::DropResult& drop) { kept_.erase(drop.result); }
void Worker::act(const Session::Leave& leave) {
  trace("leaves: " + leave.why);
  if (leave.ending != Session::Ending::done && leave.ending != Session::Ending::hung)
    throw Violation{"a worker left: " + leave.why};
  after(farewell, [this] { exit(); });
}
void Worker::act(const Notice& notice) { trace(notice.text); }

// --- Sending -----------------------------------------------------------------------------------------------------

void Worker::flush_to_dispatcher() {
  for (; dispatcher_.connected() && !to_dispatcher_.empty(); to_dispatcher_.pop_front())
    dispatcher_.send(std::move(to_dispatcher_.front()));
}

void Worker::send_results() {
  for (const IncarnationId sink : std::exchange(unwanted_sinks_, {})) sinks_.erase(sink);
  for (auto& [id, link] : sinks_)
    if (!flush(link)) return;
  while (const auto next = session_.outbox().next(now())) {
    const auto link = sinks_.find(next->sink);
    if (link == sinks_.end() || !link->second.connector->connected()) return session_.outbox().put_back(next->result);
    for (Buffer& frame : wire_.cut(kept_.at(next->result), {next->job, incarnation_, {}, ++sequence_}))
      link->second.queue.push_back(std::move(frame));
    if (!flush(link->second)) return;
  }
}

bool Worker::flush(SinkLink& link) {
  while (!link.queue.empty()) {
    if (!link.connector->connected() || link.connector->unread() >= scenario_.push_high_water) return false;
    link.connector->send(std::move(link.queue.front()));
    link.queue.pop_front();
  }
  return true;
}

}  // namespace ventile::simulation
