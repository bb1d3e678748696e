#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include <nodes/node.hpp>

namespace ventile {

Invocation invocation_of(int argc, char** argv) {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest that is free, so this one. Reading, or writing, it says EBADF as before.
    const int mode = descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) != descriptor) break;  // Without /dev/null there is nothing to be done.
  }
  if (argc == 0) return {};
  return {{argv[0]}, {argv + 1, argv + argc}};
}

}  // namespace ventile
