// How long a task may run: so many seconds, or so many percent of the median of those that have ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// Thread-safe. Of more than `kept_max` durations the median is that of the latest.
class TimeLimit {
public:
  static constexpr std::size_t known_min = 3;  // Before so many tasks have ended, nothing is known of the median.
  static constexpr std::size_t kept_max = 1000;

  TimeLimit() = default;
  // "30", "1m30s", "2.5"; "200%"; empty: none.
  static Status check(std::string_view text);
  explicit TimeLimit(std::string_view checked);

  bool relative() const { return percent_ > 0; }
  Duration fixed() const { return fixed_; }  // 0: none.
  Duration now() const;                      // 0: none, or none yet.
  void add(Duration ran);

private:
  Duration fixed_{0};
  double percent_ = 0;
  mutable std::mutex mutex_;
  std::vector<Duration> latest_;  // A ring.
  std::size_t next_ = 0;
  std::multiset<Duration> sorted_;
};

}  // namespace ventile
