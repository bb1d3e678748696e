#include <ventile/wire/payloads.hpp>

#include <utility>

namespace ventile {

bool PayloadView::check(const std::byte* ends, std::uint32_t count, std::size_t size) {
  const PayloadView view{nullptr, ends, count};
  std::uint32_t previous = 0;
  bool rising = true;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t end = view.end_of(i);
    rising &= end >= previous;
    previous = end;
  }
  return rising && previous == size;
}

std::uint32_t PayloadView::one_size() const {
  if (count_ == 0) return 0;
  if (ends_ == nullptr) return each_;
  const std::uint32_t each = end_of(0);
  if (end_of(count_ - 1) != std::uint64_t{each} * count_) return 0;  // Of most, this is all that need be seen.
  bool same = true;
  for (std::uint32_t i = 0; i < count_; ++i) same &= end_of(i) == (i + 1) * each;
  return same ? each : 0;
}

void PayloadWriter::append(const PayloadView& view, std::uint32_t first, std::uint32_t count) {
  const auto base = static_cast<std::uint32_t>(size()) - view.begin_of(first);  // Wraps; so does the sum below.
  buffer_.append(view.run(first, count));
  ends_.reserve(ends_.size() + count);
  for (std::uint32_t i = first; i < first + count; ++i) ends_.push_back(base + view.end_of(i));
}

void PayloadWriter::reserve(std::size_t bytes, std::size_t count) {
  constexpr std::size_t body = 256;  // More than that of any TASKS or RESULTS without failures.
  ends_.reserve(ends_.size() + count);
  buffer_.reserve(buffer_.size() + bytes + (ends_.size() + count) * sizeof(std::uint32_t) + body);
}

PayloadView PayloadWriter::view() const {
  return {buffer_.data() + headroom_, reinterpret_cast<const std::byte*>(ends_.data()), count()};
}

Buffer PayloadWriter::take() & {
  Buffer taken = std::move(*this).take();
  reset();
  return taken;
}

Buffer PayloadWriter::take() && {
  discard_open();
  buffer_.append(std::as_bytes(std::span{ends_}));
  return std::move(buffer_);
}

void PayloadWriter::reset() {
  buffer_ = headroom_ > 0 ? Buffer::shareable() : Buffer{};  // It becomes a frame.
  buffer_.extend(headroom_);
  ends_.clear();
}

}  // namespace ventile
