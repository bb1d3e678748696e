// The payloads of tasks that have no outcome yet.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include <ventile/base/range.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

// Keeps payloads in the blocks in which they were read, each until the last of its numbers is settled: memory is that
// of the window, not that of the job. Not thread-safe.
class PayloadStore {
public:
  // The payloads of `range`, one each.
  void add(Range range, PayloadWriter&& payloads);
  // Appends the payloads from `first` on, at most `count` of them and, beyond the first, at most `bytes_max` bytes.
  // Returns how many. All must be there.
  std::uint64_t copy(Range range, std::size_t bytes_max, PayloadWriter& out) const;
  // One payload; none if it was released with its block.
  std::optional<Bytes> find(Number number) const;
  // Of the payloads of these numbers, which were added together and not released.
  std::uint64_t bytes_of(Range range) const;
  // These numbers have an outcome.
  void release(Range range);

  std::uint64_t bytes() const { return bytes_; }  // Held.
  // Calls visit(Range, PayloadView) for each block that is held, in order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [first, block] : blocks_) visit(Range{first, block.payloads.count()}, block.payloads.view());
  }

private:
  struct Block {
    PayloadWriter payloads{0};
    std::uint64_t open = 0;  // Numbers without an outcome.
  };
  std::map<Number, Block> blocks_;  // By first number.
  std::uint64_t bytes_ = 0;

  std::map<Number, Block>::const_iterator block_of(Number number) const;
};

}  // namespace ventile
