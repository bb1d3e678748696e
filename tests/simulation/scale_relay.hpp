// Relays of simulate_scale: a worker of the head, and the dispatcher and sink of its own workers.
#pragma once

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "tests/simulation/scale_worker.hpp"

namespace ventile::simulation::scale {

class Relay : public Conversation {
public:
  Relay(World& world, const ScaleOptions& options, std::uint64_t identity, Head& head, SinkHost& sink)
      : Conversation(world, options, identity, options.relay_slots),
        head_(head),
        sink_(sink),
        peer_(head.hub().attach(*this)),
        hub_(identity + 1'000'000'000, {},
             [this](Listener& to, const Heard& message) { send(to, [&to, message] { to.hear(*message); }); }),
        collector_(collector_options(identity + 1'000'000'000)) {
    hub_.on_local([this](const Received& received) { collector_.on_message(received, now()); });
  }

  Hub& hub() { return hub_; }
  // Its own job begins, of which it does not know the end.
  void open() {
    receive([this] {
      hub_.dispatcher().open_job(job, {.name = "relay", .function = function_name, .index = {.enabled = true}}, now());
      collector_.start(now());
    });
  }
  void hear_worker(PeerId from, const Received& received) { hub_.dispatcher().on_message(from, received, now()); }
  void take(const Envelope& envelope, const Results& results) {
    // One of its slots stands for so many of its workers'.
    const double fold = static_cast<double>(hub_.dispatcher().slot_count()) / options().relay_slots;
    if (const auto batch = open_.upper_bound(results.range.first); batch != open_.begin())
      std::prev(batch)->second.busy += from_seconds(static_cast<double>(results.busy_nanoseconds) * 1e-9 / fold);
    collector_.on_results(FrameId{++frames_}, envelope, results);
  }

protected:
  void say(const Heard& message) override {
    send(head_, [this, message] { head_.hear(peer_, *message); });
  }
  void deliver(const Heard& results) override {
    send(sink_, [this, results] { sink_.take(results->envelope, std::get<Results>(results->message)); });
  }
  void begin(const Session::Start& start) override {
    const Range own = hub_.dispatcher().offer(job, start.range.count, 0, now());
    open_.emplace(own.first, Batch{start.lease, start.range, own.count, now()});
  }
  // What its workers have is theirs; a real relay would ask them.
  std::vector<Range> take_back(LeaseId, std::uint64_t) override { return {}; }
  std::vector<RunningTask> running() const override {
    std::vector<RunningTask> running;
    for (const auto& [first, batch] : open_)
      running.push_back({job, batch.lease, batch.range.end() - batch.left, now() - batch.since});
    return running;
  }

  void turn() override {
    bool any = true;
    while (any) {
      any = carry_out();
      collector_.on_written(now());
      any = carry_out() || any;
      any = hub_.carry_out() || any;
    }
    Conversation::turn();
    hub_.carry_out();
  }
  TimePoint next_tick() const override {
    return std::min({Conversation::next_tick(), hub_.dispatcher().next_tick(), collector_.next_tick()});
  }
  void tick() override {
    Conversation::tick();
    hub_.dispatcher().on_tick(now());
    collector_.on_tick(now());
  }

private:
  struct Batch {
    LeaseId lease;
    Range range;  // As the head numbers it.
    std::uint64_t left = 0;
    TimePoint since;
    Duration busy{0};
  };

  Head& head_;
  SinkHost& sink_;
  PeerId peer_;
  Hub hub_;
  Collector collector_;
  std::map<Number, Batch> open_;  // By the first of its own numbers.
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;

  bool carry_out() {
    return carry_out_all(
        collector_, now(),
        [this](Collector::Say& say) {
          hub_.dispatcher().on_message(
              Hub::local_sink, {{say.job, {collector_incarnation()}, say.session, ++sequence_}, std::move(say.message)},
              now());
        },
        [this](const Collector::Write& write) { settle(write.range); });
  }
  IncarnationId collector_incarnation() const { return {peer_.value + 2'000'000'000}; }

  // Whole batches go up, each as one result.
  void settle(Range own) {
    while (!own.empty()) {
      const auto batch = std::prev(open_.upper_bound(own.first));
      const std::uint64_t count = std::min(own.count, batch->first + batch->second.range.count - own.first);
      batch->second.left -= count;
      own = {own.first + count, own.count - count};
      if (batch->second.left > 0) continue;
      finish(batch->second.lease, batch->second.range, batch->second.busy);
      open_.erase(batch);
    }
  }
};

}  // namespace ventile::simulation::scale
