// --bar: how far a job is, in one line that is rewritten in place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <nodes/console.hpp>
#include <ventile/base/clock.hpp>

namespace ventile {

struct ProgressCounters {
  std::uint64_t finished = 0;  // Tasks with an outcome, failed ones included.
  std::uint64_t failed = 0;
  std::uint64_t requeued = 0;          // Batches.
  std::uint64_t workers = 0;           // Connected now.
  std::optional<std::uint64_t> total;  // Tasks; unknown while the input has not ended.
};

// Tasks per second, smoothed over the last few seconds.
class Rate {
public:
  void update(std::uint64_t finished, TimePoint now);
  std::optional<double> per_second() const { return per_second_; }  // Unknown before the second update.

private:
  struct Sample {
    std::uint64_t finished;
    TimePoint at;
  };
  std::optional<Sample> last_;
  std::optional<double> per_second_;
};

// "[#####---------]  36% 36.0k/100k  12.3k/s  ETA 5.2s  4 workers  2 failed  1 requeued" in at most `columns`
// characters. What matters least is left out first: the bar, then the words at the end.
std::string progress_line(const ProgressCounters& counters, std::optional<double> per_second, std::size_t columns);

enum class ProgressStyle : std::uint8_t {
  none,
  bar,    // On a terminal, rewritten in place, at most ten times a second.
  lines,  // Off a terminal, a log line a second.
};

// `asked` is --bar or --no-bar. Unasked there is a bar only on a terminal that results do not go to as well.
ProgressStyle choose_progress_style(std::optional<bool> asked, bool stderr_is_terminal, bool results_to_terminal,
                                    bool quiet);

// Shows progress on a console, which must outlive it.
class ProgressBar {
public:
  ProgressBar(Console& console, ProgressStyle style) : console_(console), log_(console.log()), style_(style) {}
  ~ProgressBar() { finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Call as often as you like; the style decides how often something is shown.
  void update(const ProgressCounters& counters, TimePoint now);
  // Removes the bar.
  void finish();

private:
  Console& console_;
  Log log_;
  ProgressStyle style_;
  Rate rate_;
  TimePoint next_ = TimePoint::min();
};

}  // namespace ventile
