// A job's wish for tasks that must not run twice.
#pragma once

#include <cstdint>

namespace ventile {

// What becomes of a task that a lost worker may have begun, if its function is not repeatable there.
enum class OnLost : std::uint8_t {
  rerun,  // It runs again, as any other does.
  fail,   // It never runs again: its outcome is lost, unless its worker comes back with it or its result does.
};

}  // namespace ventile
