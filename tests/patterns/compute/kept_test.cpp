// Jobs that a program leaves to a broker, and results that it or another fetches.
#include <cstdint>
#include <functional>
#include <latch>
#include <optional>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <tests/patterns/compute/running.hpp>
#include <ventile/ventile.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t count = 5000;

class KeptTest : public ::testing::Test {
protected:
  const TemporaryFolder folder;
  TaskRegistry tasks;
  Task<std::uint64_t(std::uint64_t)> square = tasks.add("square", [](std::uint64_t n) {
    if (n == 13) throw std::invalid_argument("unlucky");
    return n * n;
  });
  std::optional<RunningBroker> broker{std::in_place, std::uint16_t{0}, Keys{}, folder.path("state")};
  const Endpoint address = broker->address;
  // From where no number is unlucky.
  const std::ranges::iota_view<std::uint64_t, std::uint64_t> numbers{100, 100 + count};

  // As after kill -9: another broker with the same journal and address.
  void restart_broker() {
    broker.reset();
    broker.emplace(address.port, Keys{}, folder.path("state"));
  }
  Pool pool() { return Pool{tasks, address.to_string()}; }
  // Walks over all results, which are the squares of `numbers` in order, and does `at_half` in between.
  template <class Results>
  void expect_squares(
      Results& results, const std::function<void()>& at_half = [] {}) {
    std::uint64_t next = 100;
    for (const std::uint64_t n : results) {
      ASSERT_EQ(n, next * next);
      if (++next == 100 + count / 2) at_half();
    }
    EXPECT_EQ(next, 100 + count);
  }
  // The same for all results of the kept job, which a worker is there for from now on, and confirms them.
  void fetch_with_a_worker(Pool& from) {
    const RunningWorker worker{tasks, address, "worker"};
    auto results = from.fetch("nightly", square);
    expect_squares(results);
    results.confirm();
  }
  static std::string refusal(const std::function<void()>& call) {
    try {
      call();
    } catch (const TaskError& error) {
      return error.message();
    }
    return "nothing was refused";
  }
};

TEST_F(KeptTest, what_one_program_leaves_another_fetches_and_when_it_is_confirmed_it_is_gone) {
  EXPECT_EQ(pool().keep("nightly", square, numbers), count);
  const RunningWorker worker{tasks, address, "worker"};
  Pool other = pool();
  auto results = other.fetch("nightly", square);
  expect_squares(results);
  results.confirm();
  EXPECT_TRUE(other.stats().jobs.empty());
  auto again = other.fetch("nightly", square);
  EXPECT_THAT(refusal([&] { again.begin(); }), HasSubstr("no job 'nightly' is kept"));
}

TEST_F(KeptTest, results_that_are_not_confirmed_can_be_fetched_again) {
  const RunningWorker worker{tasks, address, "worker"};
  Pool one = pool();
  one.keep("nightly", square, numbers);
  {
    auto results = one.fetch("nightly", square);
    expect_squares(results);
  }
  {
    auto begun = one.fetch("nightly", square);
    EXPECT_EQ(*begun.begin(), 100U * 100U);
  }
  auto results = one.fetch("nightly", square);
  expect_squares(results);
  results.confirm();
  results.confirm();  // Is done, and stays so.
}

TEST_F(KeptTest, only_what_was_walked_over_can_be_confirmed) {
  const RunningWorker worker{tasks, address, "worker"};
  Pool one = pool();
  one.keep("nightly", square, numbers);
  auto results = one.fetch("nightly", square);
  EXPECT_THROW(results.confirm(), std::logic_error);
  expect_squares(results);
  results.confirm();
}

TEST_F(KeptTest, a_task_that_failed_throws_where_its_result_would_be) {
  const RunningWorker worker{tasks, address, "worker"};
  Pool one = pool();
  one.keep("nightly", square, std::views::iota(std::uint64_t{12}, std::uint64_t{15}));
  auto results = one.fetch("nightly", square);
  auto at = results.begin();
  EXPECT_EQ(*at, 144U);
  EXPECT_EQ(refusal([&] { *++at; }), "unlucky");
  EXPECT_EQ(*++at, 196U);
  EXPECT_EQ(++at, results.end());
  results.confirm();
}

TEST_F(KeptTest, a_job_without_tasks_is_kept_and_fetched) {
  Pool one = pool();
  EXPECT_EQ(one.keep("nightly", square, std::vector<std::uint64_t>{}), 0U);
  auto results = one.fetch("nightly", square);
  EXPECT_EQ(results.begin(), results.end());
  results.confirm();
}

