// A memory barrier that one thread puts into all others, so that their own fast path needs none.
#pragma once

namespace ventile {

// Linux's membarrier(2), private and expedited. False: this kernel does not offer it.
bool can_raise_barriers();

// When it returns, every thread of the process has passed a full memory barrier since the call: with
//
//   this thread                   another thread, as often as it likes
//   store A                       store B
//   raise_barrier_everywhere()    (the compiler keeps the order)
//   load B                        load A
//
// at least one of the two sees what the other stored. Takes some microseconds. From any thread, if it can be done.
void raise_barrier_everywhere();

}  // namespace ventile
