#include "tests/simulation/world.hpp"

#include <cstdio>
#include <utility>

namespace ventile::simulation {

void World::after(Duration delay, Callback what) {
  std::size_t place = callbacks_.size();
  if (free_.empty()) {
    callbacks_.push_back(std::move(what));
  } else {
    place = free_.back();
    free_.pop_back();
    callbacks_[place] = std::move(what);
  }
  events_.push({now_ + delay, ++order_, place});
}

bool World::step() {
  if (events_.empty()) return false;
  const Event event = events_.top();
  events_.pop();
  now_ = event.when;
  ++steps_;
  Callback what = std::move(callbacks_[event.what]);
  free_.push_back(event.what);
  what();
  for (Process* const process : turned_) process->check();
  turned_.clear();
  return true;
}

void World::trace(const std::string& line) {
  if (trace_ == nullptr) return;
  char time[32];
  std::snprintf(time, sizeof time, "%12.6f  ", seconds());
  *trace_ << time << line << '\n';
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
