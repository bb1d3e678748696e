// Whether connections come faster than guests do. Only for the sources of this folder.
#pragma once

#include <algorithm>
#include <cstddef>

#include <ventile/base/clock.hpp>

namespace ventile {

// A leaky bucket (J. Turner, IEEE Communications Magazine 24(10), 1986): each connection that comes is a drop, and so
// many a second run out. It is a crowd from when the bucket is full until it is empty. Asks no clock. Not for several
// threads.
class Arrivals {
public:
  struct Limits {
    double per_second = 500;
    double at_once = 200;
  };

  explicit Arrivals(Limits limits) : limits_(limits) {}

  // So many have come since this was last said.
  void on_look(std::size_t arrived, TimePoint now) {
    level_ -= to_seconds(now - seen_) * limits_.per_second;
    seen_ = now;
    if (level_ <= 0) crowded_ = false;
    level_ = std::min(std::max(level_, 0.0) + static_cast<double>(arrived), limits_.at_once);
    if (level_ >= limits_.at_once) crowded_ = true;
  }
  bool crowded() const { return crowded_; }

private:
  Limits limits_;
  double level_ = 0;
  TimePoint seen_{};
  bool crowded_ = false;
};

}  // namespace ventile
