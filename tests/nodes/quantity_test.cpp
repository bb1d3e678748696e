#include <nodes/quantity.hpp>

#include <cstdint>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();

Duration duration_of(std::string_view text) {
  const auto parsed = parse_duration(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : Duration{-1};
}

std::uint64_t size_of(std::string_view text) {
  const auto parsed = parse_size(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : 0;
}

IndexRange range_of(std::string_view text) {
  const auto parsed = parse_index_range(text);
  EXPECT_TRUE(parsed) << text;
  return parsed ? *parsed : IndexRange{};
}

// Text that looks like what the parsers expect more often than pure noise would.
std::string random_text(std::mt19937& random) {
  static constexpr std::string_view letters = "0123456789..::,,==%-+ eEnNmMsSkKgGiBhdu\\{}[]\"\0\xff";
  std::string text;
  const auto length = std::uniform_int_distribution<std::size_t>{0, 24}(random);
  for (std::size_t at = 0; at < length; ++at) {
    text += letters[std::uniform_int_distribution<std::size_t>{0, letters.size() - 1}(random)];
  }
  return text;
}

TEST(QuantityTest, a_whole_number_may_be_written_with_an_exponent) {
  EXPECT_EQ(*parse_integer("1e9", lowest, highest), 1'000'000'000);
  EXPECT_EQ(*parse_integer("-2E3", lowest, highest), -2000);
  EXPECT_EQ(*parse_integer("9223372036854775807", lowest, highest), highest);
  EXPECT_EQ(*parse_integer("0e999999999", lowest, highest), 0);
}

TEST(QuantityTest, what_is_no_whole_number_within_bounds_is_refused_with_the_bounds) {
  for (const auto* text : {"", "x", "1.5", "1e", "1e-2", "1e19", "9223372036854775808", " 1", "1 ", "0x10"}) {
    EXPECT_FALSE(parse_integer(text, lowest, highest)) << text;
  }
  EXPECT_EQ(parse_integer("5000", 1, 4096).error().message, "expected a whole number from 1 to 4096, got \"5000\"");
  EXPECT_EQ(parse_integer("0", 1, highest).error().message, "expected a whole number of at least 1, got \"0\"");
  EXPECT_EQ(parse_integer("?", lowest, highest).error().message, "expected a whole number, got \"?\"");
}

TEST(QuantityTest, a_real_number_is_finite_and_within_bounds) {
  EXPECT_DOUBLE_EQ(*parse_real("2.5e-1", 0, 1), 0.25);
  for (const auto* text : {"nan", "inf", "1.01", "-0.1", "", "0.5x"}) EXPECT_FALSE(parse_real(text, 0, 1)) << text;
}

TEST(QuantityTest, a_switch_knows_four_words_for_each_side) {
  for (const auto* text : {"true", "YES", "on", "1"}) EXPECT_TRUE(*parse_switch(text)) << text;
  for (const auto* text : {"false", "No", "off", "0"}) EXPECT_FALSE(*parse_switch(text)) << text;
  EXPECT_FALSE(parse_switch("maybe"));
}

TEST(QuantityTest, a_duration_has_units_or_is_in_seconds) {
  EXPECT_EQ(duration_of("500ms"), 500ms);
  EXPECT_EQ(duration_of("3s"), 3s);
  EXPECT_EQ(duration_of("2m"), 2min);
  EXPECT_EQ(duration_of("1h30m"), 90min);
  EXPECT_EQ(duration_of("1d"), 24h);
  EXPECT_EQ(duration_of("90"), 90s);
  EXPECT_EQ(duration_of("0.5"), 500ms);
  EXPECT_EQ(duration_of("0"), 0s);
  EXPECT_EQ(duration_of("7us"), 7us);
  EXPECT_EQ(duration_of("10000d"), 240'000h);
}

TEST(QuantityTest, what_is_no_duration_is_refused) {
  for (const auto* text : {"", "s", "-1s", "3 s", "5x", "1m30", "0s5", "1e3", "nan", "inf", "10001d", "1..5s"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(QuantityTest, a_size_has_decimal_and_binary_units) {
  EXPECT_EQ(size_of("4096"), 4096U);
  EXPECT_EQ(size_of("64MB"), 64'000'000U);
  EXPECT_EQ(size_of("64mib"), 64U << 20);
  EXPECT_EQ(size_of("1.5GiB"), 3ULL << 29);
  EXPECT_EQ(size_of("1TiB"), 1ULL << 40);
  EXPECT_EQ(size_of("9007199254740993"), 9'007'199'254'740'993U);
  for (const auto* text : {"", "MB", "-1", "1K", "1 MB", "1e6", "1.5.5MB", "99999999999TB"}) {
    EXPECT_FALSE(parse_size(text)) << text;
  }
}

TEST(QuantityTest, a_range_counts_its_numbers) {
  EXPECT_EQ(range_of("0:1e9"), (IndexRange{0, 1'000'000'000, 1}));
  EXPECT_EQ(range_of("0:1e9").count(), 1'000'000'000U);
  EXPECT_EQ(range_of("0:10:3").count(), 4U);
  EXPECT_EQ(range_of("10:0:-5").count(), 2U);
  EXPECT_EQ(range_of("5:5").count(), 0U);
  EXPECT_EQ((IndexRange{lowest, highest, 1}.count()), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ((IndexRange{highest, lowest, lowest}.count()), 2U);
}

TEST(QuantityTest, a_range_that_cannot_reach_its_end_is_refused) {
  for (const auto* text : {"", ":", "1", "1:", ":1", "1:2:", "1:2:0", "2:1", "1:2:-1", "1:2:3:4", "a:b"}) {
    EXPECT_FALSE(parse_index_range(text)) << text;
  }
}

TEST(QuantityTest, durations_sizes_and_ranges_read_back_as_written) {
  std::mt19937_64 random{7};
  for (int round = 0; round < 2000; ++round) {
    const auto shift = random() % 60;
    const Duration duration{static_cast<std::int64_t>((random() >> shift) % 864'000'000'000'000'000)};
    EXPECT_EQ(duration_of(to_text(duration)), duration) << to_text(duration);
    const std::uint64_t size = (random() >> shift) % 9'000'000'000'000'000'000U;
    EXPECT_EQ(size_of(size_to_text(size)), size) << size_to_text(size);
    const IndexRange range{static_cast<std::int64_t>(random() >> 2), highest, static_cast<std::int64_t>(shift + 1)};
    EXPECT_EQ(range_of(to_text(range)), range) << to_text(range);
  }
  EXPECT_EQ(to_text(90s), "1m30s");
  EXPECT_EQ(to_text(Duration{0}), "0s");
  EXPECT_EQ(size_to_text(64'000'000), "64MB");
  EXPECT_EQ(size_to_text(1 << 20), "1MiB");
}

TEST(QuantityTest, rounded_figures_have_about_three_digits) {
  EXPECT_EQ(rounded(Duration{340ms}), "340ms");
  EXPECT_EQ(rounded(Duration{999'600us}), "1.0s");
  EXPECT_EQ(rounded(Duration{12'340ms}), "12.3s");
  EXPECT_EQ(rounded(Duration{59'960ms}), "1m00s");
  EXPECT_EQ(rounded(Duration{123s}), "2m03s");
  EXPECT_EQ(rounded(Duration{3725s}), "1h02m");
  EXPECT_EQ(rounded(0.0), "0");
  EXPECT_EQ(rounded(2.5), "2.5");
  EXPECT_EQ(rounded(987.0), "987");
  EXPECT_EQ(rounded(999.7), "1.00k");
  EXPECT_EQ(rounded(12'345.0), "12.3k");
  EXPECT_EQ(rounded(4'560'000.0), "4.56M");
  EXPECT_EQ(rounded(1e9), "1.00G");
}

TEST(QuantityTest, no_text_crashes_a_parser_and_every_refusal_quotes_it) {
  std::mt19937 random{11};
  const auto check = [](const auto& parsed, const std::string& text) {
    if (parsed) return;
    EXPECT_TRUE(parsed.error().message.starts_with("expected ")) << text;
    EXPECT_NE(parsed.error().message.find("\"" + text + "\""), std::string::npos) << text;
  };
  for (int round = 0; round < 20'000; ++round) {
    const std::string text = random_text(random);
    check(parse_integer(text, -5, 1000), text);
    check(parse_real(text, 0, 10), text);
    check(parse_switch(text), text);
    check(parse_duration(text), text);
    check(parse_size(text), text);
    check(parse_index_range(text), text);
  }
}

}  // namespace
}  // namespace ventile
