#include <ventile/net/alarm.hpp>

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace ventile {

Alarm::Alarm() : descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (descriptor_ < 0) throw std::system_error(errno, std::generic_category(), "A reactor cannot make its eventfd");
}

Alarm::~Alarm() { ::close(descriptor_); }

// Whoever rings and whoever falls asleep each write their own flag first and read the other's then, all in one order:
// one of them at least sees the other. A second ring before anybody listens has nothing to add.
void Alarm::ring() {
  if (rung_.exchange(true)) return;
  if (asleep_.exchange(false)) eventfd_write(descriptor_, 1);
}

bool Alarm::fall_asleep() {
  asleep_.store(true);
  if (!rung_.load()) return true;
  asleep_.store(false);
  return false;
}

void Alarm::forget() {
  if (eventfd_t count = 0; std::exchange(written_, false)) eventfd_read(descriptor_, &count);
}

}  // namespace ventile
