#include <ventile/base/memory.hpp>

#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace ventile {

void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, kept_bytes_max);
  mallopt(M_TRIM_THRESHOLD, kept_bytes_max);
#endif
}

}  // namespace ventile
