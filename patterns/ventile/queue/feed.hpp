// Decides when a ventilator reads more input, and when it stops for good.
#pragma once

#include <algorithm>
#include <cstdint>

namespace ventile {

struct FeedOptions {
  std::uint64_t window_bytes = std::uint64_t{16} << 20;  // Of payloads without an outcome. Reading waits at the limit.
  std::uint64_t window_tasks = std::uint64_t{1} << 22;   // The same in tasks.
  std::uint64_t slot_bytes = std::uint64_t{4} << 20;  // Of window_bytes, for each slot that is there: bytes that wait
                                                      // no longer than that are still in the processor's cache.
};

//              room                              input ended, halt, drain
//   [reading] <-----> [paused]      [reading, paused] ------------------> [ended]
//
// read = submitted + skipped, always: what was read before the end is submitted. A value.
class Feed {
public:
  explicit Feed(FeedOptions options = {}) : options_(options) {}

  void on_submitted(std::uint64_t tasks, std::uint64_t bytes) {
    open_tasks_ += tasks;
    open_bytes_ += bytes;
  }
  void on_settled(std::uint64_t tasks) { open_tasks_ -= tasks; }
  void on_released(std::uint64_t bytes) { open_bytes_ -= bytes; }
  void on_slots(std::uint64_t slots) { slots_ = slots; }  // There are so many now.
  void on_ended() { ended_ = true; }

  bool ended() const { return ended_; }
  // A single task larger than the window is let in when nothing else is there.
  bool wants_more() const {
    return !ended_ && (open_tasks_ == 0 || (open_tasks_ < options_.window_tasks && open_bytes_ < window_bytes()));
  }

private:
  FeedOptions options_;
  std::uint64_t slots_ = 1;
  std::uint64_t open_tasks_ = 0;
  std::uint64_t open_bytes_ = 0;
  bool ended_ = false;

  std::uint64_t window_bytes() const {
    const std::uint64_t slots = std::clamp<std::uint64_t>(slots_, 1, options_.window_bytes / options_.slot_bytes + 1);
    return std::min(options_.window_bytes, slots * options_.slot_bytes);
  }
};

}  // namespace ventile
