#include <nodes/map/lineup.hpp>

#include <gtest/gtest.h>

#include <tests/nodes/map/pieces.hpp>

namespace ventile {
namespace {

TEST(LineupTest, pieces_leave_by_number_whatever_their_order) {
  Lineup lineup{true};
  lineup.add(results({5, 5}));
  lineup.add(cancelled({2, 3}));
  EXPECT_FALSE(lineup.take());
  lineup.add(results({0, 2}));
  for (const Range expected : {Range{0, 2}, Range{2, 3}, Range{5, 5}})
    EXPECT_EQ(lineup.take().value_or(Piece{}).range, expected);
  EXPECT_FALSE(lineup.take());
}

TEST(LineupTest, without_order_a_piece_leaves_at_once) {
  Lineup lineup{false};
  lineup.add(results({7, 1}));
  EXPECT_EQ(lineup.take().value_or(Piece{}).range, (Range{7, 1}));
}

TEST(LineupTest, what_waits_is_known_in_bytes) {
  Lineup lineup{true};
  lineup.add(results({2, 3}));
  lineup.add(cancelled({1, 1}));
  EXPECT_EQ(lineup.held_bytes(), 3U);  // Small numbers, a byte each.
  lineup.add(results({0, 1}));
  while (lineup.take()) {
  }
  EXPECT_EQ(lineup.held_bytes(), 0U);
}

}  // namespace
}  // namespace ventile
