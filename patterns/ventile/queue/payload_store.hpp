// The payloads of tasks that have no outcome yet.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
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
  // If a block of large payloads begins at `range` and ends within it: that block as a frame which is sent where it
  // lies, without a copy. `finish` makes a frame of the section of `count` payloads that stands behind
  // frame_header_size bytes, which the block must have been written with. Null if there is no such block, if its frame
  // would not fit into `bytes_max`, or if it was lent before: then it may still be on its way, with another header.
  using Finish = std::function<Buffer(Buffer&& section, std::uint32_t count)>;
  std::shared_ptr<const Buffer> lend(Range range, std::size_t bytes_max, const Finish& finish);
  // How many of `count` tasks from `first` on had better be copied, so that what follows can be lent.
  std::uint64_t until_lendable(Range range) const;
  // One payload; none if it was released with its block.
  std::optional<Bytes> find(Number number) const;
  // The block that was added for these numbers, and is there as a whole; none if it is gone.
  std::optional<PayloadView> block(Range range) const;
  // Of the payloads of these numbers, which were added together and not released.
  std::uint64_t bytes_of(Range range) const;
  // These numbers have an outcome.
  void release(Range range);

  std::uint64_t bytes() const { return bytes_; }  // Held.
  // Calls visit(Range, PayloadView) for each block that is held, in order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [first, block] : blocks_) visit(Range{first, block.count()}, block.view());
  }

private:
  struct Block {
    PayloadWriter payloads{0};            // Until it is lent;
    std::shared_ptr<const Buffer> frame;  // then they are in here,
    PayloadView lent;                     // and here.
    std::uint64_t open = 0;               // Numbers without an outcome.
    std::uint64_t bytes = 0;              // With their table.

    PayloadView view() const { return frame == nullptr ? payloads.view() : lent; }
    std::uint32_t count() const { return frame == nullptr ? payloads.count() : lent.count(); }
    bool lendable() const;
  };
  std::map<Number, Block> blocks_;  // By first number.
  std::uint64_t bytes_ = 0;

  std::map<Number, Block>::const_iterator block_of(Number number) const;
};

}  // namespace ventile
