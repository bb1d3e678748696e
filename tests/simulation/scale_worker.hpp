// Workers of simulate_scale: a real Session, and a slot whose tasks take time.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ventile/queue/session.hpp>

#include "tests/simulation/scale_head.hpp"

namespace ventile::simulation::scale {

inline constexpr Duration hold = std::chrono::milliseconds{10};  // As RunOptions::hold.
inline constexpr std::uint32_t result_bytes = 9;

// So many results of nine bytes.
inline PayloadView results_of(std::uint64_t count) {
  constexpr std::size_t most = std::size_t{1} << 20;
  static const std::vector<std::byte> data(most * result_bytes);
  static const std::vector<std::uint32_t> ends = [] {
    std::vector<std::uint32_t> all(most);
    for (std::size_t i = 0; i < most; ++i) all[i] = static_cast<std::uint32_t>(i + 1) * result_bytes;
    return all;
  }();
  require(count <= most, "a result is larger than this simulation can have it");
  return {data.data(), reinterpret_cast<const std::byte*>(ends.data()), static_cast<std::uint32_t>(count)};
}

inline SessionOptions session_options(std::uint64_t identity, std::uint32_t slots) {
  SessionOptions options;
  options.node = {3, identity};
  options.incarnation = {identity};
  options.name = "worker-" + std::to_string(identity);
  options.functions = {{function_name, true}};
  options.slots = slots;
  return options;
}

// The worker's side of a conversation, over whatever leads to its dispatcher and its sink.
class Conversation : public Listener {
public:
  Conversation(World& world, const ScaleOptions& options, std::uint64_t identity, std::uint32_t slots)
      : Listener(world, options), identity_(identity), session_(session_options(identity, slots)) {}

  void start() {
    receive([this] { session_.start(now()); });
  }
  void hear(const Received& received) override { session_.on_message(received, now()); }

protected:
  virtual void say(const Heard& message) = 0;                                    // To the dispatcher.
  virtual void deliver(const Heard& results) = 0;                                // To the sink.
  virtual void begin(const Session::Start& start) = 0;                           // Run these tasks.
  virtual std::vector<Range> take_back(LeaseId lease, std::uint64_t count) = 0;  // What has not begun.
  virtual std::vector<RunningTask> running() const = 0;

  void finish(LeaseId lease, Range range, Duration busy) {
    Results results;
    results.lease = lease;
    results.range = range;
    results.tries = 1;
    results.busy_nanoseconds = static_cast<std::uint64_t>(busy.count());
    results.payloads = results_of(range.count);
    const ResultId id = session_.on_finished(job, lease, range, range.count * result_bytes, 0, now());
    if (id) kept_.emplace(id, std::move(results));
  }

  void turn() override {
    for (Session::Actions actions = session_.take_actions(); !actions.empty(); actions = session_.take_actions())
      for (Session::Action& action : actions) act(action);
    while (const auto next = session_.outbox().next(now()))
      deliver(std::make_shared<const Received>(
          Received{{next->job, {identity_}, {}, ++sequence_}, kept_.at(next->result)}));
  }
  TimePoint next_tick() const override { return session_.next_tick(); }
  void tick() override { session_.on_tick(now(), running()); }

private:
  std::uint64_t identity_;
  Session session_;
  std::map<ResultId, Results> kept_;
  std::uint64_t sequence_ = 0;

  void act(Session::Action& action) {
    if (auto* const words = std::get_if<Session::Say>(&action))
      say(std::make_shared<const Received>(
          Received{{words->job, {identity_}, words->session, ++sequence_}, std::move(words->message)}));
    if (const auto* const start = std::get_if<Session::Start>(&action)) begin(*start);
    if (const auto* const back = std::get_if<Session::TakeBack>(&action))
      session_.on_retracted(back->job, back->lease, take_back(back->lease, back->count), now());
    if (const auto* const drop = std::get_if<Session::DropResult>(&action)) kept_.erase(drop->result);
  }
};

// One slot.
class WorkerHost : public Conversation {
public:
  // To its dispatcher, and with results to its sink: the head and the sink, or a relay, which is both.
  struct Way {
    Host* dispatcher = nullptr;
    Host* sink = nullptr;
    std::function<void(const Received&)> say;
    std::function<void(const Received&)> deliver;
  };

