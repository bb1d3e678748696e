// The signs of life between a dispatcher and one of its peers, as the peer keeps them.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <ventile/base/clock.hpp>

namespace ventile {

// Since when the dispatcher has been silent, and when it wants to hear something. PROTOCOL.md, *Heartbeats*.
// Any thread, one at a time.
class Liveness {
public:
  // WELCOME: the dispatcher wants a word at least every `heartbeat`, and says one as often. Silence for `dead_after` is
  // death. Both in milliseconds; what nobody could keep is made longer.
  void begin(std::uint32_t heartbeat, std::uint32_t dead_after, TimePoint now) {
    next_word_ = never;
    keep_pace(heartbeat, dead_after, now);
  }
  // PACE: the same from now on, within a conversation.
  void keep_pace(std::uint32_t heartbeat, std::uint32_t dead_after, TimePoint now) {
    heartbeat_ = std::chrono::milliseconds{std::max(heartbeat, shortest_milliseconds)};
    dead_after_ = std::max<Duration>(std::chrono::milliseconds{dead_after}, heartbeat_);
    heard_ = now;
    speak_by(now + heartbeat_);
  }

  // The dispatcher has said something.
  void on_heard(TimePoint now) { heard_ = std::max(heard_, now); }

  // It has said that it lives, and does not mind a word in return, unless there was one just now: whoever is woken by
  // it need not be woken again for his own. (Where the interval is long, as among many; at half a second it comes just
  // after the word.)
  void answer(TimePoint now) {
    if (next_word_ - now <= heartbeat_ / 2) speak_by(now);
  }

  // From now on its silence counts as if it had begun so long ago that only `grace` is left, if that is less.
  void leave_only(Duration grace, TimePoint now) { heard_ = std::min(heard_, now - dead_after_ + grace); }

  // How long the dispatcher has been silent, and whether it is to be taken for dead.
  Duration silence(TimePoint now) const { return now - heard_; }
  bool is_dead(TimePoint now) const { return silence(now) > dead_after_; }

  // Something was said to the dispatcher; the next word must follow within the interval.
  void on_said(TimePoint now) { next_word_ = now + heartbeat_; }
  // The next word must be said at `when` at the latest.
  void speak_by(TimePoint when) { next_word_ = std::min(next_word_, when); }
  bool word_is_due(TimePoint now) const { return now >= next_word_; }

  Duration heartbeat() const { return heartbeat_; }
  // When something is to be done: a word, or the end of patience.
  TimePoint next_tick() const { return std::min(next_word_, heard_ + dead_after_); }

private:
  static constexpr std::uint32_t shortest_milliseconds = 10;

  Duration heartbeat_ = std::chrono::milliseconds{500};
  Duration dead_after_ = std::chrono::seconds{2};
  TimePoint heard_ = TimePoint::min();
  TimePoint next_word_ = never;
};

}  // namespace ventile
