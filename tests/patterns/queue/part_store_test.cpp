#include <ventile/queue/part_store.hpp>

#include <gtest/gtest.h>

#include <string>

namespace ventile {
namespace {

constexpr std::size_t piece = 1000;

// Half of a message, which is twice as long.
struct HalfMessage {
  HalfMessage() {
    PayloadWriter payloads{frame_header_size};
    payloads.append(as_bytes(std::string(piece, 'x')));
    frame = encode({}, Part{1, 0, 2 * piece, {}}, std::move(payloads));
    part = std::get<Part>(decode(frame)->message);
  }
  Buffer frame;
  Part part;
};

TEST(PartStore, what_is_whole_is_kept_no_longer) {
  HalfMessage half;
  PartStore store;
  EXPECT_TRUE(store.add({7}, half.part)->empty());
  EXPECT_EQ(store.held_bytes(), piece);
  half.part.offset = piece;
  EXPECT_EQ(store.add({7}, half.part)->size(), 2 * piece);
  EXPECT_EQ(store.held_bytes(), 0U);
  EXPECT_EQ(store.senders(), 0U);
}

// Each name once had a gigabyte of its own, until the sink ended.
TEST(PartStore, strangers_without_end_take_bounded_memory) {
  const HalfMessage half;
  PartStore store{10 * piece};
  for (std::uint64_t stranger = 1; stranger <= 100; ++stranger) EXPECT_TRUE(store.add({stranger}, half.part));
  EXPECT_EQ(store.held_bytes(), 10 * piece);
  EXPECT_EQ(store.senders(), 10U);
}

TEST(PartStore, the_sender_that_was_silent_for_the_longest_makes_room) {
  HalfMessage half;
  PartStore store{2 * piece};
  EXPECT_TRUE(store.add({1}, half.part));
  EXPECT_TRUE(store.add({2}, half.part));
  EXPECT_TRUE(store.add({3}, half.part));
  half.part.offset = piece;
  EXPECT_EQ(store.add({1}, half.part).error().message, "a part is missing");
  EXPECT_EQ(store.add({2}, half.part)->size(), 2 * piece);
}

}  // namespace
}  // namespace ventile