  WorkerHost(World& world, const ScaleOptions& options, std::uint64_t identity)
      : Conversation(world, options, identity, 1) {}

  void connect(Way way) { way_ = std::move(way); }
  // Of its slot, until now; of tasks that have ended.
  Duration worked() const { return worked_; }

protected:
  void say(const Heard& message) override {
    send(*way_.dispatcher, [this, message] { way_.say(*message); });
  }
  void deliver(const Heard& results) override {
    send(*way_.sink, [this, results] { way_.deliver(*results); });
  }

  void begin(const Session::Start& start) override {
    waiting_.push_back({start.lease, start.range});
    run_next();
  }

  std::vector<Range> take_back(LeaseId lease, std::uint64_t count) override {
    std::vector<Range> taken;
    for (auto batch = waiting_.rbegin(); batch != waiting_.rend() && count > 0; ++batch)
      if (batch->lease == lease) count -= take_end(batch->range, count, taken);
    std::erase_if(waiting_, [](const Batch& batch) { return batch.range.empty(); });
    if (claim_ && claim_->lease == lease && count > 0) {
      Range rest{claim_->range.first + begun(), claim_->range.count - begun()};
      if (take_end(rest, count, taken) > 0) {
        claim_->range.count = rest.end() - claim_->range.first;
        end_claim_later();
      }
    }
    return taken;
  }

  std::vector<RunningTask> running() const override {
    if (!claim_) return {};
    const std::uint64_t at = begun() - 1;
    return {{job, claim_->lease, claim_->range.first + at,
             now() - claim_->since - claim_->each * static_cast<std::int64_t>(at)}};
  }

private:
  struct Batch {
    LeaseId lease;
    Range range;
  };
  struct Claim {
    LeaseId lease;
    Range range;
    TimePoint since;
    Duration each{0};
  };

  Way way_;
  std::deque<Batch> waiting_;
  std::optional<Claim> claim_;
  std::uint64_t claims_ = 0;  // And how often one was shortened.
  Duration worked_{0};

  static std::uint64_t take_end(Range& range, std::uint64_t most, std::vector<Range>& taken) {
    const std::uint64_t count = std::min(range.count, most);
    if (count == 0) return 0;
    range.count -= count;
    taken.push_back({range.end(), count});
    return count;
  }

  std::uint64_t begun() const {
    return std::min<std::uint64_t>(static_cast<std::uint64_t>((now() - claim_->since) / claim_->each) + 1,
                                   claim_->range.count);
  }

  // The slot takes as many as it can say something of in time.
  void run_next() {
    if (claim_ || waiting_.empty()) return;
    Batch& batch = waiting_.front();
    const Duration each = world().draw(options().task / 2, options().task * 3 / 2);
    const auto fitting = static_cast<std::uint64_t>(std::max<std::int64_t>(hold / each, 1));
    const std::uint64_t count = std::min(fitting, batch.range.count);
    claim_ = Claim{batch.lease, {batch.range.first, count}, now(), each};
    batch.range = {batch.range.first + count, batch.range.count - count};
    if (batch.range.empty()) waiting_.pop_front();
    end_claim_later();
  }

  // The slot is a thread of its own: the worker hears of its results as it hears of a message, and needs not have
  // taken them before the slot goes on.
  void end_claim_later() {
    const std::uint64_t this_one = ++claims_;
    const Duration busy = claim_->each * static_cast<std::int64_t>(claim_->range.count);
    world().after(claim_->since + busy - now(), [this, this_one, busy] {
      if (claims_ != this_one) return;
      const Claim done = *claim_;
      claim_.reset();
      worked_ += busy;
      run_next();
      receive([this, done, busy] { finish(done.lease, done.range, busy); });
    });
  }
};

}  // namespace ventile::simulation::scale
