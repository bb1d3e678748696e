// Preloaded into a process: while the file named by VENTILE_BROKEN_DISK exists, no sync succeeds, as on a disk that is
// going bad.
#include <dlfcn.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace {

bool is_broken() {
  const char* const sign = std::getenv("VENTILE_BROKEN_DISK");
  return sign != nullptr && access(sign, F_OK) == 0;
}

int sync_or_fail(const char* name, int descriptor) {
  if (is_broken()) {
    errno = EIO;
    return -1;
  }
  const auto real = reinterpret_cast<int (*)(int)>(dlsym(RTLD_NEXT, name));
  return real(descriptor);
}

}  // namespace

extern "C" {
int fsync(int descriptor) { return sync_or_fail("fsync", descriptor); }
int fdatasync(int descriptor) { return sync_or_fail("fdatasync", descriptor); }
}
