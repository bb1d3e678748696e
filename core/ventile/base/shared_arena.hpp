// Memory for large buffers that other processes of this machine can read where it lies.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace ventile {

// A process has one. It is a file of the kernel's memory (memfd_create), which has no name and ends with the last
// process that has it open or mapped, so that nothing is left behind by a crash. Whoever may look into this process's
// descriptors may read it; nobody can make it shorter and, since Linux 5.1, nobody else can write to it.
//
// It consists of blocks of one size, which have memory as far as it was ever asked for, and keep it. Of those that have
// enough, but not twice as much as others, the one that was given back last is taken next: its memory may be in a
// cache. So there is about as much memory as was ever in use at once. Any thread. In a process that was forked off
// without exec there is none, and what was taken before must not be touched there.
class SharedArena {
public:
  static SharedArena& of_process();

  // From now on, large buffers come from here. False if this machine cannot; tries once only.
  bool open();
  bool is_open() const { return open_.load(std::memory_order_acquire); }

  // Room for so many bytes, at least smallest and at most block_bytes of them. Null if it is not open, if they are
  // more, or if there is none.
  std::byte* take(std::size_t bytes);
  // Makes room for more bytes where they are. False if a block has not so many, or the machine has no memory.
  bool extend(const std::byte* block, std::size_t bytes);
  void give_back(const std::byte* block);

  bool owns(const std::byte* memory) const { return is_open() && memory >= base_ && memory < base_ + bytes_all; }
  std::size_t offset_of(const std::byte* memory) const { return static_cast<std::size_t>(memory - base_); }
  int descriptor() const { return descriptor_; }
  // Called, without a lock, when there is no block left: perhaps others have read some. One, before open().
  void on_exhausted(std::function<void()> call) { on_exhausted_ = std::move(call); }

  static constexpr const char* file_name = "ventile-lent";
  static constexpr std::size_t smallest = std::size_t{64} << 10;    // Fewer bytes are copied faster than lent.
  static constexpr std::size_t block_bytes = std::size_t{2} << 20;  // The largest frame.
  static constexpr std::size_t block_count = 256;
  static constexpr std::size_t bytes_all = block_bytes * block_count;
  static constexpr std::size_t size_classes = 2 + std::countr_zero(block_bytes / smallest);

private:
  std::atomic<bool> open_ = false;
  std::mutex mutex_;  // Guards what follows, but what open() sets.
  bool tried_ = false;
  int descriptor_ = -1;
  std::byte* base_ = nullptr;
  // By the memory that they have: none, up to `smallest`, up to twice that, … The last one is taken next.
  std::array<std::vector<std::uint32_t>, size_classes> free_;
  std::vector<std::size_t> backed_;  // Bytes of each block for which there is memory.
  std::function<void()> on_exhausted_;

  SharedArena() = default;
  ~SharedArena() = default;  // Lives as long as the process: frames may still be on their way at its end.
  bool back(std::size_t block, std::size_t bytes);
  std::byte* take_free(std::size_t bytes);
};

}  // namespace ventile
