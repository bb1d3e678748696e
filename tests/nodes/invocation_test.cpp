#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include <gtest/gtest.h>

#include <nodes/node.hpp>

namespace ventile {
namespace {

// As cron or a shell's '<&- >&-' may start it. The input was read from whatever had been opened first, a socket, say,
// and never ended; results went there, too.
TEST(InvocationTest, what_was_closed_at_the_start_stays_so_and_its_number_is_nobody_elses) {
  const pid_t child = fork();
  if (child == 0) {
    for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::close(descriptor);
    std::string name = "ventile";
    char* arguments[] = {name.data(), nullptr};
    const Invocation invocation = invocation_of(1, arguments);
    char byte = 'x';
    if (invocation.options.empty() && ::open("/dev/null", O_RDWR) > STDERR_FILENO &&
        ::read(STDIN_FILENO, &byte, 1) < 0 && errno == EBADF && ::write(STDOUT_FILENO, &byte, 1) < 0 &&
        errno == EBADF && ::write(STDERR_FILENO, &byte, 1) < 0)
      _exit(0);
    _exit(1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ventile
