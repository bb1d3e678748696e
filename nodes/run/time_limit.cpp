#include <nodes/run/time_limit.hpp>

#include <iterator>

#include <nodes/quantity.hpp>

namespace ventile {
namespace {

Result<double> percent_of(std::string_view text) {
  text.remove_suffix(1);
  return parse_real(text, 1, 1e9);
}

}  // namespace

Status TimeLimit::check(std::string_view text) {
  if (text.empty()) return {};
  if (text.ends_with('%')) {
    if (!percent_of(text))
      return Error{Code::invalid, "expected seconds, a duration or N%, got \"" + std::string{text} + "\""};
    return {};
  }
  const Result<Duration> parsed = parse_duration(text);
  if (!parsed) return parsed.error();
  return {};
}

TimeLimit::TimeLimit(std::string_view checked) {
  if (checked.empty()) return;
  if (checked.ends_with('%')) {
    percent_ = *percent_of(checked);
  } else {
    fixed_ = *parse_duration(checked);
  }
}

Duration TimeLimit::now() const {
  if (!relative()) return fixed_;
  const std::lock_guard lock{mutex_};
  if (sorted_.size() < known_min) return Duration::zero();
  const Duration median = *std::next(sorted_.begin(), static_cast<std::ptrdiff_t>(sorted_.size() / 2));
  return from_seconds(to_seconds(median) * percent_ / 100);
}

void TimeLimit::add(Duration ran) {
  if (!relative()) return;
  const std::lock_guard lock{mutex_};
  sorted_.insert(ran);
  if (latest_.size() < kept_max) {
    latest_.push_back(ran);
    return;
  }
  sorted_.erase(sorted_.find(latest_[next_]));
  latest_[next_] = ran;
  next_ = (next_ + 1) % kept_max;
}

}  // namespace ventile
