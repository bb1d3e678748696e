#include <ventile/queue/payload_store.hpp>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

#include <ventile/queue/large.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

void PayloadStore::add(Range range, PayloadWriter&& payloads) {
  assert(payloads.count() == range.count);
  const std::uint64_t bytes = payloads.section_size();
  bytes_ += bytes;
  blocks_.emplace(range.first, Block{std::move(payloads), nullptr, {}, range.count, bytes});
}

bool PayloadStore::Block::lendable() const {
  return frame == nullptr && payloads.headroom() == frame_header_size && are_large(payloads.size(), payloads.count());
}

std::shared_ptr<const Buffer> PayloadStore::lend(Range range, std::size_t bytes_max, const Finish& finish) {
  const auto it = blocks_.find(range.first);
  if (it == blocks_.end()) return nullptr;
  Block& block = it->second;
  if (block.count() > range.count || block.bytes > bytes_max || !block.lendable()) return nullptr;
  const std::uint32_t count = block.count();
  auto frame = std::make_shared<const Buffer>(finish(block.payloads.take(), count));
  block.lent = payloads_of(frame->bytes());
  block.frame = frame;
  return frame;
}

std::uint64_t PayloadStore::until_lendable(Range range) const {
  auto it = blocks_.upper_bound(range.first);
  while (it != blocks_.end() && it->first < range.end() && !it->second.lendable()) ++it;
  return it == blocks_.end() || it->first >= range.end() ? range.count : it->first - range.first;
}

std::map<Number, PayloadStore::Block>::const_iterator PayloadStore::block_of(Number number) const {
  auto it = blocks_.upper_bound(number);
  if (it == blocks_.begin()) return blocks_.end();
  --it;
  return number - it->first < it->second.count() ? it : blocks_.end();
}

std::uint64_t PayloadStore::copy(Range range, std::size_t bytes_max, PayloadWriter& out) const {
  std::uint64_t copied = 0;
  while (copied < range.count) {
    const Number at = range.first + copied;
    const auto block = block_of(at);
    assert(block != blocks_.end());
    const PayloadView view = block->second.view();
    const auto first = static_cast<std::uint32_t>(at - block->first);
    auto count = static_cast<std::uint32_t>(std::min<std::uint64_t>(range.count - copied, view.count() - first));
    const auto cost = [&](std::uint32_t n) {
      return out.section_size() + view.run(first, n).size() + n * sizeof(std::uint32_t);
    };
    if (cost(count) > bytes_max) {  // The largest number that fits, by bisection.
      std::uint32_t fits = 0;
      for (std::uint32_t too_many = count; too_many - fits > 1;) {
        const std::uint32_t middle = fits + (too_many - fits) / 2;
        (cost(middle) <= bytes_max ? fits : too_many) = middle;
      }
      count = fits;
    }
    if (count == 0 && copied > 0) break;
    count = std::max(count, 1U);
    if (copied == 0) out.reserve(view.run(first, count).size(), count);  // Most ranges lie in one block.
    out.append(view, first, count);
    copied += count;
    if (out.section_size() >= bytes_max) break;
  }
  return copied;
}

std::optional<Bytes> PayloadStore::find(Number number) const {
  const auto block = block_of(number);
  if (block == blocks_.end()) return std::nullopt;
  return block->second.view()[static_cast<std::uint32_t>(number - block->first)];
}

std::optional<PayloadView> PayloadStore::block(Range range) const {
  const auto it = blocks_.find(range.first);
  if (it == blocks_.end() || it->second.count() != range.count) return std::nullopt;
  return it->second.view();
}

std::uint64_t PayloadStore::bytes_of(Range range) const {
  const auto block = block_of(range.first);
  if (block == blocks_.end()) return 0;
  const auto first = static_cast<std::uint32_t>(range.first - block->first);
  return block->second.view().run(first, static_cast<std::uint32_t>(range.count)).size();
}

void PayloadStore::release(Range range) {
  auto it = blocks_.upper_bound(range.first);
  if (it != blocks_.begin()) --it;
  while (it != blocks_.end() && it->first < range.end()) {
    Block& block = it->second;
    block.open -= intersection({it->first, block.count()}, range).count;
    if (block.open > 0) {
      ++it;
      continue;
    }
    bytes_ -= block.bytes;
    it = blocks_.erase(it);
  }
}

}  // namespace ventile
