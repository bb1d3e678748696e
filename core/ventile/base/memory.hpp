// How a program has its memory.
#pragma once

#include <cstddef>

namespace ventile {

// For a program's main(), before it starts threads: what is freed is kept for the next frame instead of being given
// back to the kernel, which clears and maps every page anew; that costs more than sending it. At most `kept_bytes_max`
// of each thread's are kept. Does nothing where the C library is not glibc. Not for libraries: memory is the program's.
void keep_freed_memory();

inline constexpr int kept_bytes_max = 32 << 20;

// Asks for the cache lines of an object that is about to be looked at, all at once instead of one after the other.
template <class T>
void fetch_ahead(const T& object) {
  constexpr std::size_t line = 64;
  for (std::size_t at = 0; at < sizeof(T); at += line) __builtin_prefetch(reinterpret_cast<const char*>(&object) + at);
}

}  // namespace ventile
