// How other threads wake a reactor. Only for the sources of this folder.
#pragma once

#include <atomic>

namespace ventile {

// Outlives the reactor if somebody who would ring has it. Whoever sleeps asks in this order: listen(), is there
// anything to do?, fall_asleep(). What happens behind listen() rings, so that either the look finds it or the sleep is
// none.
class Alarm {
public:
  Alarm();  // Throws std::system_error.
  ~Alarm();
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;

  // Any thread. Costs a system call only if the reactor sleeps and nobody has woken it yet.
  void ring();

  // --- The reactor's thread ---

  void listen() { rung_.exchange(false); }
  bool fall_asleep();                                 // False if it rang since listen().
  void wake_up() { asleep_.store(false); }            // Nobody need write any more.
  int descriptor() const { return descriptor_; }      // Readable once it rang in the sleep, or shortly after it,
  void on_descriptor_readable() { written_ = true; }  // and for as long as nobody has forgotten that.
  // Before falling asleep, and not when it wakes up: what it was woken for is waited for, and a read takes its time.
  void forget();

private:
  int descriptor_;
  bool written_ = false;
  std::atomic<bool> rung_ = false;
  std::atomic<bool> asleep_ = false;  // It waits, or is about to, and nobody has woken it.
};

}  // namespace ventile
