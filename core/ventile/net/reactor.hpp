// One thread's loop: sockets, descriptors, timers and what other threads post to it.
#pragma once

#include <poll.h>

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/net/socket.hpp>

namespace ventile {

class Alarm;

// What a callback that reads one message from its socket answers.
enum class Reading : std::uint8_t {
  more,     // There may be another: call again.
  drained,  // There was none.
};

// Names a call that is still to come. A default one names none.
struct TimerId {
  TimePoint when = never;
  std::uint64_t counter = 0;

  explicit operator bool() const { return counter != 0; }
  auto operator<=>(const TimerId&) const = default;
};

// One turn of the loop: wait until something is ready (or not at all, if something still is), read the clock, run what
// was posted, the sockets, the descriptors and the timers that are due, and then the turn ends: time to send what was
// gathered. Timers come after the sockets so that a reactor that was held up hears its peers before it judges them.
// If anything was posted, the turn ends once more behind that: another thread waits for what comes of it, and looking
// into a socket of libzmq takes some eight system calls.
//
//   post, stop <- any thread.  Everything else <- the thread of run(), or before it runs.
//
// Callbacks may add, remove and cancel anything, themselves included; what was removed or cancelled is not called
// again, not even in the same turn. Callbacks must not throw and must not block. A turn costs a few system calls plus a
// constant for each socket, however many peers it has; one in which only inproc has something to say costs none, but
// for one every `poll_interval`.
class Reactor {
public:
  using Function = std::function<void()>;
  using OnReadable = std::function<Reading()>;      // Reads one message.
  using OnDescriptor = std::function<void(short)>;  // Is told the events of poll(2) that happened.

  Reactor();
  ~Reactor();
  Reactor(const Reactor&) = delete;
  Reactor& operator=(const Reactor&) = delete;

  // Calls on_readable while there is, or may be, something to read, at most `burst_max` times in a row, and no more
  // once what follows the first has taken `burst_time`, before others get their turn and this one ends: who waits for
  // what comes of the first message need not wait for the last. The socket must be removed before it is destroyed,
  // unless the reactor is destroyed or never runs again.
  void add(Socket& socket, OnReadable on_readable, Function on_writable = {});
  void remove(Socket& socket);

  // While wanted, calls the socket's on_writable once a turn as long as the socket has room. A ROUTER cannot say which
  // of its peers has room, so while wanted its on_writable is called every `router_retry`.
  void want_write(Socket& socket, bool wanted);

  // Level-triggered, at most once a turn, with `events` as in poll(2). Unwatch a descriptor before closing it.
  void watch(int descriptor, short events, OnDescriptor callback);
  void unwatch(int descriptor);

  // Calls once, in a turn whose now() is `when` or later, in the order of `when`; those for the same time in the order
  // they were asked for.
  TimerId call_at(TimePoint when, Function function);
  // Nothing happens if it was already called or cancelled.
  void cancel(TimerId timer);

  // Calls once in the next turn, in the order of posting. Costs a system call only if the reactor sleeps and nobody has
  // woken it yet. What is still waiting when the reactor is destroyed is not called.
  void post(Function function);

  // Replaces the function that ends every turn, and what was posted in it. Not from within that function.
  void on_turn_end(Function function);

  // The time at which this turn began.
  TimePoint now() const { return now_; }

  // Turns until stopped. May be called again after it has returned, by any thread: neither the reactor nor its sockets
  // have an owner then.
  void run();
  // Lets run() return at the end of a turn, after what was posted before the first stop was called. Stopping a reactor
  // that does not run yet ends its next run after one turn. A context that ends stops it, too.
  void stop();

  static constexpr int burst_max = 128;
  static constexpr Duration burst_time = std::chrono::milliseconds{2};
  static constexpr Duration router_retry = std::chrono::milliseconds{2};
  static constexpr Duration poll_interval = std::chrono::microseconds{200};

private:
  struct Source;
  struct Watch;

  OwnerThread owner_;
  TimePoint now_;
  TimePoint polled_;
  std::vector<std::unique_ptr<Source>> sources_;
  std::vector<std::unique_ptr<Watch>> watches_;
  std::vector<pollfd> poll_set_;  // Kept from turn to turn for its memory.
  std::map<TimerId, Function> timers_;
  std::uint64_t timer_counter_ = 0;
  Function turn_end_;
  std::vector<Function> called_;  // What was posted, while it is called. Kept for its memory.
  std::shared_ptr<Alarm> alarm_;

  std::mutex mutex_;  // Guards what follows.
  std::vector<Function> posted_;
  bool stopping_ = false;

  Source* find(const Socket& socket);

  bool wait();  // Returns whether it has asked the descriptors.
  void refresh(Source& source);
  void poll(Duration patience);
  TimePoint next_deadline() const;
  bool was_called_for();

  bool call_posted();
  void call_timers();
  void call_source(Source& source);
  void call_watch(Watch& watch);
};

}  // namespace ventile
