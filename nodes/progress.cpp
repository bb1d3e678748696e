#include <nodes/progress.hpp>

#include <algorithm>
#include <cmath>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <nodes/quantity.hpp>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr double smoothing_seconds = 5;
constexpr std::size_t bar_width_max = 40;
constexpr std::size_t bar_width_min = 10;
constexpr std::size_t off_terminal_columns = 200;

double fraction_of(std::uint64_t finished, std::uint64_t total) {
  if (total == 0) return 1;
  return std::min(1.0, static_cast<double>(finished) / static_cast<double>(total));
}

std::string time_left(std::uint64_t left, std::optional<double> per_second) {
  if (!per_second || *per_second <= 0) return "ETA ?";
  const double seconds = static_cast<double>(left) / *per_second;
  constexpr double longest = 3600.0 * 24 * 365;
  return seconds > longest ? "ETA > 1 year" : "ETA " + rounded(from_seconds(seconds));
}

// The words of the line, what matters most first.
std::vector<std::string> words_of(const ProgressCounters& counters, std::optional<double> per_second) {
  const std::string finished = rounded(static_cast<double>(counters.finished));
  std::vector<std::string> words;
  if (const auto total = counters.total) {
    const double percent = std::floor(fraction_of(counters.finished, *total) * 100);  // 100 only with the last task.
    words.push_back(fmt::format("{:3.0f}% {}/{}", percent, finished, rounded(static_cast<double>(*total))));
  } else {
    words.push_back(fmt::format("{} done", finished));
  }
  if (per_second) words.push_back(rounded(*per_second) + "/s");
  const std::uint64_t left = counters.total.value_or(0) - std::min(counters.total.value_or(0), counters.finished);
  if (left > 0) words.push_back(time_left(left, per_second));
  words.push_back(fmt::format("{} {}", counters.workers, counters.workers == 1 ? "worker" : "workers"));
  if (counters.failed > 0) words.push_back(fmt::format("{} failed", counters.failed));
  if (counters.requeued > 0) words.push_back(fmt::format("{} requeued", counters.requeued));
  return words;
}

std::string bar_of(double fraction, std::size_t width) {
  const auto full = static_cast<std::size_t>(fraction * static_cast<double>(width));
  return fmt::format("[{}{}] ", std::string(full, '#'), std::string(width - full, '-'));
}

}  // namespace

void Rate::update(std::uint64_t finished, TimePoint now) {
  if (last_ && now <= last_->at) return;
  if (last_) {
    const double seconds = to_seconds(now - last_->at);
    const double latest = static_cast<double>(finished - std::min(finished, last_->finished)) / seconds;
    const double weight = 1 - std::exp(-seconds / smoothing_seconds);
    per_second_ = per_second_ ? *per_second_ + weight * (latest - *per_second_) : latest;
  }
  last_ = Sample{finished, now};
}

std::string progress_line(const ProgressCounters& counters, std::optional<double> per_second, std::size_t columns) {
  std::string line;
  for (const std::string& word : words_of(counters, per_second)) {
    const std::string_view gap = line.empty() ? "" : "  ";
    if (line.size() + gap.size() + word.size() > columns) break;
    line += gap;
    line += word;
  }
  constexpr std::size_t frame = 3;  // Brackets and a blank.
  if (!counters.total || line.size() + frame + bar_width_min > columns) return line;
  const std::size_t width = std::min(bar_width_max, columns - line.size() - frame);
  return bar_of(fraction_of(counters.finished, *counters.total), width) + line;
}

ProgressStyle choose_progress_style(std::optional<bool> asked, bool stderr_is_terminal, bool results_to_terminal,
                                    bool quiet) {
  const bool unasked = stderr_is_terminal && !results_to_terminal && !quiet;
  if (!asked.value_or(unasked)) return ProgressStyle::none;
  return stderr_is_terminal ? ProgressStyle::bar : ProgressStyle::lines;
}

void ProgressBar::update(const ProgressCounters& counters, TimePoint now) {
  if (style_ == ProgressStyle::none || now < next_) return;
  next_ = now + (style_ == ProgressStyle::bar ? Duration{100ms} : Duration{1s});
  rate_.update(counters.finished, now);
  if (style_ == ProgressStyle::bar) {
    console_.set_bar(progress_line(counters, rate_.per_second(), console_.columns() - 1));
  } else {
    log_.info(progress_line(counters, rate_.per_second(), off_terminal_columns));
  }
}

void ProgressBar::finish() { console_.set_bar(""); }

}  // namespace ventile
