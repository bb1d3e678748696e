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
  std::vector<std::string> heard;
  std::string last_message;
  int comes_in_the_pause = 0;
  Result<Signals> signals =
      Signals::listen({.drain =
                           [this](const std::string& message) {
                             heard.emplace_back("drain");
                             last_message = message;
                           },
                       .cancel = [this](ExitCode code) { heard.push_back("cancel " + std::to_string(to_int(code))); },
                       .reload = [this] { heard.emplace_back("reload"); }},
                      [this] { ::kill(::getpid(), comes_in_the_pause); });

  void SetUp() override { ASSERT_TRUE(signals); }

  void send(int signal) {
    ASSERT_EQ(::kill(::getpid(), signal), 0);
    pollfd wait{signals->descriptor(), POLLIN, 0};
    ASSERT_EQ(::poll(&wait, 1, 10'000), 1);
    signals->on_readable();
  }
};

TEST_F(SignalsTest, the_first_signal_drains_and_the_second_cancels) {
  send(SIGINT);
  EXPECT_THAT(heard, ElementsAre("drain"));
  EXPECT_THAT(last_message, HasSubstr("press Ctrl-C again to "));
  send(SIGINT);
  EXPECT_THAT(heard, ElementsAre("drain", "cancel 130"));
}

TEST_F(SignalsTest, the_second_signal_decides_the_exit_code) {
  send(SIGINT);
  send(SIGTERM);
  EXPECT_THAT(heard, ElementsAre("drain", "cancel 143"));
}

// timeout(1) sends its signal to the process and then to its group: the second cancelled what the first had drained.
TEST_F(SignalsTest, the_same_signal_at_once_is_no_second_one) {
  comes_in_the_pause = SIGTERM;
  send(SIGTERM);
  EXPECT_THAT(heard, ElementsAre("drain"));
  send(SIGTERM);
  EXPECT_THAT(heard, ElementsAre("drain", "cancel 143"));
}

TEST_F(SignalsTest, another_signal_at_once_is_heard) {
  comes_in_the_pause = SIGINT;
  send(SIGTERM);
  EXPECT_THAT(heard, ElementsAre("drain", "cancel 130"));
}

TEST_F(SignalsTest, a_hang_up_reloads_and_is_no_step_towards_the_end) {
  send(SIGHUP);
  send(SIGTERM);
  send(SIGHUP);
  EXPECT_THAT(heard, ElementsAre("reload", "drain", "reload"));
}

TEST_F(SignalsTest, signals_that_came_together_are_all_heard) {
  ASSERT_EQ(::kill(::getpid(), SIGHUP), 0);
  send(SIGTERM);
  EXPECT_THAT(heard, testing::UnorderedElementsAre("reload", "drain"));
}

TEST_F(SignalsTest, without_a_signal_nothing_is_done_and_nothing_blocks) {
  signals->on_readable();
  EXPECT_THAT(heard, IsEmpty());
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
