#include <ventile/queue/function_sets.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

TEST(FunctionSets, those_with_the_same_contents_are_one) {
  FunctionSets sets;
  const auto one = sets.share({{"square", true}, {"sum", false}});
  const auto same = sets.share({{"sum", false}, {"square", true}});
  const auto other = sets.share({{"square", true}, {"sum", true}});
  EXPECT_EQ(one, same);
  EXPECT_NE(one, other);
  EXPECT_EQ(sets.size(), 2U);
  EXPECT_FALSE(one->at("sum"));
}

TEST(FunctionSets, what_nobody_has_any_more_is_forgotten) {
  FunctionSets sets;
  auto one = sets.share({{"square", true}});
  auto same = sets.share({{"square", true}});
  one.reset();
  EXPECT_EQ(sets.size(), 1U);
  same.reset();
  EXPECT_EQ(sets.size(), 0U);
  EXPECT_TRUE(sets.share({{"square", true}})->at("square")) << "and can be had again";
}

}  // namespace
}  // namespace ventile
