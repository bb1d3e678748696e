#include <ventile/task/process.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::HasSubstr;
using Words = std::vector<std::string>;

Words split(std::string_view text) {
  Result<Words> words = split_words(text);
  EXPECT_TRUE(words) << text;
  return words ? *words : Words{"error"};
}

std::string complaint(const auto& result) { return result ? "no error" : result.error().message; }

TEST(SplitWords, blanks_separate_and_nothing_is_expanded) {
  EXPECT_EQ(split("  convert\t-resize \n 50% *.jpg $HOME ~ | "),
            (Words{"convert", "-resize", "50%", "*.jpg", "$HOME", "~", "|"}));
  EXPECT_EQ(split(""), Words{});
  EXPECT_EQ(split(" \n"), Words{});
}

TEST(SplitWords, single_quotes_keep_everything) {
  EXPECT_EQ(split(R"('a "b" \n $c' 'd''e' x'y z'w)"), (Words{R"(a "b" \n $c)", "de", "xy zw"}));
}

TEST(SplitWords, double_quotes_keep_all_but_what_sh_lets_a_backslash_escape) {
  EXPECT_EQ(split(R"("a 'b' \"c\" \\ \$d \` \n")"), (Words{R"(a 'b' "c" \ $d ` \n)"}));
  EXPECT_EQ(split("\"one \\\nline\""), Words{"one line"});
}

TEST(SplitWords, a_backslash_keeps_the_next_character) {
  EXPECT_EQ(split(R"(a\ b \"c\' \\ \n)"), (Words{"a b", "\"c'", "\\", "n"}));
}

TEST(SplitWords, a_backslash_joins_lines) { EXPECT_EQ(split("one \\\n two\\\nthree"), (Words{"one", "twothree"})); }

TEST(SplitWords, quotes_make_empty_words) { EXPECT_EQ(split(R"('' a "")"), (Words{"", "a", ""})); }

TEST(SplitWords, an_open_quote_is_named_with_its_place) {
  EXPECT_THAT(complaint(split_words("echo 'abc")), HasSubstr("single quote (') at character 6"));
  EXPECT_THAT(complaint(split_words("\"abc")), HasSubstr("double quote (\") at character 1"));
  EXPECT_THAT(complaint(split_words("\"abc\\\"")), HasSubstr("double quote (\") at character 1"));
  EXPECT_THAT(complaint(split_words("abc\\")), HasSubstr("backslash"));
}

TEST(Expand, every_placeholder_is_replaced) {
  EXPECT_EQ(*expand({"cp", "{}", "{}.bak", "<{}{}>"}, "a"), (Words{"cp", "a", "a.bak", "<aa>"}));
}

TEST(Expand, the_text_stays_one_word_and_is_not_looked_at_again) {
  EXPECT_EQ(*expand({"echo", "{}"}, "a 'b' {} \n"), (Words{"echo", "a 'b' {} \n"}));
  EXPECT_EQ(*expand({"echo", "{}"}, ""), (Words{"echo", ""}));
}

TEST(Expand, without_a_placeholder_the_text_is_the_last_word) {
  EXPECT_EQ(*expand({"wc", "-l"}, "a b"), (Words{"wc", "-l", "a b"}));
}

TEST(Expand, a_NUL_is_refused) {
  EXPECT_THAT(complaint(expand({"echo"}, std::string_view{"a\0b", 3})), HasSubstr("NUL"));
}

}  // namespace
}  // namespace ventile