TEST_F(KeptTest, a_range_that_throws_leaves_a_job_that_goes_on_when_it_is_kept_again) {
  Pool one = pool();
  bool broken = true;
  const auto breaking = numbers | std::views::transform([&](std::uint64_t n) {
                          if (broken && n == 100 + count / 2) throw std::runtime_error("the disk is gone");
                          return n;
                        });
  EXPECT_THROW(one.keep("nightly", square, breaking), std::runtime_error);
  broken = false;
  EXPECT_EQ(one.keep("nightly", square, breaking), count);
  fetch_with_a_worker(one);
}

TEST_F(KeptTest, a_pool_that_is_shut_down_in_between_leaves_a_job_that_is_not_closed) {
  std::latch half{1}, over{1};
  bool waits = true;
  const auto waiting = numbers | std::views::transform([&](std::uint64_t n) {
                         if (waits && n == 100 + count / 2) {
                           half.count_down();
                           over.wait();
                         }
                         return n;
                       });
  std::optional<Pool> one{pool()};
  std::thread keeping{
      [&] { EXPECT_THAT(refusal([&] { one->keep("nightly", square, waiting); }), HasSubstr("shut down")); }};
  half.wait();
  one->shut_down(Shutdown::finish);
  over.count_down();
  keeping.join();
  waits = false;
  Pool other = pool();
  EXPECT_EQ(other.keep("nightly", square, waiting), count);
  fetch_with_a_worker(other);
}

TEST_F(KeptTest, a_broker_that_dies_while_a_job_is_handed_over_and_while_it_is_fetched_loses_and_doubles_nothing) {
  Pool one = pool();
  const auto dangerous = numbers | std::views::transform([&](std::uint64_t n) {
                           if (n == 100 + count / 2) restart_broker();
                           return n;
                         });
  EXPECT_EQ(one.keep("nightly", square, dangerous), count);
  const RunningWorker worker{tasks, address, "worker"};
  auto results = one.fetch("nightly", square);
  expect_squares(results, [&] { restart_broker(); });
  results.confirm();
}

// What an idle broker writes to its journal must not be taken for damage by the one after the next.
TEST_F(KeptTest, a_broker_that_was_started_again_before_it_had_work_keeps_the_work_that_comes_then) {
  restart_broker();
  restart_broker();
  Pool one = pool();
  EXPECT_EQ(one.keep("nightly", square, numbers), count);
  restart_broker();
  fetch_with_a_worker(one);
}

TEST_F(KeptTest, a_job_of_the_same_name_with_another_source_is_refused) {
  Pool one = pool();
  one.keep({.task = {}, .source = "the seeds of May"}, "nightly", square, numbers);
  EXPECT_THAT(refusal([&] { one.keep({.task = {}, .source = "the seeds of June"}, "nightly", square, numbers); }),
              HasSubstr("the seeds of May"));
}

TEST_F(KeptTest, the_same_job_kept_again_is_the_same_job) {
  Pool one = pool();
  EXPECT_EQ(one.keep("nightly", square, numbers), count);
  EXPECT_EQ(one.keep("nightly", square, numbers), count);
  EXPECT_THAT(refusal([&] { one.keep("nightly", square, numbers | std::views::take(7)); }),
              HasSubstr("input has changed"));
  fetch_with_a_worker(one);
}

TEST_F(KeptTest, a_discarded_job_is_gone) {
  Pool one = pool();
  one.keep("nightly", square, numbers);
  EXPECT_TRUE(one.discard("nightly"));
  EXPECT_FALSE(one.discard("nightly"));
  auto results = one.fetch("nightly", square);
  EXPECT_THAT(refusal([&] { results.begin(); }), HasSubstr("no job 'nightly' is kept"));
}

TEST_F(KeptTest, a_pool_that_is_shut_down_ends_a_walk_and_leaves_the_job) {
  std::optional<Pool> one{pool()};
  one->keep("nightly", square, numbers);
  auto results = one->fetch("nightly", square);
  one->shut_down(Shutdown::finish);
  EXPECT_THAT(refusal([&] { results.begin(); }), HasSubstr("shut down"));
  const RunningWorker worker{tasks, address, "worker"};
  Pool other = pool();
  auto again = other.fetch("nightly", square);
  expect_squares(again);
  again.confirm();
}

TEST_F(KeptTest, who_keeps_nothing_says_so) {
  Pool local{tasks};
  EXPECT_THAT(refusal([&] { local.keep("nightly", square, numbers); }), HasSubstr("--durable"));
  auto results = local.fetch("nightly", square);
  EXPECT_THAT(refusal([&] { results.begin(); }), HasSubstr("nightly"));
}

}  // namespace
}  // namespace ventile
