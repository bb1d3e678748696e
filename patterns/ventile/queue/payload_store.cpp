#include <ventile/queue/payload_store.hpp>

#include <algorithm>
#include <cassert>
#include <iterator>

namespace ventile {

void PayloadStore::add(Range range, PayloadWriter&& payloads) {
  assert(payloads.count() == range.count);
  bytes_ += payloads.section_size();
  blocks_.emplace(range.first, Block{std::move(payloads), range.count});
}

std::map<Number, PayloadStore::Block>::const_iterator PayloadStore::block_of(Number number) const {
  auto it = blocks_.upper_bound(number);
  if (it == blocks_.begin()) return blocks_.end();
  --it;
  return number - it->first < it->second.payloads.count() ? it : blocks_.end();
}

std::uint64_t PayloadStore::copy(Range range, std::size_t bytes_max, PayloadWriter& out) const {
  std::uint64_t copied = 0;
  while (copied < range.count) {
    const Number at = range.first + copied;
    const auto block = block_of(at);
    assert(block != blocks_.end());
    const PayloadView view = block->second.payloads.view();
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
  return block->second.payloads.view()[static_cast<std::uint32_t>(number - block->first)];
}

std::uint64_t PayloadStore::bytes_of(Range range) const {
  const auto block = block_of(range.first);
  if (block == blocks_.end()) return 0;
  const auto first = static_cast<std::uint32_t>(range.first - block->first);
  return block->second.payloads.view().run(first, static_cast<std::uint32_t>(range.count)).size();
}

void PayloadStore::release(Range range) {
  auto it = blocks_.upper_bound(range.first);
  if (it != blocks_.begin()) --it;
  while (it != blocks_.end() && it->first < range.end()) {
    Block& block = it->second;
    block.open -= intersection({it->first, block.payloads.count()}, range).count;
    if (block.open > 0) {
      ++it;
      continue;
    }
    bytes_ -= block.payloads.section_size();
    it = blocks_.erase(it);
  }
}

}  // namespace ventile
