#include <ventile/base/log.hpp>

#include <utility>

namespace ventile {

bool RateLimit::allow(TimePoint now) {
  if (now < next_) {
    ++suppressed_;
    return false;
  }
  next_ = now + interval_;
  reported_ = std::exchange(suppressed_, 0);
  return true;
}

}  // namespace ventile
