#include "tests/simulation/world.hpp"

#include <cstdio>
#include <utility>

namespace ventile::simulation {

void World::after(Duration delay, std::function<void()> what) {
  events_.push({now_ + delay, ++order_, std::move(what)});
}

bool World::step() {
  if (events_.empty()) return false;
  const Event event = std::move(const_cast<Event&>(events_.top()));  // It is popped before anybody looks again.
  events_.pop();
  now_ = event.when;
  ++steps_;
  event.what();
  return true;
}

void World::trace(const std::string& line) {
  if (trace_ == nullptr) return;
  char time[32];
  std::snprintf(time, sizeof time, "%12.6f  ", seconds());
  *trace_ << time << line << '\n';
}

void Process::after(Duration delay, std::function<void()> what) {
  world_.after(delay, [life = weak_from_this(), what = std::move(what)]() mutable {
    if (const auto process = life.lock()) process->run(std::move(what));
  });
}

void Process::run(std::function<void()> what) {
  if (exited_) return;
  if (paused_) return missed_.push_back(std::move(what));
  what();
  turn();
}

void Process::pause() {
  paused_ = true;
  trace("stopped");
}

void Process::go_on() {
  if (!std::exchange(paused_, false)) return;
  trace("goes on");
  for (auto& what : std::exchange(missed_, {})) run(std::move(what));
}

void Process::trace(const std::string& line) const {
  if (world_.tracing()) world_.trace(name_ + ": " + line);
}

}  // namespace ventile::simulation
