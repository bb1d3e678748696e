// The pool as a program uses it: tasks on the threads of this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <list>
#include <numeric>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <ventile/ventile.hpp>

namespace ventile {
namespace {

struct Point {
  double x = 0;
  double y = 0;
  static auto fields(auto& p) { return std::tie(p.x, p.y); }
  bool operator==(const Point&) const = default;
};

class PoolTest : public ::testing::Test {
protected:
  TaskRegistry tasks;
  Task<std::uint64_t(std::uint64_t)> square = tasks.add("square", [](std::uint64_t n) { return n * n; });
  Task<std::string(const std::string&, int)> repeat = tasks.add("repeat", [](const std::string& text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  });
  Task<Point(const Point&, double)> scale = tasks.add("scale", [](const Point& p, double by) {
    return Point{p.x * by, p.y * by};
  });
  Task<int(int)> odd_only = tasks.add("odd_only", [](int n) {
    if (n % 2 == 0) throw std::invalid_argument("it is even");
    return n;
  });
  Task<std::size_t(Bytes)> size_of = tasks.add("size_of", [](Bytes bytes) { return bytes.size(); });
};

std::vector<std::uint64_t> numbers(std::uint64_t count) {
  std::vector<std::uint64_t> all(count);
  std::iota(all.begin(), all.end(), 0U);
  return all;
}

TEST_F(PoolTest, a_submitted_task_gives_its_result) {
  Pool pool{tasks, {.threads = 2}};
  EXPECT_EQ(pool.submit(square, 12).get(), 144U);
  EXPECT_EQ(pool.submit(repeat, "ab", 3).get(), "ababab");
  EXPECT_EQ(pool.submit(scale, Point{1, 2}, 2).get(), (Point{2, 4}));
}

TEST_F(PoolTest, bytes_are_passed_as_a_view) {
  Pool pool{tasks, {.threads = 1}};
  EXPECT_EQ(pool.submit(size_of, std::vector<std::byte>(5'000'000)).get(), 5'000'000U);
}

TEST_F(PoolTest, a_task_that_throws_makes_get_throw_what_and_where) {
  Pool pool{tasks, {.threads = 1}};
  try {
    pool.submit(TaskOptions{.tries = 2}, odd_only, 4).get();
    FAIL();
  } catch (const TaskError& error) {
    EXPECT_EQ(error.kind(), "std::invalid_argument");
    EXPECT_EQ(error.message(), "it is even");
    EXPECT_EQ(error.function(), "odd_only");
    EXPECT_EQ(error.tries(), 2U);
    EXPECT_THAT(error.worker(), ::testing::HasSubstr(std::to_string(getpid())));
  }
}

TEST_F(PoolTest, a_map_gives_results_in_order) {
  Pool pool{tasks, {.threads = 2}};
  std::uint64_t next = 0;
  for (const std::uint64_t n : pool.map(square, numbers(100'000))) {
    ASSERT_EQ(n, next * next);
    ++next;
  }
  EXPECT_EQ(next, 100'000U);
}

TEST_F(PoolTest, a_map_walks_ranges_side_by_side_and_repeats_what_is_no_range) {
  Pool pool{tasks, {.threads = 2}};
  const std::list<std::string> words{"a", "b", "c"};
  std::vector<std::string> all;
  for (std::string text : pool.map(repeat, words, std::vector<int>{1, 2, 3, 4})) all.push_back(text);
  for (std::string text : pool.map(repeat, words, 2)) all.push_back(text);
  EXPECT_THAT(all, ::testing::ElementsAre("a", "bb", "ccc", "aa", "bb", "cc"));
}

TEST_F(PoolTest, a_map_of_an_infinite_view_reads_only_some_way_ahead) {
  Pool pool{tasks, {.threads = 2}};
  std::uint64_t read = 0;
  auto endless =
      std::views::iota(std::uint64_t{0}) | std::views::transform([&read](std::uint64_t n) { return ++read, n; });
  std::uint64_t taken = 0;
  for (const std::uint64_t n : pool.map({}, {.window = 1000}, square, endless)) {
    EXPECT_EQ(n, taken * taken);
    if (++taken == 10'000) break;
  }
  EXPECT_LE(read, 10'000U + 1000U);
}

TEST_F(PoolTest, a_map_of_nothing_is_empty) {
  Pool pool{tasks, {.threads = 1}};
  for ([[maybe_unused]] auto n : pool.map(square, numbers(0))) FAIL();
}

TEST_F(PoolTest, a_failed_element_of_a_map_throws_where_it_is_looked_at_and_the_map_goes_on) {
  Pool pool{tasks, {.threads = 2}};
  std::vector<int> good;
  int bad = 0;
  auto results = pool.map(odd_only, std::views::iota(0, 100));
  for (auto at = results.begin(); at != results.end(); ++at) {
    try {
      good.push_back(*at);
    } catch (const TaskError&) {
      ++bad;
    }
  }
  EXPECT_EQ(good.size(), 50U);
  EXPECT_EQ(bad, 50);
}

TEST_F(PoolTest, an_unordered_map_gives_each_result_once) {
  Pool pool{tasks, {.threads = 2}};
  std::multiset<std::uint64_t> results;
  for (const std::uint64_t n : pool.map_unordered(square, numbers(10'000))) results.insert(n);
  EXPECT_EQ(results.size(), 10'000U);
  EXPECT_EQ(std::set<std::uint64_t>(results.begin(), results.end()).size(), 10'000U);
}

TEST_F(PoolTest, map_reduce_combines_all_results) {
  Pool pool{tasks, {.threads = 2}};
  EXPECT_EQ(pool.map_reduce(square, std::plus<>{}, numbers(1000)), 332'833'500U);
  EXPECT_EQ(pool.map_reduce(
                square, [](std::uint64_t a, std::uint64_t b) { return std::max(a, b); }, numbers(1000)),
            998'001U);
  EXPECT_EQ(pool.map_reduce(square, std::plus<>{}, numbers(0)), 0U);
}

TEST_F(PoolTest, map_reduce_throws_the_error_of_a_task) {
  Pool pool{tasks, {.threads = 2}};
  EXPECT_THROW(pool.map_reduce(odd_only, std::plus<>{}, std::views::iota(1, 1000)), TaskError);
  EXPECT_EQ(pool.submit(odd_only, 1).get(), 1);
}

TEST_F(PoolTest, for_index_runs_each_index_once) {
  std::vector<std::atomic<int>> seen(100'000);
  const auto mark = tasks.add("mark", [&seen](std::int64_t i) { ++seen[static_cast<std::size_t>(i)]; });
  Pool pool{tasks, {.threads = 2}};
  pool.for_index(mark, 10, 100'000);
  for (std::size_t i = 0; i < seen.size(); ++i) ASSERT_EQ(seen[i], i < 10 ? 0 : 1) << i;
}

TEST_F(PoolTest, for_index_with_a_reduction_gives_one_value) {
  const auto identity = tasks.add("identity", [](std::int64_t i) { return i; });
  Pool pool{tasks, {.threads = 2}};
  EXPECT_EQ(pool.for_index(identity, 0, 1'000'000, std::plus<>{}), 499'999'500'000);
  EXPECT_EQ(pool.for_index(identity, 5, 5, std::plus<>{}), 0);
}

TEST_F(PoolTest, tasks_may_submit_tasks_and_wait_for_them_however_deep) {
  Pool* within = nullptr;
  Task<std::uint64_t(int)> fibonacci{"fibonacci"};
  tasks.add("fibonacci", [&](int n) -> std::uint64_t {
    if (n < 2) return static_cast<std::uint64_t>(n);
    auto left = within->submit(fibonacci, n - 1);
    auto right = within->submit(fibonacci, n - 2);
    return left.get() + right.get();
  });
  Pool pool{tasks, {.threads = 1}};
  within = &pool;
  EXPECT_EQ(pool.submit(fibonacci, 10).get(), 55U);
}

TEST_F(PoolTest, many_threads_may_submit_at_once) {
  Pool pool{tasks, {.threads = 2}};
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> sum = 0;
  for (std::uint64_t t = 0; t < 64; ++t)
    threads.emplace_back([&, t] {
      std::vector<Future<std::uint64_t>> futures;
      for (std::uint64_t i = 0; i < 100; ++i) futures.push_back(pool.submit(square, t * 100 + i));
      for (auto& future : futures) sum += future.get();
    });
  for (std::thread& thread : threads) thread.join();
  std::uint64_t expected = 0;
  for (std::uint64_t n = 0; n < 6400; ++n) expected += n * n;
  EXPECT_EQ(sum, expected);
}

// A task that runs until it is told to stop, and says when it has begun.
struct Stubborn {
  std::latch begun{1};
  Task<bool()> task;
  explicit Stubborn(TaskRegistry& tasks)
      : task(tasks.add("stubborn", [this](const TaskContext& context) {
          begun.count_down();
          std::atomic<bool> stopped = false;
          const std::stop_callback stop{context.stop_token(), [&] {
                                          stopped = true;
                                          stopped.notify_all();
                                        }};
          stopped.wait(false);
          return true;
        })) {}
};

TEST_F(PoolTest, cancelling_a_running_task_stops_it) {
  Stubborn stubborn{tasks};
  Pool pool{tasks, {.threads = 1}};
  auto future = pool.submit(stubborn.task);
  stubborn.begun.wait();
  EXPECT_TRUE(future.cancel());
  try {
    future.get();
    FAIL();
  } catch (const TaskError& error) {
    EXPECT_EQ(error.outcome(), Outcome::cancelled);
  }
  EXPECT_EQ(pool.submit(square, 3).get(), 9U);  // The slot is free again.
}

TEST_F(PoolTest, a_cancelled_task_that_waits_is_not_run) {
  Stubborn stubborn{tasks};
  std::atomic<int> runs = 0;
  const auto count = tasks.add("count", [&runs] { ++runs; });
  Pool pool{tasks, {.threads = 1}};
  auto blocker = pool.submit(stubborn.task);
  stubborn.begun.wait();
  auto waiting = pool.submit(count);
  (void)pool.stats();  // The broker has it.
  EXPECT_TRUE(waiting.cancel());
  EXPECT_THROW(waiting.get(), TaskError);
  blocker.cancel();
  blocker.wait();
  pool.submit(square, 1).get();
  EXPECT_EQ(runs, 0);
}

TEST_F(PoolTest, a_task_whose_deadline_has_passed_expires_without_running) {
  std::atomic<int> runs = 0;
  const auto count = tasks.add("count", [&runs] { ++runs; });
  Pool pool{tasks, {.threads = 1}};
  auto late = pool.submit(TaskOptions{.deadline = Clock::now() - std::chrono::seconds{1}}, count);
  try {
    late.get();
    FAIL();
  } catch (const TaskError& error) {
    EXPECT_EQ(error.outcome(), Outcome::expired);
  }
  EXPECT_EQ(runs, 0);
}

TEST_F(PoolTest, of_waiting_tasks_the_one_with_the_higher_priority_goes_first) {
  Stubborn stubborn{tasks};
  std::mutex mutex;
  std::vector<int> order;
  const auto note = tasks.add("note",
                              [&](int n) {
                                const std::lock_guard lock{mutex};
                                order.push_back(n);
                              },
                              {.repeatable = false});  // Not prefetched: what waits, waits at the dispatcher.
  Pool pool{tasks, {.threads = 1}};
  auto blocker = pool.submit(stubborn.task);
  stubborn.begun.wait();
  std::vector<Future<void>> all;
  for (int i = 0; i < 3; ++i) all.push_back(pool.submit(TaskOptions{.priority = 0}, note, i));
  for (int i = 10; i < 13; ++i) all.push_back(pool.submit(TaskOptions{.priority = 1}, note, i));
  (void)pool.stats();  // The broker has them all.
  blocker.cancel();
  wait_all(all);
  // One of the lower may have been given to the worker before the higher were there.
  const auto first_low = std::find(order.begin(), order.end(), 1);
  for (int high = 10; high < 13; ++high) EXPECT_LT(std::find(order.begin(), order.end(), high), first_low);
}

TEST_F(PoolTest, a_pool_that_is_destroyed_finishes_what_was_submitted) {
  std::vector<Future<std::uint64_t>> futures;
  {
    Pool pool{tasks, {.threads = 2}};
    for (std::uint64_t n = 0; n < 1000; ++n) futures.push_back(pool.submit(square, n));
  }
  for (std::uint64_t n = 0; n < 1000; ++n) EXPECT_EQ(futures[n].get(), n * n);
}

// What waited for the slot of a task that was told to stop, of another function, ran and had a result now and then.
TEST_F(PoolTest, a_pool_may_be_told_to_cancel_instead) {
  Stubborn stubborn{tasks};
  Pool pool{tasks, {.threads = 1}};
  auto running = pool.submit(stubborn.task);
  stubborn.begun.wait();
  auto waiting = pool.submit(square, 1);
  pool.shut_down(Shutdown::cancel);
  EXPECT_THROW(running.get(), TaskError);
  EXPECT_THROW(waiting.get(), TaskError);
  EXPECT_THROW(static_cast<void>(pool.submit(square, 1)), TaskError);
}

TEST_F(PoolTest, pools_may_share_a_context) {
  Context context;
  Pool one{tasks, {.threads = 1, .context = &context}};
  Pool other{tasks, {.threads = 1, .context = &context}};
  EXPECT_EQ(one.submit(square, 2).get() + other.submit(square, 3).get(), 13U);
}

TEST_F(PoolTest, a_fork_of_the_process_is_told_that_the_pool_is_not_its_own) {
  Pool pool{tasks, {.threads = 1}};
  const pid_t child = fork();
  if (child == 0) {
    try {
      (void)pool.submit(square, 2);
      _exit(1);
    } catch (const std::logic_error&) {
      _exit(0);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(pool.submit(square, 2).get(), 4U);
}

TEST_F(PoolTest, the_stats_are_those_of_a_brokers_status) {
  Pool pool{tasks, {.threads = 2}};
  pool.submit(square, 2).get();
  const PoolStats stats = pool.stats();
  EXPECT_TRUE(stats.connected);
  EXPECT_EQ(stats.workers, 1U);
  EXPECT_EQ(stats.slots, 2U);
  EXPECT_EQ(stats.open_tasks, 0U);
  ASSERT_EQ(stats.jobs.size(), 1U);
  EXPECT_EQ(stats.jobs[0].function, "square");
  EXPECT_EQ(stats.jobs[0].submitted, 1U);
}

TEST_F(PoolTest, the_stats_show_what_running_tasks_say_of_themselves) {
  std::latch seen{1};
  const auto train = tasks.add("train", [&seen](TaskContext context, int epochs) {
    context.progress(0.25, "epoch 1");
    seen.wait();
    return epochs;
  });
  Pool pool{tasks, {.threads = 1}};
  const Future<int> trained = pool.submit(train, 4);
  std::vector<Milestone> milestones;
  while (milestones.empty())
    for (const WorkerState& worker : pool.stats().worker_states) milestones = worker.milestones;
  EXPECT_EQ(milestones.front().permille, 250U);
  EXPECT_EQ(milestones.front().text, "epoch 1");
  EXPECT_EQ(milestones.front().task, 0U);
  seen.count_down();
}

TEST_F(PoolTest, a_task_that_hangs_over_its_time_out_fails_and_the_pool_goes_on) {
  auto release = std::make_shared<std::atomic<bool>>(false);
  const auto hang = tasks.add("hang", [release] { release->wait(false); });
  Pool pool{tasks, {.threads = 1}};
  try {
    pool.submit(TaskOptions{.timeout = std::chrono::milliseconds{20}}, hang).get();
    FAIL();
  } catch (const TaskError& error) {
    EXPECT_EQ(error.kind(), "timeout");
  }
  EXPECT_EQ(pool.submit(square, 5).get(), 25U);
  *release = true;
  release->notify_all();
}

}  // namespace
}  // namespace ventile
