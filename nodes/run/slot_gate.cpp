#include <nodes/run/slot_gate.hpp>

#include <algorithm>
#include <utility>

namespace ventile {

SlotGate::SlotGate(SlotGateOptions options) : options_(std::move(options)) {
  for (std::uint32_t slot = 0; slot < options_.slots + options_.ahead; ++slot) free_.insert(slot);
}

bool SlotGate::is_first(Number number, const Waiter& waiter) const {
  const bool all_came = !options_.in_order || arrived_.lowest_missing() > number;
  return all_came && is_open() && waiting_.begin()->second == &waiter;
}

// How long the first one has to wait for another reason than others. Zero: not at all.
Duration SlotGate::hold_back(TimePoint now) {
  if (now < next_start_) return next_start_ - now;
  return options_.has_room && !options_.has_room() ? options_.room_interval : Duration::zero();
}

void SlotGate::wake_first() {
  if (is_open() && !waiting_.empty()) waiting_.begin()->second->changed.notify_one();
}

std::optional<std::uint32_t> SlotGate::enter(Number number, const std::stop_token& stop) {
  Waiter waiter;
  std::unique_lock lock{mutex_};
  const auto place = waiting_.emplace(number, &waiter);
  if (options_.in_order && arrived_.insert({number, 1}) > 0) wake_first();
  // The callback may run at once, on this thread; so it is made without the lock.
  lock.unlock();
  const std::stop_callback wake{stop, [&] {
                                  { const std::lock_guard stopping{mutex_}; }
                                  waiter.changed.notify_one();
                                }};
  lock.lock();
  std::optional<std::uint32_t> slot;
  while (!closed() && !stop.stop_requested()) {
    if (!is_first(number, waiter)) {
      waiter.changed.wait(lock);
      continue;
    }
    const TimePoint now = Clock::now();
    if (const Duration wait = hold_back(now); wait > Duration::zero()) {
      waiter.changed.wait_for(lock, wait);
      continue;
    }
    slot = *free_.begin();
    free_.erase(free_.begin());
    if (options_.ahead > 0) in_passage_ = slot;
    next_start_ = now + options_.delay;
    break;
  }
  waiting_.erase(place);
  wake_first();
  lock.unlock();  // `wake` waits for a callback that may be running, and that wants the lock.
  return slot;
}

void SlotGate::queued(std::uint32_t slot) {
  const std::lock_guard lock{mutex_};
  if (in_passage_ != slot) return;
  in_passage_.reset();
  wake_first();
}

void SlotGate::leave(std::uint32_t slot) {
  const std::lock_guard lock{mutex_};
  if (in_passage_ == slot) in_passage_.reset();  // It never came so far.
  free_.insert(slot);
  wake_first();
}

void SlotGate::close() {
  const std::lock_guard lock{mutex_};
  closing_.request_stop();
  for (const auto& [number, waiter] : waiting_) waiter->changed.notify_one();
}

}  // namespace ventile
