#include "tests/simulation/pipeline.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ventile/pipeline/resend.hpp>
#include <ventile/queue/ledger.hpp>
#include <ventile/wire/codec.hpp>

#include "tests/simulation/network.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr JobId job{1, 1};
constexpr IncarnationId source_incarnation{7};
constexpr std::size_t high_water = 2;
constexpr std::uint32_t window = 12;
constexpr std::uint64_t batch_max = 40;

Received decoded(Bytes frame) {
  Result<Received> received = decode(frame);
  require(static_cast<bool>(received), "a frame of ours cannot be decoded");
  return std::move(*received);
}

// What all of them share, beyond what travels.
struct Shared {
  Network& network;
  PipelineOutcome& outcome;
  std::optional<Number> poison;
};

// --- The drain ----------------------------------------------------------------------------------------------------

class Drain : public Process {
public:
  using OnVerdict = std::function<void(LeaseId, Range)>;

  Drain(World& world, Shared& shared) : Process(world, "drain"), shared_(shared) {}

  void start(OnVerdict on_verdict) {
    on_verdict_ = std::move(on_verdict);
    shared_.network.listen("drain", shared_from_this(), [this](const std::shared_ptr<Connection>& connection) {
      connection->attach(
          Side::server,
          [this, weak = std::weak_ptr(connection)](Bytes frame) {
            on_results(frame);
            if (const auto from = weak.lock()) from->read(Side::server);
          },
          [this, weak = std::weak_ptr(connection)] { std::erase(connections_, weak.lock()); });
      connections_.push_back(connection);
    });
  }
  // A proposal of the source, by way of the dispatcher: whoever comes first wins.
  void propose_dead(const std::vector<Range>& ranges) {
    for (const Range range : ranges)
      for (const Range fresh : ledger_.missing(range)) ledger_.record(fresh, {{fresh, Outcome::dead}});
  }
  const Ledger& ledger() const { return ledger_; }

private:
  Shared& shared_;
  OnVerdict on_verdict_;
  Ledger ledger_;
  std::vector<std::shared_ptr<Connection>> connections_;

  void on_results(Bytes frame) {
    const Received received = decoded(frame);
    const auto& results = std::get<Results>(received.message);
    require(received.envelope.incarnation == source_incarnation, "a result is not in its source's name");
    std::uint64_t fresh = 0;
    for (const Range range : ledger_.missing(results.range)) {
      ledger_.record(range, {});
      fresh += range.count;
    }
    shared_.outcome.duplicates += results.range.count - fresh;
    on_verdict_(results.lease, results.range);
  }
};

// --- A stage ------------------------------------------------------------------------------------------------------

class Stage : public Process {
public:
  Stage(World& world, Shared& shared, std::string name)
      : Process(world, std::move(name)),
        shared_(shared),
        stream_(shared.network, *this, "stream"),
        drain_(shared.network, *this, "drain") {}

  void start(std::function<void()> die) {
    die_ = std::move(die);
    drain_.when_room([] {});  // The turn that follows sends.
    drain_.start([](Bytes) {}, [] {}, [] {});
    stream_.start([this](Bytes frame) { on_flow(frame); }, [] {}, [] {});
  }

protected:
  void turn() override {
    while (!results_.empty() && drain_.connected() && drain_.unread() < high_water) {
      drain_.send(std::move(results_.front()));
      results_.pop_front();
    }
  }

private:
  Shared& shared_;
  Connector stream_;
  Connector drain_;
  std::function<void()> die_;
  std::deque<Flow> waiting_;
  std::deque<Buffer> results_;
  bool busy_ = false;

  void on_flow(Bytes frame) {
    waiting_.push_back(std::get<Flow>(decoded(frame).message));
    run_next();
  }

  void run_next() {
    if (busy_ || waiting_.empty()) return;
    busy_ = true;
    const Flow flow = std::move(waiting_.front());
    waiting_.pop_front();
    stream_.read();
    const Duration slow = world().random().chance(0.02) ? 400ms : 5ms;
    after(world().draw(100us, slow), [this, flow] {
      if (shared_.poison && flow.range.contains(*shared_.poison)) return die_();
      const bool parted = flow.range.count > 1 && world().random().chance(0.3);  // Two slots shared it.
      const std::uint64_t half = parted ? flow.range.count / 2 : flow.range.count;
      finish(flow, {flow.range.first, half});
      if (parted) finish(flow, {flow.range.first + half, flow.range.count - half});
      busy_ = false;
      run_next();
    });
  }

  void finish(const Flow& flow, Range range) {
    PayloadWriter payloads{frame_header_size};
    for (std::uint64_t i = 0; i < range.count; ++i) payloads.append(as_bytes("result"));
    const Results results{flow.lease, range, false, 1, 1000, {}, {}};
    results_.push_back(encode({job, source_incarnation, {}, 0}, results, std::move(payloads)));
  }
};

// --- The source ---------------------------------------------------------------------------------------------------

class Source : public Process {
public:
  Source(World& world, Shared& shared, Drain& drain)
      : Process(world, "source"),
        shared_(shared),
        drain_(drain),
        resend_({.window_batches = window, .window_tasks = 200, .window_bytes = 1 << 20}) {}

