// Many payloads in one frame: written back to back where they will be sent from, read where they arrived.
//
// The payload section of a frame is
//
//   payload 0 | payload 1 | … | payload n-1 | end 0 | end 1 | … | end n-1
//
// where `end i` is a little-endian u32: the offset, from the start of the section, of the byte after payload i. Any
// payload is found without reading the others, and the writer need not know their number in advance. If all payloads
// have one size, a frame does not carry the table.
#pragma once

#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include <ventile/base/buffer.hpp>

namespace ventile {

static_assert(std::endian::native == std::endian::little, "Frames are little-endian; this port needs byte swaps.");

// A view of `count` payloads inside a received frame, already checked by the codec. Copies are cheap and share the
// bytes, which must outlive them.
class PayloadView {
public:
  PayloadView() = default;
  // `data` holds the payloads, `ends` their end offsets; both as checked by check().
  PayloadView(const std::byte* data, const std::byte* ends, std::uint32_t count)
      : data_(data), ends_(ends), count_(count) {}

  // `count` payloads of `each` bytes, one behind the other.
  static PayloadView of_one_size(const std::byte* data, std::uint32_t each, std::uint32_t count) {
    PayloadView view{data, nullptr, count};
    view.each_ = each;
    return view;
  }

  // True if `ends` rise and the last one is `size`: then every payload lies inside [data, data + size).
  static bool check(const std::byte* ends, std::uint32_t count, std::size_t size);
  // What each payload has if all have the same number of bytes and at least one; otherwise 0.
  std::uint32_t one_size() const;

  std::uint32_t count() const { return count_; }
  std::uint32_t begin_of(std::uint32_t index) const { return index == 0 ? 0 : end_of(index - 1); }
  std::uint32_t end_of(std::uint32_t index) const {
    if (ends_ == nullptr) return (index + 1) * each_;
    std::uint32_t end = 0;
    std::memcpy(&end, ends_ + std::size_t{index} * sizeof end, sizeof end);
    return end;
  }
  Bytes operator[](std::uint32_t index) const {
    const std::uint32_t begin = begin_of(index);
    return {data_ + begin, end_of(index) - begin};
  }
  // The payloads [first, first + count) as one run of bytes.
  Bytes run(std::uint32_t first, std::uint32_t count) const {
    assert(std::uint64_t{first} + count <= count_);
    if (count == 0) return {};
    return {data_ + begin_of(first), end_of(first + count - 1) - begin_of(first)};
  }

private:
  const std::byte* data_ = nullptr;
  const std::byte* ends_ = nullptr;  // None: all payloads have one size.
  std::uint32_t count_ = 0;
  std::uint32_t each_ = 0;
};

// Writes payloads into a Buffer that starts with room for `headroom` bytes (the frame's header), so that the
// finished frame is sent without moving them. Write one payload into buffer() and call end_payload(); or append().
class PayloadWriter {
public:
  explicit PayloadWriter(std::size_t headroom) : headroom_(headroom) { reset(); }

  Buffer& buffer() { return buffer_; }
  void end_payload() { ends_.push_back(static_cast<std::uint32_t>(buffer_.size() - headroom_)); }
  void append(Bytes payload) {
    buffer_.append(payload);
    end_payload();
  }
  // All payloads of the slice [first, first + count) of `view`, with one copy.
  void append(const PayloadView& view, std::uint32_t first, std::uint32_t count);
  // Makes room at once for so many bytes of payloads more, `count` of them, and for a message's body behind them: who
  // knows the size spares the buffer its growing, which copies.
  void reserve(std::size_t bytes, std::size_t count);
  // These payloads will be copied, not sent from where they are: they need not lie in memory that can be lent.
  void keep_private() { buffer_.keep_private(); }
  // Forgets what was written since the last end_payload().
  void discard_open() { buffer_.truncate(headroom_ + size()); }

  std::size_t headroom() const { return headroom_; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(ends_.size()); }
  std::size_t size() const { return ends_.empty() ? 0 : ends_.back(); }  // Bytes of the finished payloads.
  std::size_t section_size() const { return size() + ends_.size() * sizeof(std::uint32_t); }

  // The finished payloads, as a receiver would see them. Valid until the next write.
  PayloadView view() const;

  // Appends the table and gives the buffer away: headroom, payloads, table. The writer is empty afterwards; a temporary
  // one must not be used any more.
  Buffer take() &;
  Buffer take() &&;
  void reset();

private:
  std::size_t headroom_;
  Buffer buffer_;
  std::vector<std::uint32_t> ends_;
};

}  // namespace ventile
