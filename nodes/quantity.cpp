#include <nodes/quantity.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

namespace ventile {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::array<Unit, 7> duration_units{{{"d", 86'400'000'000'000},
                                              {"h", 3'600'000'000'000},
                                              {"m", 60'000'000'000},
                                              {"s", 1'000'000'000},
                                              {"ms", 1'000'000},
                                              {"us", 1'000},
                                              {"ns", 1}}};
constexpr long double longest_duration = 10'000.0L * 86'400e9L;

constexpr std::array<Unit, 9> size_units{{{"TiB", 1LL << 40},
                                          {"TB", 1'000'000'000'000},
                                          {"GiB", 1LL << 30},
                                          {"GB", 1'000'000'000},
                                          {"MiB", 1LL << 20},
                                          {"MB", 1'000'000},
                                          {"KiB", 1LL << 10},
                                          {"kB", 1'000},
                                          {"B", 1}}};
constexpr long double largest_size = 9.2e18L;  // Below 2^63, so that a size fits either signedness.

Error expected(std::string_view what, std::string_view text) {
  return {Code::invalid, fmt::format("expected {}, got \"{}\"", what, text)};
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

// Takes a number such as "12" or "1.5" off the front of the text; no sign, no exponent.
// In the wide type, so that every whole number below 2^63 is exact.
std::optional<long double> take_number(std::string_view& text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  long double number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (failure != std::errc{}) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// Takes the letters off the front of the text.
std::string_view take_word(std::string_view& text) {
  std::size_t length = 0;
  while (length < text.size() && lower(text[length]) >= 'a' && lower(text[length]) <= 'z') ++length;
  const std::string_view word = text.substr(0, length);
  text.remove_prefix(length);
  return word;
}

// "1e9" and its like; std::nullopt if it is no whole number or does not fit.
std::optional<std::int64_t> whole_number(std::string_view text) {
  const char* const end = text.data() + text.size();
  std::int64_t mantissa = 0;
  auto parsed = std::from_chars(text.data(), end, mantissa);
  if (parsed.ec != std::errc{}) return std::nullopt;
  if (parsed.ptr == end) return mantissa;
  if (*parsed.ptr != 'e' && *parsed.ptr != 'E') return std::nullopt;
  unsigned exponent = 0;
  parsed = std::from_chars(parsed.ptr + 1, end, exponent);
  if (parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
  for (; exponent > 0 && mantissa != 0; --exponent) {
    if (__builtin_mul_overflow(mantissa, std::int64_t{10}, &mantissa)) return std::nullopt;
  }
  return mantissa;
}

std::string whole_number_in(std::int64_t min, std::int64_t max) {
  if (max == std::numeric_limits<std::int64_t>::max()) {
    if (min == std::numeric_limits<std::int64_t>::min()) return "a whole number";
    return fmt::format("a whole number of at least {}", min);
  }
  return fmt::format("a whole number from {} to {}", min, max);
}

}  // namespace

Result<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max) {
  const auto value = whole_number(text);
  if (!value || *value < min || *value > max) return expected(whole_number_in(min, max), text);
  return *value;
}

Result<double> parse_real(std::string_view text, double min, double max) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || !std::isfinite(value) || value < min || value > max) {
    return expected(fmt::format("a number from {} to {}", min, max), text);
  }
  return value;
}

Result<bool> parse_switch(std::string_view text) {
  for (const std::string_view word : {"true", "yes", "on", "1"}) {
    if (equal_ignoring_case(text, word)) return true;
  }
  for (const std::string_view word : {"false", "no", "off", "0"}) {
    if (equal_ignoring_case(text, word)) return false;
  }
  return expected("true or false", text);
}

Result<Duration> parse_duration(std::string_view text) {
  const auto failure = expected("a duration such as 500ms, 3s, 2m or 1h30m", text);
  std::string_view rest = text;
  long double nanoseconds = 0;
  do {
    const bool is_first = rest.size() == text.size();
    const auto number = take_number(rest);
    if (!number) return failure;
    const bool is_plain = is_first && rest.empty();
    const std::string_view name = is_plain ? "s" : take_word(rest);
    const auto* const unit = std::find_if(duration_units.begin(), duration_units.end(),
                                          [&](const Unit& candidate) { return candidate.name == name; });
    if (unit == duration_units.end()) return failure;
    nanoseconds += *number * static_cast<long double>(unit->factor);
    if (nanoseconds > longest_duration) return expected("a duration of at most 10000 days", text);
  } while (!rest.empty());
  return Duration{std::llround(nanoseconds)};
}

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto failure = expected("a size such as 4096, 64MB or 1GiB", text);
  std::string_view rest = text;
  const auto number = take_number(rest);
  if (!number) return failure;
  const std::string_view name = rest.empty() ? "B" : rest;
  const auto* const unit = std::find_if(size_units.begin(), size_units.end(), [&](const Unit& candidate) {
    return equal_ignoring_case(candidate.name, name);
  });
  if (unit == size_units.end()) return failure;
  const long double bytes = *number * static_cast<long double>(unit->factor);
  if (bytes > largest_size) return expected("a size below 8 EiB", text);
  return static_cast<std::uint64_t>(std::llround(bytes));
}

std::uint64_t IndexRange::count() const {
  if (first == end || (first < end) != (step > 0)) return 0;
  // Unsigned, because the distance between two signed numbers may not fit a signed one.
  const auto low = static_cast<std::uint64_t>(std::min(first, end));
  const auto high = static_cast<std::uint64_t>(std::max(first, end));
  const std::uint64_t distance = high - low;
  const std::uint64_t stride = step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  return distance / stride + (distance % stride != 0 ? 1 : 0);
}

Result<IndexRange> parse_index_range(std::string_view text) {
  const auto failure = expected("a range A:B or A:B:STEP of whole numbers", text);
  const std::size_t first_colon = text.find(':');
  if (first_colon == std::string_view::npos) return failure;
  const std::size_t second_colon = text.find(':', first_colon + 1);
  const auto first = whole_number(text.substr(0, first_colon));
  const auto end = whole_number(text.substr(first_colon + 1, second_colon - first_colon - 1));
  const auto step = second_colon == std::string_view::npos ? 1 : whole_number(text.substr(second_colon + 1));
  if (!first || !end || !step) return failure;
  if (*step == 0) return expected("a range whose STEP is not 0", text);
  const IndexRange range{*first, *end, *step};
  if (range.count() == 0 && *first != *end) return expected("a range whose STEP leads from A to B", text);
  return range;
}

std::string to_text(Duration duration) {
  std::string text;
  std::int64_t rest = duration.count();
  for (const Unit& unit : duration_units) {
    if (rest >= unit.factor) text += fmt::format("{}{}", rest / unit.factor, unit.name);
    rest %= unit.factor;
  }
  return text.empty() ? "0s" : text;
}

std::string size_to_text(std::uint64_t bytes) {
  for (const Unit& unit : size_units) {
    const auto factor = static_cast<std::uint64_t>(unit.factor);
    if (bytes >= factor && bytes % factor == 0) return fmt::format("{}{}", bytes / factor, unit.name);
  }
  return "0B";
}

std::string to_text(const IndexRange& range) {
  if (range.step == 1) return fmt::format("{}:{}", range.first, range.end);
  return fmt::format("{}:{}:{}", range.first, range.end, range.step);
}

std::string rounded(Duration duration) {
  const double seconds = to_seconds(duration);
  if (seconds < 0.9995) return fmt::format("{:.0f}ms", seconds * 1e3);
  if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
}

std::string rounded(double count) {
  constexpr std::array suffixes{"", "k", "M", "G", "T"};
  std::size_t suffix = 0;
  while (count >= 999.5 && suffix + 1 < suffixes.size()) {
    count /= 1000;
    ++suffix;
  }
  const int decimals = suffix == 0 ? (count < 9.95 && count != std::floor(count) ? 1 : 0)
                                   : (count < 9.995 ? 2 : (count < 99.95 ? 1 : 0));
  return fmt::format("{:.{}f}{}", count, decimals, suffixes[suffix]);
}

}  // namespace ventile
