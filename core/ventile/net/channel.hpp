// A bounded queue from many threads into a reactor's thread.
#pragma once

#include <cassert>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <ventile/net/reactor.hpp>

namespace ventile {

enum class PushOutcome : std::uint8_t {
  pushed,
  full,    // The item is left as it was: try again once the reactor has drained the channel.
  closed,  // The item is left as it was: nobody will take it.
};

// Any thread pushes; the reactor's thread drains and destroys it. `on_items` is called on the reactor's thread, once
// for all that was pushed since the last drain, and once more when the channel was closed. The reactor must outlive the
// threads that push, and they must not use a channel that is destroyed; close it first so that none waits.
template <class T>
class Channel {
public:
  // Holds at most `capacity` items (at least one).
  Channel(Reactor& reactor, std::size_t capacity, std::function<void()> on_items)
      : reactor_(reactor), state_(std::make_shared<State>(capacity, std::move(on_items))) {
    assert(capacity > 0);
  }
  ~Channel() { close(); }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  // Never waits. Takes the item only if it says pushed.
  [[nodiscard]] PushOutcome push(T& item) {
    std::unique_lock lock(state_->mutex);
    return push_locked(lock, item);
  }
  [[nodiscard]] PushOutcome push(T&& item) { return push(item); }

  // Waits while the channel is full. False if it is closed.
  [[nodiscard]] bool push_when_room(T item) {
    std::unique_lock lock(state_->mutex);
    state_->room.wait(lock, [this] { return state_->closed || state_->items.size() < state_->capacity; });
    return push_locked(lock, item) == PushOutcome::pushed;
  }

  // Puts all that is there, in the order of pushing, in place of what `items` held. Reusing the same vector saves
  // allocations.
  void drain(std::vector<T>& items) {
    items.clear();
    {
      std::lock_guard lock(state_->mutex);
      items.swap(state_->items);
      state_->woken = false;
    }
    state_->room.notify_all();
  }

  // Any thread. Nothing can be pushed any more; what is there can still be drained.
  void close() {
    std::unique_lock lock(state_->mutex);
    if (std::exchange(state_->closed, true)) return;
    state_->room.notify_all();
    wake(lock);
  }

  // Closed, and everything was drained.
  bool finished() const {
    std::lock_guard lock(state_->mutex);
    return state_->closed && state_->items.empty();
  }

private:
  struct State {
    State(std::size_t most, std::function<void()> on) : capacity(most), on_items(std::move(on)) {}

    const std::size_t capacity;
    const std::function<void()> on_items;
    std::mutex mutex;  // Guards what follows.
    std::condition_variable room;
    std::vector<T> items;
    bool woken = false;  // The reactor was told and has not drained since.
    bool closed = false;
  };

  Reactor& reactor_;
  std::shared_ptr<State> state_;  // What was posted to the reactor may outlive the channel and must notice.

  PushOutcome push_locked(std::unique_lock<std::mutex>& lock, T& item) {
    if (state_->closed) return PushOutcome::closed;
    if (state_->items.size() >= state_->capacity) return PushOutcome::full;
    state_->items.push_back(std::move(item));
    if (!state_->woken) wake(lock);
    return PushOutcome::pushed;
  }

  void wake(std::unique_lock<std::mutex>& lock) {
    state_->woken = true;
    lock.unlock();
    reactor_.post([weak = std::weak_ptr<State>(state_)] {
      if (const auto state = weak.lock()) state->on_items();
    });
  }
};

}  // namespace ventile
