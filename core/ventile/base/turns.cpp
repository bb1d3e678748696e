#include <ventile/base/turns.hpp>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace ventile {
namespace {

constexpr std::uint64_t shortest = 100'000;  // Nanoseconds; Linux takes nothing shorter.

// The kernel's struct sched_attr in its first version, of which Debian's C library knows nothing.
struct Attributes {
  std::uint32_t size = 48;
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0;  // Of SCHED_OTHER: the slice. 0 if the kernel has none, and to have the usual one.
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};
static_assert(sizeof(Attributes) == 48);

// Of the calling thread, if they are such as we may change.
bool read(Attributes& attributes) {
  return syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 && attributes.policy == SCHED_OTHER &&
         attributes.runtime > 0;
}

bool set_slice(Attributes attributes, std::uint64_t nanoseconds) {
  attributes.runtime = nanoseconds;
  return syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

}  // namespace

ShortTurns::ShortTurns() {
  Attributes attributes;
  if (read(attributes) && attributes.runtime > shortest && set_slice(attributes, shortest))
    before_ = attributes.runtime;
}

ShortTurns::~ShortTurns() {
  Attributes attributes;
  if (before_ > 0 && read(attributes)) set_slice(attributes, before_);
}

void have_usual_turns() {
  Attributes attributes;
  if (read(attributes)) set_slice(attributes, 0);
}

}  // namespace ventile
