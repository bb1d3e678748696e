#include <nodes/child_process.hpp>

#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <memory>

namespace ventile {
namespace {

constexpr int guard_milliseconds = 100'000;

class ChildProcessTest : public testing::Test {
protected:
  std::array<int, 2> said{-1, -1};  // A pipe for what the children say.

  ChildProcessTest() { EXPECT_EQ(pipe2(said.data(), O_CLOEXEC), 0); }
  ~ChildProcessTest() override {
    close(said[0]);
    if (said[1] >= 0) close(said[1]);
  }

  std::unique_ptr<ChildProcess> shell(const std::string& script) {
    Result<ChildProcess> child =
        ChildProcess::start({.program = "/bin/sh", .words = {"sh", "-c", script}, .standard_error = said[1]});
    EXPECT_TRUE(child);
    return std::make_unique<ChildProcess>(std::move(*child));
  }
  static ChildEnding wait(ChildProcess& child) {
    pollfd end{child.descriptor(), POLLIN, 0};
    EXPECT_EQ(poll(&end, 1, guard_milliseconds), 1);
    return child.ending().value_or(ChildEnding{-1, -1});
  }
  // All that was said, once nobody can say more.
  std::string rest() {
    close(std::exchange(said[1], -1));
    std::string text;
    for (char c = 0; read(said[0], &c, 1) == 1;) text += c;
    return text;
  }
};

TEST_F(ChildProcessTest, how_it_ended_is_known_and_stays_so) {
  const auto child = shell("exit 3");
  EXPECT_EQ(wait(*child), (ChildEnding{3, 0}));
  EXPECT_EQ(child->ending(), (ChildEnding{3, 0}));
  EXPECT_EQ(to_text(*child->ending()), "exit code 3");
}

TEST_F(ChildProcessTest, a_signal_that_ends_it_is_named) {
  const auto child = shell("kill -9 $$");
  EXPECT_EQ(to_text(wait(*child)), "signal 9 (Killed)");
}

TEST_F(ChildProcessTest, it_has_no_ending_while_it_runs_and_can_be_told_to_end) {
  const auto child = shell("trap 'exit 5' TERM; echo ready >&2; while :; do read line < /dev/tty || sleep 0.01; done");
  std::string ready(5, ' ');
  EXPECT_EQ(read(said[0], ready.data(), ready.size()), 5);
  EXPECT_EQ(child->ending(), std::nullopt);
  child->signal(SIGTERM);
  EXPECT_EQ(wait(*child), (ChildEnding{5, 0}));
}

TEST_F(ChildProcessTest, it_goes_with_its_object) {
  auto child = shell("exec sleep 1000");
  const pid_t process = child->pid();
  EXPECT_EQ(kill(process, 0), 0);
  child.reset();
  EXPECT_EQ(kill(process, 0), -1);
}

TEST_F(ChildProcessTest, a_program_that_is_not_there_ends_with_127) {
  Result<ChildProcess> child = ChildProcess::start({.program = "/no/such/program", .words = {"program"}});
  ASSERT_TRUE(child);
  EXPECT_EQ(wait(*child), (ChildEnding{127, 0}));
}

// A worker that inherited our blocked signals could not be interrupted, nor could what it starts.
TEST_F(ChildProcessTest, it_inherits_neither_signals_nor_descriptors_nor_the_process_group) {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigprocmask(SIG_BLOCK, &blocked, &before);
  const int open_descriptor = dup(said[0]);
  const auto child = shell(
      "exec >&2; grep SigBlk /proc/self/status; ls /proc/$$/fd; "  // No pipe: the shell would hold it, or not any more.
      "[ $(ps -o pgid= $$) = $$ ] && echo alone");
  wait(*child);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  EXPECT_EQ(rest(), "SigBlk:\t0000000000000000\n0\n1\n2\nalone\n");
  close(open_descriptor);
}

}  // namespace
}  // namespace ventile
