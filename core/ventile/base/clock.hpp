// Time is an argument: deciders are given a TimePoint and never read a clock. Drivers read it once a turn.
#pragma once

#include <chrono>

namespace ventile {

using Clock = std::chrono::steady_clock;
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<Clock, Duration>;

inline constexpr TimePoint never = TimePoint::max();

inline double to_seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
inline Duration from_seconds(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace ventile
