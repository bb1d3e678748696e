// A process of simulate_scale: what comes, what it costs, and when it looks again.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <utility>
#include <vector>

#include <ventile/base/clock.hpp>

#include "tests/simulation/callback.hpp"
#include "tests/simulation/scale.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation::scale {

// A process of one thread: it takes what has come, works on it, says what is to be said, and only then looks again.
class Host {
public:
  Host(World& world, const ScaleOptions& options) : world_(world), options_(options) {}
  virtual ~Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  TimePoint now() const { return world_.now(); }
  Duration busy() const { return busy_time_; }

  void receive(Callback what) {
    inbox_.push_back(std::move(what));
    if (!busy_) take_turn();
  }

protected:
  World& world() const { return world_; }
  const ScaleOptions& options() const { return options_; }

  // After everything that has come: say what is to be said.
  virtual void turn() = 0;
  // When it must be woken if nothing comes, and what it does then.
  virtual TimePoint next_tick() const = 0;
  virtual void tick() = 0;

  // Within a turn: `what` happens at the other side when the message is there.
  template <std::invocable What>
  void send(Host& to, What what) {
    spent_ += options_.costs.sent;
    world_.after(spent_ + options_.link, [&to, what = std::move(what)]() mutable { to.receive(std::move(what)); });
  }

private:
  World& world_;
  const ScaleOptions& options_;
  std::vector<Callback> inbox_;
  bool busy_ = false;
  Duration spent_{0};  // In this turn.
  Duration busy_time_{0};
  TimePoint wake_ = TimePoint::min();

  // Not again before it is time, unless something comes.
  void wake_later() {
    const TimePoint when = std::max(next_tick(), now() + std::chrono::milliseconds{1});
    if (wake_ > now() && wake_ <= when) return;
    wake_ = when;
    world_.after(when - now(), [this, when] {
      if (wake_ == when) receive([this] { tick(); });
    });
  }

  void take_turn() {
    busy_ = true;
    spent_ = options_.costs.turn;
    for (Callback& what : std::exchange(inbox_, {})) {
      spent_ += options_.costs.received;
      what();
    }
    turn();
    wake_later();
    busy_time_ += spent_;
    world_.after(spent_, [this] {
      busy_ = false;
      if (!inbox_.empty()) take_turn();
    });
  }
};

}  // namespace ventile::simulation::scale
