// When a process that has died is started again.
#pragma once

#include <algorithm>
#include <utility>

#include <ventile/base/clock.hpp>

namespace ventile {

// The younger they die one after the other, the longer the next one waits: a process that cannot live does not take
// the machine with it. A value.
class BackOff {
public:
  static constexpr Duration shortest = std::chrono::milliseconds{100};
  static constexpr Duration longest = std::chrono::seconds{10};

  // One has died after having lived so long; how long to wait before the next. A life of `longest` begins anew.
  Duration on_death(Duration lived) {
    if (lived >= longest) pause_ = shortest;
    return std::exchange(pause_, std::min(2 * pause_, longest));
  }

private:
  Duration pause_ = shortest;
};

}  // namespace ventile
