// Virtual time: whatever happens in a simulation is an event here, and every choice is drawn from one seed.
#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <ostream>
#include <queue>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ventile/base/clock.hpp>

#include "tests/simulation/callback.hpp"
#include "tests/support/random.hpp"

namespace ventile::simulation {

using testing::Random;

// Something that must never happen has happened.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};
inline void require(bool holds, const char* what) {
  if (!holds) throw Violation{what};
}

class Process;

class World {
public:
  // Writes what happens to `trace`, if there is one.
  World(std::uint64_t seed, std::ostream* trace) : random_(seed), trace_(trace) {}

  TimePoint now() const { return now_; }
  double seconds() const { return to_seconds(now_ - TimePoint{}); }
  Random& random() { return random_; }
  Duration draw(Duration least, Duration most) {
    return least +
           Duration{static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>((most - least).count()) + 1))};
  }

  void after(Duration delay, Callback what);
  // Makes the next event happen, and checks every process that had a turn in it. False if there is none: nothing will
  // ever happen again.
  bool step();
  // Whether a process has come to its end since this was asked last.
  bool has_one_left() { return std::exchange(one_left_, false); }
  std::uint64_t steps() const { return steps_; }

  bool tracing() const { return trace_ != nullptr; }
  void trace(const std::string& line);

private:
  friend class Process;

  struct Event {
    TimePoint when;
    std::uint64_t order;  // Of two events at the same time the older comes first.
    std::size_t what;     // Where it is in `callbacks_`.
    bool operator>(const Event& other) const { return when != other.when ? when > other.when : order > other.order; }
  };

  Random random_;
  std::ostream* trace_;
  TimePoint now_{};
  std::uint64_t steps_ = 0;
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::vector<Callback> callbacks_;
  std::vector<std::size_t> free_;  // Places in `callbacks_`.
  std::vector<Process*> turned_;   // In this step.
  bool one_left_ = false;
};

// A process: one thread, which can be stopped for a while, and die at any moment. Owned by a shared_ptr; when that is
// gone, what it had planned does not happen.
class Process : public std::enable_shared_from_this<Process> {
public:
  Process(World& world, std::string name) : world_(world), name_(std::move(name)) {}
  virtual ~Process() { std::erase(world_.turned_, this); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  World& world() const { return world_; }
  TimePoint now() const { return world_.now(); }
  const std::string& name() const { return name_; }

  template <std::invocable What>
  void after(Duration delay, What what) {
    world_.after(delay, [life = weak_from_this(), what = std::move(what)]() mutable {
      if (const auto process = life.lock()) process->run(std::move(what));
    });
  }
  // Now; or as soon as it goes on, if it is stopped.
  template <std::invocable What>
  void run(What what) {
    if (exited_) return;
    if (paused_) {
      missed_.emplace_back(std::move(what));
    } else {
      what();
      turn();
      if (world_.turned_.empty() || world_.turned_.back() != this) world_.turned_.push_back(this);
    }
  }
  void pause();
  void go_on();
  bool paused() const { return paused_; }
  // It has come to its end by itself.
  void exit() { exited_ = world_.one_left_ = true; }
  bool exited() const { return exited_; }

  // What must hold of it after a turn; else it throws Violation.
  virtual void check() {}

protected:
  // After everything that it does: its loop comes round.
  virtual void turn() {}
  void trace(const std::string& line) const;
  // A line that is made only if somebody reads it.
  template <std::invocable Line>
  void trace(Line line) const {
    if (world_.tracing()) trace(line());
  }

private:
  World& world_;
  std::string name_;
  bool paused_ = false;
  bool exited_ = false;
  std::vector<Callback> missed_;
};

}  // namespace ventile::simulation
