#include <ventile/net/secret_memory.hpp>

#include <sys/mman.h>

#include <cstring>
#include <new>

namespace ventile {

SecretMemory::SecretMemory(std::size_t size) : size_(size) {
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(memory);
  // Best effort: an old kernel or a low limit must not keep anybody from using keys.
  ::mlock(memory, size);
  ::madvise(memory, size, MADV_DONTDUMP);
  ::madvise(memory, size, MADV_WIPEONFORK);
}

SecretMemory::~SecretMemory() {
  ::explicit_bzero(memory_, size_);
  ::munmap(memory_, size_);
}

}  // namespace ventile
