#include <nodes/run/live_output.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace ventile {
namespace {

// What is written comes out of a pipe.
class LiveOutputTest : public ::testing::Test {
protected:
  LiveOutputTest() { EXPECT_EQ(pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~LiveOutputTest() override {
    for (const int end : ends_) close(end);
  }

  int descriptor() const { return ends_[1]; }
  std::string written() const {
    std::array<char, 256> text{};
    const ssize_t size = read(ends_[0], text.data(), text.size());
    return {text.data(), static_cast<std::size_t>(size)};
  }

private:
  std::array<int, 2> ends_{-1, -1};
};

TEST_F(LiveOutputTest, lines_come_whole_with_their_tag) {
  LiveOutput output;
  const LiveTurn turn{output};
  LiveLines lines{output, turn, descriptor(), "tag\t"};
  EXPECT_TRUE(lines.add("one\ntw"));
  EXPECT_EQ(written(), "tag\tone\n");
  EXPECT_TRUE(lines.add("o"));
  EXPECT_TRUE(lines.finish());
  EXPECT_EQ(written(), "tag\ttwo");
}

TEST_F(LiveOutputTest, tasks_that_run_at_once_do_not_wait_for_one_another) {
  LiveOutput output;
  const LiveTurn first{output};
  const LiveTurn second{output};
  LiveLines lines{output, second, descriptor(), ""};
  EXPECT_TRUE(lines.add("second\n"));
  EXPECT_EQ(written(), "second\n");
}

// `ventile run --line-buffer -j1 seq ::: 2 3` printed 1 2 3 1 2 when the thread that read the first command's pipe was
// late.
TEST_F(LiveOutputTest, of_commands_that_run_one_after_the_other_the_first_is_heard_first) {
  for (int round = 0; round < 100; ++round) {
    LiveOutput output{true};
    std::optional<LiveTurn> first{std::in_place, output};
    std::atomic<bool> begun = false;
    std::thread other{[&, second = std::make_unique<LiveTurn>(output)] {
      LiveLines lines{output, *second, descriptor(), ""};
      begun = true;
      EXPECT_TRUE(lines.add("second\n"));
    }};
    while (!begun) std::this_thread::yield();
    for (int i = 0; i < 20; ++i) std::this_thread::yield();
    EXPECT_TRUE((LiveLines{output, *first, descriptor(), ""}.add("first\n")));
    first.reset();
    other.join();
    ASSERT_EQ(written(), "first\nsecond\n");
  }
}

TEST_F(LiveOutputTest, one_that_never_starts_keeps_nobody_waiting) {
  LiveOutput output{true};
  const LiveTurn first{output};
  { const LiveTurn never{output}; }
  std::optional<LiveTurn> third{std::in_place, output};
  LiveLines lines{output, first, descriptor(), ""};
  EXPECT_TRUE(lines.add("first\n"));
  third.reset();
  EXPECT_EQ(written(), "first\n");
}

}  // namespace
}  // namespace ventile
