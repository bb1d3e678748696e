#include <nodes/halt.hpp>

#include <random>

#include <gtest/gtest.h>

namespace ventile {
namespace {

HaltRule rule_of(std::string_view text) {
  const auto parsed = parse_halt(text);
  EXPECT_TRUE(parsed && *parsed) << text;
  return parsed && *parsed ? **parsed : HaltRule{};
}

TEST(HaltTest, never_is_no_rule) {
  const auto parsed = parse_halt("never");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, std::nullopt);
}

TEST(HaltTest, a_rule_has_a_when_a_why_and_a_threshold) {
  EXPECT_EQ(rule_of("now,fail=1"), (HaltRule{HaltRule::When::now, HaltRule::Why::fail, HaltRule::Tasks{1}}));
  EXPECT_EQ(rule_of("soon,success=1e3"),
            (HaltRule{HaltRule::When::soon, HaltRule::Why::success, HaltRule::Tasks{1000}}));
  EXPECT_EQ(rule_of("soon,fail=3%"), (HaltRule{HaltRule::When::soon, HaltRule::Why::fail, HaltRule::Percent{3}}));
  EXPECT_EQ(rule_of("now,done=0.5%"), (HaltRule{HaltRule::When::now, HaltRule::Why::done, HaltRule::Percent{0.5}}));
}

TEST(HaltTest, what_is_no_rule_is_refused) {
  for (const auto* text :
       {"", "soon", "now,fail", "later,fail=1", "now,crash=1", "now,fail=0", "now,fail=-1", "now,fail=0%",
        "now,fail=101%", "now,fail=%", "now,fail=1.5", "fail=1,now", "never,fail=1"}) {
    const auto parsed = parse_halt(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::invalid);
  }
}

TEST(HaltTest, a_number_of_failures_is_reached_by_that_many) {
  const HaltRule rule = rule_of("now,fail=2");
  EXPECT_FALSE(rule.reached({.failed = 1, .succeeded = 100}));
  EXPECT_TRUE(rule.reached({.failed = 2, .succeeded = 0}));
}

TEST(HaltTest, each_why_counts_its_own_kind) {
  const HaltCounts counts{.failed = 2, .succeeded = 3, .total = 10};
  EXPECT_FALSE(rule_of("now,fail=3").reached(counts));
  EXPECT_TRUE(rule_of("now,success=3").reached(counts));
  EXPECT_TRUE(rule_of("now,done=5").reached(counts));
  EXPECT_FALSE(rule_of("now,done=6").reached(counts));
}

TEST(HaltTest, a_percentage_is_of_the_total_when_that_is_known) {
  const HaltRule rule = rule_of("soon,fail=3%");
  EXPECT_FALSE(rule.reached({.failed = 2, .succeeded = 0, .total = 100}));
  EXPECT_TRUE(rule.reached({.failed = 3, .succeeded = 0, .total = 100}));
  EXPECT_TRUE(rule.reached({.failed = 1, .succeeded = 0, .total = 10}));
  EXPECT_FALSE(rule.reached({.failed = 0, .succeeded = 0, .total = 0}));
}

TEST(HaltTest, a_percentage_of_an_unknown_total_needs_three_of_those_finished) {
  const HaltRule rule = rule_of("soon,fail=10%");
  EXPECT_FALSE(rule.reached({.failed = 2, .succeeded = 0}));
  EXPECT_TRUE(rule.reached({.failed = 3, .succeeded = 27}));
  EXPECT_FALSE(rule.reached({.failed = 3, .succeeded = 28}));
}

TEST(HaltTest, a_rule_reads_back_as_written) {
  for (const auto* text : {"never", "now,fail=1", "soon,fail=3%", "soon,success=10", "now,done=0.5%"}) {
    EXPECT_EQ(to_text(*parse_halt(text)), text);
  }
}

TEST(HaltTest, no_text_crashes_the_parser_and_what_it_accepts_reads_back) {
  static constexpr std::string_view whens[] = {"now", "soon", "never", ""};
  static constexpr std::string_view whys[] = {",fail=", ",success=", ",done=", ",", "=", ""};
  static constexpr std::string_view thresholds[] = {"1", "3%", "1e9", "0.25%", "-1", "%", "nan%", "", "1,fail=2"};
  std::mt19937 random{3};
  int accepted = 0;
  for (int round = 0; round < 5000; ++round) {
    std::string text{whens[random() % std::size(whens)]};
    text += whys[random() % std::size(whys)];
    text += thresholds[random() % std::size(thresholds)];
    if (random() % 4 == 0 && !text.empty()) text[random() % text.size()] = static_cast<char>(random());
    const auto parsed = parse_halt(text);
    if (!parsed) continue;
    ++accepted;
    EXPECT_EQ(*parse_halt(to_text(*parsed)), *parsed) << text;
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace ventile
