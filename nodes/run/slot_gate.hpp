// Which task may start now, and in which slot.
//
// Tasks come to the gate in any order; they pass it by their numbers, at most `slots` at a time. So more tasks can wait
// here than run, and none of them waits for a round trip to the dispatcher. Where nothing but a slot is waited for,
// some pass ahead of time and wait where their commands start, in the order in which they passed.
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
  std::uint32_t ahead = 0;         // So many more may pass, one at a time: the next when the last is queued().
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
  // was closed or a stop requested. With `ahead` the number says nothing of the slot in which the command will run.
  std::optional<std::uint32_t> enter(Number number, const std::stop_token& stop);
  void queued(std::uint32_t slot);
  void leave(std::uint32_t slot);

  // Nobody passes any more, and who has passed ahead of time should not start.
  void close();
  bool closed() const { return closing_.stop_requested(); }
  std::stop_token closing() const { return closing_.get_token(); }

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
  std::optional<std::uint32_t> in_passage_;  // The slot of one who has passed and is not queued yet.
  std::stop_source closing_;

  bool is_open() const { return !free_.empty() && !in_passage_.has_value(); }
  bool is_first(Number number, const Waiter& waiter) const;
  Duration hold_back(TimePoint now);
  void wake_first();
};

}  // namespace ventile
