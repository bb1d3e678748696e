// The two ends of simulate_scale: the head, which has the job, and the sink.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>

#include <ventile/queue/collector.hpp>
#include <ventile/queue/dispatcher.hpp>

#include "tests/simulation/scale_host.hpp"

namespace ventile::simulation::scale {

inline constexpr JobId job{7, 7};
inline constexpr char function_name[] = "work";
inline constexpr Duration relay_way_max =
    std::chrono::seconds{10};  // Each task of a batch takes its time in there; a worker's begin one by one.

using Heard = std::shared_ptr<const Received>;

// Whoever a dispatcher talks to.
class Listener : public Host {
public:
  using Host::Host;
  virtual void hear(const Received& received) = 0;
};

// A dispatcher and its peers.
class Hub {
public:
  // Carries a message to the peer.
  using Deliver = std::function<void(Listener& to, const Heard& message)>;

  Hub(std::uint64_t identity, const DispatcherOptions& options, Deliver deliver)
      : incarnation_{identity}, dispatcher_(incarnation_, options), deliver_(std::move(deliver)) {}

  Dispatcher& dispatcher() { return dispatcher_; }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  PeerId attach(Listener& peer) {
    const PeerId id{++peers_};
    listeners_.emplace(id, &peer);
    return id;
  }
  // Who hears what is for the dispatcher's own sink.
  void on_local(std::function<void(const Received&)> local) { local_ = std::move(local); }
  const std::optional<JobClosed>& closed() const { return closed_; }
  std::uint64_t settled() const { return settled_; }
  static constexpr PeerId local_sink{1'000'000'000};

  // Says what is to be said until nothing is. False if there was nothing.
  bool carry_out() {
    bool any = false;
    for (Actions actions = dispatcher_.take_actions(); !actions.empty(); actions = dispatcher_.take_actions()) {
      any = true;
      for (Action& action : actions) {
        if (auto* const say = std::get_if<Send>(&action)) deliver(say->to, say->job, say->session, say->message);
        if (auto* const tasks = std::get_if<SendTasks>(&action))
          deliver(tasks->to, tasks->job, tasks->session, tasks->tasks);
        if (const auto* const settled = std::get_if<Settled>(&action)) settled_ += settled->range.count;
        if (const auto* const closed = std::get_if<JobClosed>(&action)) closed_ = *closed;
        if (const auto* const failed = std::get_if<JobFailed>(&action)) throw Violation{failed->message};
      }
    }
    return any;
  }

private:
  IncarnationId incarnation_;
  Dispatcher dispatcher_;
  Deliver deliver_;
  std::function<void(const Received&)> local_;
  std::unordered_map<PeerId, Listener*> listeners_;
  std::uint64_t peers_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t settled_ = 0;
  std::optional<JobClosed> closed_;

  void deliver(PeerId to, JobId about, SessionId session, Message message) {
    const Received received{{about, incarnation_, session, ++sequence_}, std::move(message)};
    if (to == local_sink) return local_(received);
    deliver_(*listeners_.at(to), std::make_shared<const Received>(received));
  }
};

inline DispatcherOptions head_options(const ScaleOptions& options) {
  DispatcherOptions result;
  if (options.relays == 0) return result;
  result.granularity.batch_min = options.relay_batch;
  result.granularity.round_trip_max = relay_way_max;
  return result;
}

// The head of the fabric, which has the job.
class Head : public Host {
public:
  Head(World& world, const ScaleOptions& options)
      : Host(world, options), hub_(1, head_options(options), [this](Listener& to, const Heard& message) {
          send(to, [&to, message] { to.hear(*message); });
        }) {}

  Hub& hub() { return hub_; }
  void begin(std::uint64_t tasks) {
    receive([this, tasks] {
      hub_.dispatcher().open_job(job, {.name = "scale", .function = function_name, .index = {.enabled = true}}, now());
      hub_.dispatcher().offer(job, tasks, 0, now());
      hub_.dispatcher().end_job(job, now());
    });
  }
  void hear(PeerId from, const Received& received) { hub_.dispatcher().on_message(from, received, now()); }

protected:
  void turn() override { hub_.carry_out(); }
  TimePoint next_tick() const override { return hub_.dispatcher().next_tick(); }
  void tick() override { hub_.dispatcher().on_tick(now()); }

private:
  Hub hub_;
};

inline CollectorOptions collector_options(std::uint64_t identity) {
  CollectorOptions options;
  options.node = {2, identity};
  options.incarnation = {identity};
  options.name = "sink";
  options.results_address = "results";
  return options;
}

// Does what the collector wants, until that is nothing; false if it was nothing from the start. It has a disk that
// takes no time, and `say` and `write` see to the rest.
template <class Say, class Write>
bool carry_out_all(Collector& collector, TimePoint now, Say say, Write write) {
  bool any = false;
  for (Collector::Actions actions = collector.take_actions(); !actions.empty(); actions = collector.take_actions())
    for (Collector::Action& action : actions) {
      any = true;
      if (std::holds_alternative<Collector::OpenOutput>(action)) collector.on_output_opened();
      if (std::holds_alternative<Collector::Finalise>(action)) collector.on_finalised(now);
      if (auto* const words = std::get_if<Collector::Say>(&action)) say(*words);
      if (const auto* const one = std::get_if<Collector::Write>(&action)) write(*one);
    }
  return any;
}

class SinkHost : public Listener {
public:
  SinkHost(World& world, const ScaleOptions& options, Head& head)
      : Listener(world, options), head_(head), peer_(head.hub().attach(*this)), collector_(collector_options(2)) {}

  void begin() {
    receive([this] { collector_.start(now()); });
  }
  void hear(const Received& received) override { collector_.on_message(received, now()); }
  void take(const Envelope& envelope, const Results& results) {
    collector_.on_results(FrameId{++frames_}, envelope, results);
  }

protected:
  void turn() override {
    carry_out();
    collector_.on_written(now());
    carry_out();
  }
  TimePoint next_tick() const override { return collector_.next_tick(); }
  void tick() override { collector_.on_tick(now()); }

private:
  Head& head_;
  PeerId peer_;
  Collector collector_;
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;

  void carry_out() {
    carry_out_all(
        collector_, now(),
        [this](Collector::Say& say) {
          auto message = std::make_shared<const Received>(
              Received{{say.job, {2}, say.session, ++sequence_}, std::move(say.message)});
          send(head_, [this, message] { head_.hear(peer_, *message); });
        },
        [](const Collector::Write&) {});
  }
};

}  // namespace ventile::simulation::scale
