// Those who were thrown out, and are not told so at once. Only for the sources of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include <ventile/base/clock.hpp>

namespace ventile {

// Whoever is closed comes back, as fast as it can connect; a thousand that do so keep both sides' processors busy. So
// their connections are kept for a while by the kernel alone (a "tarpit"): whoever had the descriptor reads the end of
// the connection and closes its own, the stranger sees nothing, and whatever it has sent or sends is dropped unread (a
// socket filter). One costs a descriptor and the kernel's own memory of an idle connection.
//
// It closes what it still holds when it ends. Not for several threads.
class Detention {
public:
  struct Limits {
    // Whoever is beyond is closed at once. Less if descriptors are few: one of eight, and none of those that are kept
    // back.
    std::size_t held_max = 1024;
    Duration time = std::chrono::seconds{1};  // After which an honest one may try again.
  };

  explicit Detention(Limits limits);
  ~Detention();
  Detention(const Detention&) = delete;
  Detention& operator=(const Detention&) = delete;

  // Throws out the connection of this descriptor, which stays its owner's to close, if it is the one with this cookie
  // still: the descriptor may be another connection's by now, and that is left alone.
  void take(int descriptor, std::uint64_t cookie, TimePoint now);
  // The same, and the stranger learns of it at once.
  static void turn_away(int descriptor, std::uint64_t cookie);
  // Closes those whose time is over.
  void release(TimePoint now);

  bool empty() const { return held_.empty(); }

private:
  struct Held {
    int descriptor = -1;  // A duplicate, ours.
    TimePoint until;
  };

  Limits limits_;
  std::uint64_t descriptors_end_ = 0;  // Those from here on are for other things.
  std::deque<Held> held_;              // In the order of coming.
};

}  // namespace ventile
