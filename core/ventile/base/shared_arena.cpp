#include <ventile/base/shared_arena.hpp>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <numeric>
#include <utility>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010  // linux/fcntl.h, since 5.1.
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Since 5.14.
#endif

namespace ventile {
namespace {

constexpr std::size_t page_bytes = 4096;
std::size_t size_class(std::size_t bytes) {
  if (bytes == 0) return 0;
  return 1 + static_cast<std::size_t>(std::bit_width((bytes - 1) / SharedArena::smallest));
}

std::atomic<bool> forked = false;  // In the child: the memory was left behind.

}  // namespace

SharedArena& SharedArena::of_process() {
  static auto* const arena = new SharedArena;
  return *arena;
}

bool SharedArena::open() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(tried_, true) || forked) return is_open();
  descriptor_ = memfd_create(file_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (descriptor_ < 0) return false;
  void* memory = MAP_FAILED;
  if (ftruncate(descriptor_, bytes_all) == 0 && fcntl(descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
    memory = mmap(nullptr, bytes_all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor_, 0);
  if (memory == MAP_FAILED || madvise(memory, bytes_all, MADV_DONTFORK) != 0) {
    if (memory != MAP_FAILED) munmap(memory, bytes_all);
    ::close(std::exchange(descriptor_, -1));
    return false;
  }
  (void)fcntl(descriptor_, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);  // Older kernels let others write.
  (void)pthread_atfork(nullptr, nullptr, [] { forked = true; });
  base_ = static_cast<std::byte*>(memory);
  backed_.resize(block_count);
  free_[0].resize(block_count);
  std::iota(free_[0].rbegin(), free_[0].rend(), 0U);
  open_.store(true, std::memory_order_release);
  return true;
}

// Asked for before it is used: where there is none, the answer is an error now instead of SIGBUS later.
bool SharedArena::back(std::size_t block, std::size_t bytes) {
  std::size_t& backed = backed_[block];
  if (bytes <= backed) return true;
  const std::size_t wanted = std::min(block_bytes, (bytes + page_bytes - 1) / page_bytes * page_bytes);
  const std::size_t begin = block * block_bytes + backed;
  if (madvise(base_ + begin, wanted - backed, MADV_POPULATE_WRITE) != 0 &&
      (errno != EINVAL ||
       fallocate(descriptor_, 0, static_cast<off_t>(begin), static_cast<off_t>(wanted - backed)) != 0))
    return false;
  backed = wanted;
  return true;
}

std::byte* SharedArena::take_free(std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t wanted = size_class(bytes);
  std::size_t found = wanted;
  while (found < size_classes && free_[found].empty()) ++found;
  if (found == size_classes) found = wanted;  // None has enough: the one that lacks the least.
  while (found > 0 && free_[found].empty()) --found;
  std::vector<std::uint32_t>& blocks = free_[found];
  if (blocks.empty() || !back(blocks.back(), bytes)) return nullptr;
  const std::size_t block = blocks.back();
  blocks.pop_back();
  return base_ + block * block_bytes;
}

std::byte* SharedArena::take(std::size_t bytes) {
  if (bytes < smallest || bytes > block_bytes || !is_open() || forked) return nullptr;
  if (std::byte* const block = take_free(bytes)) return block;
  if (on_exhausted_) on_exhausted_();
  return take_free(bytes);
}

bool SharedArena::extend(const std::byte* block, std::size_t bytes) {
  if (bytes > block_bytes || forked) return false;
  const std::lock_guard lock(mutex_);
  return back(offset_of(block) / block_bytes, bytes);
}

void SharedArena::give_back(const std::byte* block) {
  if (forked) return;
  const std::lock_guard lock(mutex_);
  const std::size_t number = offset_of(block) / block_bytes;
  free_[size_class(backed_[number])].push_back(static_cast<std::uint32_t>(number));
}

}  // namespace ventile
