#include <nodes/progress.hpp>

#include <random>

#include <sys/mman.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace ventile {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint start{1h};

TEST(ProgressTest, a_known_total_gives_percent_time_left_and_a_bar) {
  const ProgressCounters counters{.finished = 36'000, .failed = 2, .requeued = 1, .workers = 4, .total = 100'000};
  EXPECT_EQ(progress_line(counters, 12'345.0, 100),
            "[##########--------------------]  36% 36.0k/100k  12.3k/s  ETA 5.2s  4 workers  2 failed  "
            "1 requeued");
}

TEST(ProgressTest, an_unknown_total_gives_neither_percent_nor_bar) {
  EXPECT_EQ(progress_line({.finished = 7, .workers = 1}, std::nullopt, 80), "7 done  1 worker");
}

TEST(ProgressTest, only_the_last_task_makes_it_a_hundred_percent) {
  EXPECT_NE(progress_line({.finished = 99'999, .total = 100'000}, std::nullopt, 80).find(" 99%"), std::string::npos);
  EXPECT_NE(progress_line({.finished = 100'000, .total = 100'000}, std::nullopt, 80).find("100%"), std::string::npos);
  EXPECT_NE(progress_line({.finished = 0, .total = 0}, std::nullopt, 80).find("100%"), std::string::npos);
}

TEST(ProgressTest, a_stopped_job_has_no_time_left_to_tell) {
  EXPECT_NE(progress_line({.finished = 1, .total = 2}, 0.0, 80).find("ETA ?"), std::string::npos);
  EXPECT_NE(progress_line({.finished = 1, .total = 1ULL << 60}, 1e-3, 80).find("ETA > 1 year"), std::string::npos);
}

TEST(ProgressTest, no_line_is_wider_than_the_terminal) {
  std::mt19937_64 random{1};
  for (int round = 0; round < 5000; ++round) {
    const auto any = [&] { return random() >> (random() % 64); };
    const ProgressCounters counters{any(), any(), any(), any(),
                                    round % 3 == 0 ? std::nullopt : std::optional<std::uint64_t>{any()}};
    const std::size_t columns = random() % 120;
    EXPECT_LE(progress_line(counters, static_cast<double>(any()), columns).size(), columns);
  }
}

TEST(ProgressTest, the_rate_follows_what_is_finished) {
  Rate rate;
  rate.update(0, start);
  EXPECT_EQ(rate.per_second(), std::nullopt);
  rate.update(100, start + 1s);
  EXPECT_DOUBLE_EQ(*rate.per_second(), 100);
  rate.update(100, start + 1s);
  EXPECT_DOUBLE_EQ(*rate.per_second(), 100);
  for (int second = 2; second < 60; ++second) rate.update(100, start + second * 1s);
  EXPECT_LT(*rate.per_second(), 0.01);
}

TEST(ProgressTest, a_bar_is_shown_on_terminals_and_lines_only_if_asked_for) {
  EXPECT_EQ(choose_progress_style(std::nullopt, true, false, false), ProgressStyle::bar);
  EXPECT_EQ(choose_progress_style(std::nullopt, true, true, false), ProgressStyle::none);
  EXPECT_EQ(choose_progress_style(std::nullopt, true, false, true), ProgressStyle::none);
  EXPECT_EQ(choose_progress_style(std::nullopt, false, false, false), ProgressStyle::none);
  EXPECT_EQ(choose_progress_style(true, false, false, false), ProgressStyle::lines);
  EXPECT_EQ(choose_progress_style(true, true, true, false), ProgressStyle::bar);
  EXPECT_EQ(choose_progress_style(false, true, false, false), ProgressStyle::none);
}

// ProgressBar on a console that writes into memory.
class ProgressOutputTest : public testing::Test {
protected:
  int memory_ = ::memfd_create("progress", MFD_CLOEXEC);

  ~ProgressOutputTest() override { ::close(memory_); }

  std::string written() const {
    std::string text(static_cast<std::size_t>(::lseek(memory_, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(memory_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }
};

TEST_F(ProgressOutputTest, off_a_terminal_there_is_a_line_a_second) {
  Console console{{.program = "p", .descriptor = memory_}};
  ProgressBar progress{console, ProgressStyle::lines};
  progress.update({.finished = 1}, start);
  progress.update({.finished = 2}, start + 999ms);
  progress.update({.finished = 3}, start + 1s);
  EXPECT_EQ(written(), "p: 1 done  0 workers\np: 3 done  2/s  0 workers\n");
}

TEST_F(ProgressOutputTest, on_a_terminal_the_bar_is_rewritten_and_at_last_removed) {
  Console console{{.program = "p", .descriptor = memory_, .terminal = true}};
  {
    ProgressBar progress{console, ProgressStyle::bar};
    progress.update({.finished = 1}, start);
    progress.update({.finished = 2}, start + 99ms);
    progress.update({.finished = 3}, start + 100ms);
  }
  EXPECT_EQ(written(), "\r\x1b[K1 done  0 workers\r\x1b[K3 done  20/s  0 workers\r\x1b[K");
}

}  // namespace
}  // namespace ventile