  void start() {
    shared_.network.listen("stream", shared_from_this(), [this](const std::shared_ptr<Connection>& connection) {
      connection->attach(
          Side::server, [](Bytes) {}, [this, weak = std::weak_ptr(connection)] { std::erase(stages_, weak.lock()); });
      connection->when_room(Side::server, [] {});  // The turn that follows sends.
      stages_.push_back(connection);
    });
    resend_.on_new_session();
    tick();
  }
  // By way of the dispatcher, which is never long silent.
  void on_verdict(LeaseId lease, Range range) {
    after(world().draw(100us, 5ms), [this, lease, range] { resend_.on_done(lease, range, now()); });
  }
  bool finished() const { return next_ == shared_.outcome.tasks && resend_.empty(); }
  std::uint64_t resent() const { return resend_.resent_tasks(); }

protected:
  void turn() override {
    feed();
    for (auto actions = resend_.take_actions(); !actions.empty(); actions = resend_.take_actions())
      for (auto& action : actions) std::visit([this](auto& a) { act(a); }, action);
    push();
  }

private:
  Shared& shared_;
  Drain& drain_;
  Resend resend_;
  std::vector<std::shared_ptr<Connection>> stages_;
  std::size_t turn_of_ = 0;
  std::deque<Resend::Send> queue_;
  Number next_ = 0;
  std::uint64_t leases_ = 0;
  std::uint64_t offered_ = 0;

  void tick() {
    resend_.on_tick(now());
    after(20ms, [this] { tick(); });
  }

  void feed() {
    while (next_ < shared_.outcome.tasks && resend_.leases().size() < window) {
      const std::uint64_t room = resend_.credit().tasks - offered_;
      const std::uint64_t left = shared_.outcome.tasks - next_;
      const std::uint64_t count = std::min({world().random().between(1, batch_max), room, left});
      if (count == 0) return;
      resend_.on_batch({source_incarnation, ++leases_}, {next_, count}, 10 * count);
      next_ += count;
      offered_ += count;
    }
    require(resend_.tasks() <= 200, "more is under way than the window allows");
  }

  void act(Resend::Send& send) { queue_.push_back(std::move(send)); }
  void act(Resend::GiveUp& give_up) { drain_.propose_dead(give_up.ranges); }

  // Round and round the stages that have room, as a PUSH socket does.
  Connection* next_with_room() {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
      turn_of_ = (turn_of_ + 1) % stages_.size();
      if (stages_[turn_of_]->unread(Side::server) < high_water) return stages_[turn_of_].get();
    }
    return nullptr;
  }

  void push() {
    for (; !queue_.empty(); queue_.pop_front()) {
      const Resend::Send& send = queue_.front();
      for (const Range range : send.ranges) {
        Connection* const stage = next_with_room();
        if (stage == nullptr) return;
        Flow flow;
        flow.lease = send.lease;
        flow.range = range;
        PayloadWriter payloads{frame_header_size};
        for (std::uint64_t i = 0; i < range.count; ++i) payloads.append(as_bytes("task"));
        stage->send(Side::server, encode({job, source_incarnation, {}, 0}, flow, std::move(payloads)));
      }
      resend_.on_sent(send.id, now());
    }
  }
};

}  // namespace

PipelineOutcome simulate_pipeline(std::uint64_t seed, bool poison, std::ostream* trace) {
  World world{seed, trace};
  Network network{world, {}};
  PipelineOutcome outcome;
  outcome.tasks = world.random().between(1, 3000);
  Shared shared{network, outcome, {}};
  if (poison) shared.poison = world.random().below(outcome.tasks);
  const auto drain = std::make_shared<Drain>(world, shared);
  const auto source = std::make_shared<Source>(world, shared, *drain);
  drain->start([&source](LeaseId lease, Range range) { source->on_verdict(lease, range); });
  source->start();

  std::vector<std::shared_ptr<Stage>> stages(world.random().between(1, 4));
  std::function<void(std::size_t)> kill;
  const std::function<void(std::size_t)> start = [&](std::size_t at) {
    stages[at] = std::make_shared<Stage>(world, shared, "stage" + std::to_string(at));
    stages[at]->start([&kill, at] { kill(at); });
  };
  kill = [&](std::size_t at) {
    if (stages[at] == nullptr || stages[at]->exited()) return;
    ++outcome.kills;
    stages[at]->exit();
    network.drop(*stages[at]);
    world.after(world.draw(1ms, 500ms), [&, at] { start(at); });
  };
  for (std::size_t at = 0; at < stages.size(); ++at) start(at);
  // Faults while work is done, and for a while; then the pipeline must come to its end.
  const std::uint64_t faults = world.random().below(12);
  for (std::uint64_t i = 0; i < faults; ++i) {
    const std::size_t at = world.random().below(stages.size());
    const bool cut = world.random().chance(0.3);
    world.after(world.draw(1ms, 3s), [&, at, cut] {
      if (!cut) return kill(at);
      if (stages[at] != nullptr) network.partition("source", stages[at]->name(), world.draw(1ms, 2s));
    });
  }
  world.after(4s, [&] { network.calm(); });
  while (!source->finished()) {
    require(world.step() && world.seconds() < 3600, "the pipeline has come to a standstill");
    require(drain->ledger().count() <= outcome.tasks, "there are more outcomes than tasks");
  }
  require(drain->ledger().has({0, outcome.tasks}), "a number has no outcome");
  outcome.done = drain->ledger().count(Outcome::done);
  outcome.dead = drain->ledger().count(Outcome::dead);
  outcome.resent = source->resent();
  return outcome;
}

}  // namespace ventile::simulation
