// Bytes that are read, and bytes that grow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <utility>

namespace ventile {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span{text.data(), text.size()}); }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

// A growing run of bytes in malloc'ed memory. Unlike std::vector it never fills what it is about to overwrite,
// and it can hand its memory over (release), so that a frame is sent without a copy. Moves, does not copy.
class Buffer {
public:
  Buffer() = default;
  explicit Buffer(std::size_t capacity) { reserve(capacity); }
  // Whose memory, once it is large, comes from the process's SharedArena if that is open and has some.
  static Buffer shareable() {
    Buffer buffer;
    buffer.shareable_ = true;
    return buffer;
  }
  void keep_private() { shareable_ = false; }  // From now on it does not move there.
  ~Buffer();
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }
  Bytes bytes() const { return {data_, size_}; }
  operator Bytes() const { return bytes(); }  // NOLINT(google-explicit-constructor)

  void clear() { size_ = 0; }
  void truncate(std::size_t size) { size_ = size; }  // size <= this->size()
  void reserve(std::size_t capacity) {
    if (capacity > capacity_) grow(capacity);
  }
  // Makes room for `count` more bytes, counts them as written, and returns where to write them.
  std::byte* extend(std::size_t count) {
    if (count > capacity_ - size_) grow(size_ + count);
    std::byte* at = data_ + size_;
    size_ += count;
    return at;
  }
  void append(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(extend(bytes.size()), bytes.data(), bytes.size());
  }
  void append(std::byte byte) { *extend(1) = byte; }

  // Gives the memory away, to be freed with dispose() on any thread, and is empty afterwards.
  std::byte* release() {
    size_ = capacity_ = 0;
    return std::exchange(data_, nullptr);
  }
  static void dispose(std::byte* memory);

private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
  bool shareable_ = false;

  bool grow_shared(std::size_t capacity);
  void grow(std::size_t capacity);  // At least doubles. Throws std::bad_alloc.
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    std::swap(shareable_, other.shareable_);
  }
};

}  // namespace ventile
