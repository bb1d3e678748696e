#include <nodes/service.hpp>

#include <csignal>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Listens to signals that the test sends to its own process, and writes down what was asked for.
class SignalsTest : public testing::Test {
protected:
  std::vector<std::string> heard_;
  std::string message_;
  Result<Signals> signals_ =
      Signals::listen({.drain =
                           [this](const std::string& message) {
                             heard_.emplace_back("drain");
                             message_ = message;
                           },
                       .cancel = [this](ExitCode code) { heard_.push_back("cancel " + std::to_string(to_int(code))); },
                       .reload = [this] { heard_.emplace_back("reload"); }});

  void SetUp() override { ASSERT_TRUE(signals_); }

  void send(int signal) {
    ASSERT_EQ(::kill(::getpid(), signal), 0);
    pollfd wait{signals_->descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
    signals_->on_readable();
  }
};

TEST_F(SignalsTest, the_first_signal_drains_and_the_second_cancels) {
  send(SIGINT);
  EXPECT_THAT(heard_, ElementsAre("drain"));
  EXPECT_THAT(message_, HasSubstr("press Ctrl-C again to "));
  send(SIGINT);
  EXPECT_THAT(heard_, ElementsAre("drain", "cancel 130"));
}

TEST_F(SignalsTest, the_second_signal_decides_the_exit_code) {
  send(SIGINT);
  send(SIGTERM);
  EXPECT_THAT(heard_, ElementsAre("drain", "cancel 143"));
}

TEST_F(SignalsTest, a_hang_up_reloads_and_is_no_step_towards_the_end) {
  send(SIGHUP);
  send(SIGTERM);
  send(SIGHUP);
  EXPECT_THAT(heard_, ElementsAre("reload", "drain", "reload"));
}

TEST_F(SignalsTest, signals_that_came_together_are_all_heard) {
  ASSERT_EQ(::kill(::getpid(), SIGHUP), 0);
  send(SIGTERM);
  EXPECT_THAT(heard_, testing::UnorderedElementsAre("reload", "drain"));
}

TEST_F(SignalsTest, without_a_signal_nothing_is_done_and_nothing_blocks) {
  signals_->on_readable();
  EXPECT_THAT(heard_, IsEmpty());
}

TEST_F(SignalsTest, a_broken_pipe_does_not_kill) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
  ::close(ends[1]);
}

}  // namespace
}  // namespace ventile
