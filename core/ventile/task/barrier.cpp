#include <ventile/task/barrier.hpp>

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cassert>

namespace ventile {
namespace {

bool membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

bool can_raise_barriers() {
  static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  return registered;
}

void raise_barrier_everywhere() {
  assert(can_raise_barriers());
  [[maybe_unused]] const bool raised = membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  assert(raised);
}

}  // namespace ventile
