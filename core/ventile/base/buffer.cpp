#include <ventile/base/buffer.hpp>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace ventile {

Buffer::~Buffer() { std::free(data_); }

void Buffer::grow(std::size_t capacity) {
  const std::size_t wanted = std::max({capacity, capacity_ * 2, std::size_t{128}});
  void* moved = std::realloc(data_, wanted);
  if (moved == nullptr) throw std::bad_alloc{};
  data_ = static_cast<std::byte*>(moved);
  capacity_ = wanted;
}

}  // namespace ventile
