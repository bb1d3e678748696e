// How soon a thread runs when it has been woken on cores that others want as well.
#pragma once

#include <cstdint>

namespace ventile {

// For as long as this lives the thread that made it, which must also destroy it, has short turns: it gets no more of
// the processor than before, but is not made to wait until everybody else has had a turn of his. For threads that are
// woken often, do little, and are waited for; threads that they start have short turns, too, until they say otherwise.
//
// Where slots compute on every core a thread is otherwise woken so many turns late as there are slots for each core: of
// a thousand workers on two cores that was up to 0.8 s for each of the six threads between a worker and its
// dispatcher, and workers that lived were taken for dead.
//
// It is the slice of Linux's EEVDF (sched_setattr(2), Linux 6.12; Stoica and Abdel-Wahab, TR-95-22, 1995), which needs
// no privileges. Nothing happens where the kernel has no such thing or where the thread has been given another policy.
class ShortTurns {
public:
  ShortTurns();
  ~ShortTurns();
  ShortTurns(const ShortTurns&) = delete;
  ShortTurns& operator=(const ShortTurns&) = delete;

private:
  std::uint64_t before_ = 0;  // Nanoseconds; 0: nothing was changed.
};

// The calling thread, which computes, has turns as everybody has them, whoever started it.
void have_usual_turns();

}  // namespace ventile
