// Quantities as people write them on a command line, and as they read them in a summary.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// Each parser reads the whole text or answers with Code::invalid and a message that starts with "expected …" and
// quotes what it found. Blanks are not passed over.

// A whole number in [min, max]: "42", "-7", "1e9".
Result<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max);
// A finite number in [min, max]: "0.5", "1e-3".
Result<double> parse_real(std::string_view text, double min, double max);
// true, yes, on, 1; false, no, off, 0.
Result<bool> parse_switch(std::string_view text);
// "500ms", "3s", "2m", "1h30m", and plain seconds: "90", "0.5". Units ns, us, ms, s, m, h, d; at most 10,000 days.
Result<Duration> parse_duration(std::string_view text);
// Bytes: "4096", "64kB", "64MB", "1.5GiB". Units B, kB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB, in any case.
Result<std::uint64_t> parse_size(std::string_view text);

// The numbers first, first + step, … up to but not including `end`.
struct IndexRange {
  std::int64_t first = 0;
  std::int64_t end = 0;
  std::int64_t step = 1;  // Never 0; negative counts down.

  std::uint64_t count() const;
  bool operator==(const IndexRange&) const = default;
};

// "A:B" or "A:B:STEP". A range that can never reach B is an error; A equal to B is an empty range.
Result<IndexRange> parse_index_range(std::string_view text);

// These read back as the same value.
std::string to_text(Duration duration);         // "1m30s", "500ms". Not negative.
std::string size_to_text(std::uint64_t bytes);  // "64MiB", "64MB", "4100B".
std::string to_text(const IndexRange& range);

// For reading only: rounded to about three digits.
std::string rounded(Duration duration);  // "340ms", "12.3s", "2m03s", "1h02m".
std::string rounded(double count);       // "987", "12.3k", "4.56M".

}  // namespace ventile
