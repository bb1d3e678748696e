// The length of the calling thread's turns, as the kernel has it.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>

namespace ventile {

// Nanoseconds; 0 where the kernel has no such thing (before Linux 6.12).
inline std::uint64_t slice_of_this_thread() {
  std::array<std::byte, 48> attributes{};  // sched_setattr(2): sched_runtime is at 24.
  if (syscall(SYS_sched_getattr, 0, attributes.data(), attributes.size(), 0) != 0) return 0;
  std::uint64_t nanoseconds = 0;
  std::memcpy(&nanoseconds, attributes.data() + 24, sizeof nanoseconds);
  return nanoseconds;
}

}  // namespace ventile
