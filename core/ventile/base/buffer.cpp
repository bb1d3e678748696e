#include <ventile/base/buffer.hpp>

#include <algorithm>
#include <cstdlib>
#include <new>

#include <ventile/base/shared_arena.hpp>

namespace ventile {

Buffer::~Buffer() { dispose(data_); }

void Buffer::dispose(std::byte* memory) {
  SharedArena& arena = SharedArena::of_process();
  arena.owns(memory) ? arena.give_back(memory) : std::free(memory);
}

// Within its block of the arena, or into one.
bool Buffer::grow_shared(std::size_t capacity) {
  SharedArena& arena = SharedArena::of_process();
  if (capacity > SharedArena::block_bytes) return false;
  // Within a block nothing moves, so that it need not grow by much: what is asked for takes memory.
  constexpr std::size_t step = std::size_t{64} << 10;
  const std::size_t wanted = std::min((capacity + step - 1) / step * step, SharedArena::block_bytes);
  if (arena.owns(data_)) {
    if (!arena.extend(data_, wanted)) return false;
  } else {
    std::byte* const block = capacity < SharedArena::smallest ? nullptr : arena.take(wanted);
    if (block == nullptr) return false;
    if (size_ > 0) std::memcpy(block, data_, size_);
    std::free(data_);
    data_ = block;
  }
  capacity_ = wanted;
  return true;
}

void Buffer::grow(std::size_t capacity) {
  if (shareable_ && grow_shared(capacity)) return;
  const std::size_t wanted = std::max({capacity, capacity_ * 2, std::size_t{128}});
  SharedArena& arena = SharedArena::of_process();
  const bool shared = arena.owns(data_);
  void* moved = shared ? std::malloc(wanted) : std::realloc(data_, wanted);
  if (moved == nullptr) throw std::bad_alloc{};
  if (shared) {
    std::memcpy(moved, data_, size_);
    arena.give_back(data_);
  }
  data_ = static_cast<std::byte*>(moved);
  capacity_ = wanted;
}

}  // namespace ventile
