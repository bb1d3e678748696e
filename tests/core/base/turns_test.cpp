#include <ventile/base/turns.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>

#include "tests/support/slice.hpp"

namespace ventile {
namespace {

// Of a kernel that has no such thing, or does not let us, all of these slices are what they were at first.
class TurnsTest : public ::testing::Test {
protected:
  const std::uint64_t usual = slice_of_this_thread();

  static std::uint64_t shortest() {
    const ShortTurns turns;
    return slice_of_this_thread();
  }
};

TEST_F(TurnsTest, last_for_as_long_as_somebody_wants_them) {
  {
    const ShortTurns turns;
    EXPECT_EQ(slice_of_this_thread(), usual == 0 ? 0 : shortest());
    EXPECT_LE(slice_of_this_thread(), usual);
    {
      const ShortTurns within;
      EXPECT_EQ(slice_of_this_thread(), shortest());
    }
    EXPECT_EQ(slice_of_this_thread(), shortest()) << "whoever wanted them first wants them still";
  }
  EXPECT_EQ(slice_of_this_thread(), usual);
}

TEST_F(TurnsTest, are_inherited_until_a_thread_says_otherwise) {
  const std::uint64_t few = shortest();
  const ShortTurns turns;
  std::thread([&] {
    EXPECT_EQ(slice_of_this_thread(), few);
    have_usual_turns();
    EXPECT_EQ(slice_of_this_thread(), usual);
  }).join();
  EXPECT_EQ(slice_of_this_thread(), few) << "the others' turns are their own";
}

TEST_F(TurnsTest, usual_turns_stay_what_they_are) {
  have_usual_turns();
  EXPECT_EQ(slice_of_this_thread(), usual);
}

}  // namespace
}  // namespace ventile
