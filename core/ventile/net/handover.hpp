// Tells ThreadSanitizer what it cannot see: that memory given to libzmq, which is not instrumented, comes out on
// another thread in good order. Costs nothing in other builds. Only for the sources of this folder.
#pragma once

#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_release(void* memory);
extern "C" void __tsan_acquire(void* memory);
#endif

namespace ventile {

inline void hand_over([[maybe_unused]] void* memory) {
#if defined(__SANITIZE_THREAD__)
  __tsan_release(memory);
#endif
}

inline void take_over([[maybe_unused]] void* memory) {
#if defined(__SANITIZE_THREAD__)
  __tsan_acquire(memory);
#endif
}

}  // namespace ventile
