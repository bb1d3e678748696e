// Which task may start now, and in which slot.
//
// Tasks come to the gate in any order; they pass it by their numbers, at most `slots` at a time. So more tasks can wait
// here than run, and none of them waits for a round trip to the dispatcher.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>

#include <ventile/base/clock.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>

namespace ventile {

struct SlotGateOptions {
  std::uint32_t slots = 1;
  Duration delay{0};               // Between two starts.
  bool in_order = false;           // A number starts only when all before it have come; for a gate that sees them all.
  std::function<bool()> has_room;  // Asked before a start, and again after `room_interval`; none: always.
  Duration room_interval = std::chrono::seconds{1};
};

// Thread-safe.
class SlotGate {
public:
  explicit SlotGate(SlotGateOptions options);

  // Waits for a slot. Returns its number, from 0, which belongs to the caller until leave(); or nothing, if the gate
  // was closed or a stop requested.
  std::optional<std::uint32_t> enter(Number number, const std::stop_token& stop);
  void leave(std::uint32_t slot);

  // Nobody passes any more.
  void close();
  bool closed() const;

private:
  struct Waiter {
    std::condition_variable changed;
  };

  SlotGateOptions options_;
  mutable std::mutex mutex_;
  std::multimap<Number, Waiter*> waiting_;
  IntervalSet arrived_;
  std::set<std::uint32_t> free_;
  TimePoint next_start_ = TimePoint::min();
  bool closed_ = false;

  bool is_first(Number number, const Waiter& waiter) const;
  Duration hold_back(TimePoint now);
  void wake_first();
};

}  // namespace ventile
