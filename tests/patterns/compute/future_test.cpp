#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include <ventile/ventile.hpp>

namespace ventile {
namespace {

class FutureTest : public ::testing::Test {
protected:
  std::mutex mutex;
  std::vector<std::string> lines;
  TaskRegistry tasks;
  Task<int(int)> twice = tasks.add("twice", [](int n) {
    if (n < 0) throw std::out_of_range("negative");
    return 2 * n;
  });
  Log log{[this](Level, std::string_view line) {
    const std::lock_guard lock{mutex};
    lines.emplace_back(line);
  }};
  Pool pool{tasks, {.threads = 2, .log = log}};
};

TEST_F(FutureTest, then_goes_on_with_the_result) {
  EXPECT_EQ(pool.submit(twice, 4).then([](int n) { return std::to_string(n); }).get(), "8");
}

TEST_F(FutureTest, then_passes_an_error_on) {
  bool called = false;
  auto next = pool.submit(twice, -1).then([&](int) { called = true; });
  EXPECT_THROW(next.get(), TaskError);
  EXPECT_FALSE(called);
}

TEST_F(FutureTest, what_a_callback_throws_is_in_the_next_future) {
  auto next = pool.submit(twice, 1).then([](int) -> int { throw std::runtime_error("mine"); });
  EXPECT_THROW(next.get(), std::runtime_error);
  EXPECT_EQ(pool.submit(twice, 1).get(), 2);
}

TEST_F(FutureTest, a_callback_that_takes_the_future_sees_errors) {
  auto kind = pool.submit(twice, -1).then([](Future<int> failed) {
    try {
      failed.get();
      return std::string{};
    } catch (const TaskError& error) {
      return error.kind();
    }
  });
  EXPECT_EQ(kind.get(), "std::out_of_range");
}

TEST_F(FutureTest, a_callback_may_submit_and_wait) {
  EXPECT_EQ(pool.submit(twice, 1).then([this](int n) { return pool.submit(twice, n).get(); }).get(), 4);
}

TEST_F(FutureTest, a_result_can_be_taken_once) {
  auto future = pool.submit(twice, 1);
  future.get();
  EXPECT_FALSE(future.valid());
  EXPECT_THROW(future.get(), std::logic_error);
}

TEST_F(FutureTest, waiting_for_some_time_says_whether_it_is_ready) {
  std::atomic<bool> go = false;
  TaskRegistry gated;
  const auto gate = gated.add("gate", [&go] { go.wait(false); });
  Pool other{gated, {.threads = 1}};
  auto future = other.submit(gate);
  EXPECT_FALSE(future.wait_for(std::chrono::milliseconds{1}));
  EXPECT_FALSE(future.ready());
  go = true;
  go.notify_all();
  future.wait();
  EXPECT_TRUE(future.ready());
}

TEST_F(FutureTest, as_completed_gives_each_future_once_and_ready) {
  std::vector<Future<int>> futures;
  for (int n = 0; n < 100; ++n) futures.push_back(pool.submit(twice, n));
  int sum = 0;
  for (Future<int>& future : as_completed(futures)) {
    EXPECT_TRUE(future.ready());
    sum += future.get();
  }
  EXPECT_EQ(sum, 9900);
}

Future<int> sum_of_two(Pool& pool, const Task<int(int)>& twice, int n) {
  const int a = co_await pool.submit(twice, n);
  const int b = co_await pool.submit(twice, a);
  co_return a + b;
}

TEST_F(FutureTest, a_coroutine_awaits_tasks) {
  EXPECT_EQ(sum_of_two(pool, twice, 1).get(), 6);
  EXPECT_THROW(sum_of_two(pool, twice, -1).get(), TaskError);
}

TEST_F(FutureTest, a_future_outlives_its_pool) {
  Future<int> future;
  {
    Pool brief{tasks, {.threads = 1}};
    future = brief.submit(twice, 21);
  }
  EXPECT_EQ(future.then([](int n) { return n; }).get(), 42);
}

}  // namespace
}  // namespace ventile
