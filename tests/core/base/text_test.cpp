#include <ventile/base/text.hpp>

#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace ventile {
namespace {

TEST(Text, is_the_text_that_it_was_made_of) {
  EXPECT_EQ(Text{"boom"}, "boom");
  EXPECT_EQ(Text{std::string(1000, 'x')}.string(), std::string(1000, 'x'));
  EXPECT_EQ(Text{}.view(), "");
  EXPECT_TRUE(Text{""}.empty());
  EXPECT_EQ(Text{"boom"}.size(), 4U);
}

TEST(Text, is_a_value) {
  Text one{"one"};
  Text copy = one;
  one = "two";
  EXPECT_EQ(copy, "one");
  const Text& itself = copy;
  copy = itself;
  EXPECT_EQ(copy, "one");
  const Text taken = std::move(copy);
  EXPECT_EQ(taken, "one");
  EXPECT_TRUE(copy.empty());  // NOLINT(bugprone-use-after-move): that is the question.
}

TEST(Text, takes_half_of_what_a_string_takes) { EXPECT_EQ(2 * sizeof(Text), sizeof(std::string)); }

}  // namespace
}  // namespace ventile
