// The pool as a client of a broker over tcp, with workers that are others' threads here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <tests/nodes/io/temporary.hpp>
#include <tests/patterns/compute/running.hpp>
#include <ventile/keys/key_tree.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/queue/broker.hpp>
#include <ventile/ventile.hpp>

namespace ventile {
namespace {

// A client that ends without a word, as when its process is killed.
class DyingClient {
public:
  DyingClient(const Endpoint& broker, const std::string& function, std::uint64_t tasks)
      : client_(context_, reactor_, options(broker)) {
    EXPECT_TRUE(client_.start());
    Submit submit;
    submit.function = function;
    submit.index.enabled = true;
    client_.submit_index(client_.open(submit, std::make_shared<Deaf>()), tasks);
    reactor_.on_turn_end([this] { client_.on_turn_end(); });
    thread_ = std::thread([this] { reactor_.run(); });
  }
  ~DyingClient() {
    reactor_.stop();
    thread_.join();
  }
  DyingClient(const DyingClient&) = delete;
  DyingClient& operator=(const DyingClient&) = delete;

private:
  struct Deaf : JobListener {
    void on_results(const Arrival&) override {}
    void on_outcome(const Submission::DeliverOutcome&) override {}
    void on_over(const std::string&) override {}
  };
  static ClientOptions options(const Endpoint& broker) {
    ClientOptions options;
    options.connect = broker;
    return options;
  }

  Context context_;
  Reactor reactor_;
  Client client_;
  std::thread thread_;
};

class ClusterTest : public ::testing::Test {
protected:
  TaskRegistry tasks;
  Task<std::uint64_t(std::uint64_t)> square = tasks.add("square", [](std::uint64_t n) {
    if (n == 13) throw std::invalid_argument("unlucky");
    return n * n;
  });
};

TEST_F(ClusterTest, the_same_program_runs_on_a_brokers_workers) {
  RunningBroker broker;
  RunningWorker one{tasks, broker.address, "one"};
  RunningWorker two{tasks, broker.address, "two"};
  Pool pool{tasks, broker.address.to_string()};
  EXPECT_EQ(pool.submit(square, 12).get(), 144U);
  std::uint64_t next = 100;
  for (const std::uint64_t n : pool.map(square, std::views::iota(100U, 5100U))) {
    ASSERT_EQ(n, next * next);
    ++next;
  }
  EXPECT_EQ(next, 5100U);
  EXPECT_EQ(pool.map_reduce(square, std::plus<>{}, std::views::iota(0U, 10U)), 285U);
  try {
    pool.submit(square, 13).get();
    FAIL();
  } catch (const TaskError& error) {
    EXPECT_EQ(error.message(), "unlucky");
    EXPECT_THAT(error.worker(), ::testing::AnyOf("one", "two"));
  }
}

TEST_F(ClusterTest, with_keys_the_same_program_takes_a_folder_more) {
  const TemporaryFolder folder;
  const std::string keys = folder.path("keys");
  ASSERT_TRUE(make_key_tree(keys));
  RunningBroker broker{0, *Keys::open(keys, {KeyRole::dispatcher})};
  std::jthread worker{[&](std::stop_token stop) {
    work(tasks, broker.address.to_string(), {.slots = 1, .keys = keys, .stop = std::move(stop)});
  }};
  Pool pool{tasks, broker.address.to_string(), {.keys = keys}};
  EXPECT_EQ(pool.submit(square, 12).get(), 144U);
}

TEST_F(ClusterTest, a_folder_without_the_key_of_the_role_is_refused) {
  const TemporaryFolder folder;
  const std::string keys = folder.path("keys");
  ASSERT_TRUE(make_key_tree(keys));
  EXPECT_THROW((Pool{tasks, "tcp://127.0.0.1:5570", {.keys = keys + "/worker"}}), std::invalid_argument);
  EXPECT_THROW(work(tasks, "tcp://127.0.0.1:5570", {.keys = keys + "/client"}), std::invalid_argument);
}

TEST_F(ClusterTest, a_large_argument_and_a_large_result_come_through_the_broker) {
  const auto echo = tasks.add("echo", [](const std::vector<double>& values) { return values; });
  RunningBroker broker;
  RunningWorker worker{tasks, broker.address, "worker"};
  Pool pool{tasks, broker.address.to_string()};
  const std::vector<double> values(500'000, 0.5);
  EXPECT_EQ(pool.submit(echo, values).get(), values);
}

// Whatever is lost with a note, and each role stops lending or borrowing only after it has lost something.
TEST_F(ClusterTest, what_was_lent_and_cannot_be_read_is_brought_again) {
  const auto echo = tasks.add("echo", [](const std::string& text) { return text; });
  std::mutex mutex;
  std::vector<std::string> said;
  const Log log{[&](Level, std::string_view line) {
    const std::lock_guard lock{mutex};
    said.emplace_back(line);
  }};
  const auto losses = [&](std::string_view text) {
    const std::lock_guard lock{mutex};
    return std::count_if(said.begin(), said.end(), [&](const std::string& line) { return line.ends_with(text); });
  };
  std::vector<std::string> texts;
  for (int i = 0; i < 100; ++i) texts.push_back(std::to_string(i) + std::string(100'000, 'x'));
  for (std::uint64_t round = 0;
       losses("nothing is lent by client.") == 0 || losses("nothing is lent by worker.") == 0 ||
       losses("lent to this worker from now on.") == 0 || losses("lent to this client from now on.") == 0;
       ++round) {
    ASSERT_LT(round, 200U) << "something was never lost";
    RunningBroker broker{0, {}, {}, log};
    std::jthread worker{[&](std::stop_token stop) {
      work(tasks, broker.address.to_string(), {.slots = 2, .name = "worker", .stop = std::move(stop), .log = log});
    }};
    Pool pool{tasks, broker.address.to_string(), {.name = "client", .log = log}};
    // When so many have been read, in each round another number, whoever has not read a note yet finds it too old.
    std::jthread spoiler{[last = lending::borrowed_count() + round % 20](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        if (lending::borrowed_count() >= last) lending::collect(Clock::now() + 2 * lending::unread_max);
        std::this_thread::yield();
      }
    }};
    std::size_t next = 0;
    for (const std::string& text : pool.map(echo, texts)) ASSERT_EQ(text, texts.at(next++));
    ASSERT_EQ(next, texts.size());
  }
  EXPECT_EQ(losses("ignored"), 0);
}

TEST_F(ClusterTest, tasks_survive_a_broker_that_goes_away_and_comes_back_and_none_counts_twice) {
  std::atomic<std::uint64_t> begun = 0;
  std::promise<void> some_done;
  const auto count = tasks.add("count", [&](std::uint64_t n) {
    if (++begun == 200) some_done.set_value();
    return n;
  });
  auto broker = std::make_unique<RunningBroker>();
  const std::uint16_t port = broker->address.port;
  RunningWorker worker{tasks, broker->address, "worker"};
  Pool pool{tasks, broker->address.to_string()};
  std::vector<Future<std::uint64_t>> futures;
  for (std::uint64_t n = 0; n < 2000; ++n) futures.push_back(pool.submit(count, n));
  some_done.get_future().wait();
  broker.reset();
  for (std::uint64_t n = 2000; n < 2100; ++n) futures.push_back(pool.submit(count, n));
  broker = std::make_unique<RunningBroker>(port);
  for (std::uint64_t n = 0; n < futures.size(); ++n) ASSERT_EQ(futures[n].get(), n);
  EXPECT_EQ(pool.stats().open_tasks, 0U);
}

// Whose result is whose must not depend on how the submissions of threads and clients mix.
TEST_F(ClusterTest, sixty_four_threads_of_two_clients_each_get_the_results_of_their_own_tasks) {
  constexpr std::uint64_t threads_count = 64;
  constexpr std::uint64_t tasks_each = 200;
  RunningBroker broker;
  RunningWorker one{tasks, broker.address, "one"};
  RunningWorker two{tasks, broker.address, "two"};
  const std::array<std::unique_ptr<Pool>, 2> pools{std::make_unique<Pool>(tasks, broker.address.to_string()),
                                                   std::make_unique<Pool>(tasks, broker.address.to_string())};
  std::latch together{threads_count};
  std::atomic<std::uint64_t> right = 0;
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < threads_count; ++thread)
      threads.emplace_back([&, thread] {
        Pool& pool = *pools[thread % pools.size()];
        const std::uint64_t first = 100 + thread * tasks_each;
        together.arrive_and_wait();
        std::vector<Future<std::uint64_t>> futures;
        for (std::uint64_t i = 0; i < tasks_each; ++i) futures.push_back(pool.submit(square, first + i));
        for (std::uint64_t i = 0; i < tasks_each; ++i)
          if (futures[i].get() == (first + i) * (first + i)) ++right;
      });
  }
  EXPECT_EQ(right, threads_count * tasks_each);
  for (const auto& pool : pools) EXPECT_EQ(pool->stats().open_tasks, 0U);
}

TEST_F(ClusterTest, a_client_that_vanishes_has_its_tasks_dropped) {
  std::latch begun{1};
  const auto forever = tasks.add("forever", [&begun](const TaskContext& context) {
    begun.count_down();
    std::atomic<bool> stopped = false;
    const std::stop_callback stop{context.stop_token(), [&] {
                                    stopped = true;
                                    stopped.notify_all();
                                  }};
    stopped.wait(false);
  });
  RunningBroker broker;
  RunningWorker worker{tasks, broker.address, "worker"};
  {
    Pool brief{tasks, broker.address.to_string(), {.on_destruction = Shutdown::cancel}};
    auto future = brief.submit(forever);
    begun.wait();
  }
  Pool pool{tasks, broker.address.to_string()};
  EXPECT_EQ(pool.submit(square, 2).get(), 4U);  // The slots are free, or one of them is; both soon.
}

TEST_F(ClusterTest, a_client_that_is_killed_has_its_tasks_cancelled_even_those_that_run) {
  std::latch begun{1};
  std::latch stopped{1};
  const auto forever = tasks.add("forever", [&](const TaskContext& context, std::int64_t) {
    begun.count_down();
    const std::stop_callback stop{context.stop_token(), [&] { stopped.count_down(); }};
    stopped.wait();
  });
  RunningBroker broker;
  RunningWorker worker{tasks, broker.address, "worker"};
  {
    const DyingClient client{broker.address, forever.name, 1};
    begun.wait();
  }
  stopped.wait();
  Pool pool{tasks, broker.address.to_string()};
  EXPECT_EQ(pool.submit(square, 2).get(), 4U);
  for (const JobState& job : pool.stats().jobs) EXPECT_NE(job.function, forever.name);
}

// `ventile cancel` of one of a program's jobs: the function could not be submitted to that pool any more.
TEST_F(ClusterTest, after_a_job_was_cancelled_at_the_broker_its_function_goes_on_in_another_one) {
  std::latch begun{1};
  const auto turn = tasks.add("turn", [&begun](const TaskContext& context, std::uint64_t n) {
    if (n > 0) return n;
    begun.count_down();
    std::latch stopped{1};
    const std::stop_callback stop{context.stop_token(), [&] { stopped.count_down(); }};
    stopped.wait();
    return n;
  });
  RunningBroker broker;
  RunningWorker worker{tasks, broker.address, "worker"};
  Pool pool{tasks, broker.address.to_string()};
  auto runs = pool.submit(turn, 0U);
  begun.wait();
  ASSERT_EQ(pool.stats().jobs.size(), 1U);
  EXPECT_TRUE(pool.discard(to_string(pool.stats().jobs.front().job)));
  try {
    runs.get();
    FAIL();
  } catch (const TaskError& error) {
    EXPECT_EQ(error.outcome(), Outcome::cancelled);
  }
  // Until the pool has heard of it, what is submitted is a part of the cancelled job, and is cancelled with it.
  std::optional<std::uint64_t> result;
  for (int attempt = 0; attempt < 1'000 && !result; ++attempt) try {
      result = pool.submit(turn, 5U).get();
    } catch (const TaskError& error) {
      EXPECT_EQ(error.outcome(), Outcome::cancelled);
    }
  EXPECT_EQ(result, 5U);
}

// --- Fairness ------------------------------------------------------------------------------------------------------

// Two slots, a client that has submitted far more than they can do, and another one.
class FairnessTest : public ClusterTest {
protected:
  std::atomic<std::uint64_t> flooded = 0;
  Task<void(int)> flood = tasks.add("flood", [this](int) {
    nap();
    ++flooded;
  });
  Task<void(std::int64_t)> modest = tasks.add("modest", [](std::int64_t) { nap(); });
  RunningBroker broker;
  RunningWorker worker{tasks, broker.address, "worker"};
  Pool hog{tasks, broker.address.to_string(), {.on_destruction = Shutdown::cancel}};
  Pool other{tasks, broker.address.to_string()};

  static constexpr int tasks_of_flood = 20'000;
  static constexpr int tasks_of_other = 2'000;

  static void nap() { std::this_thread::sleep_for(std::chrono::milliseconds{1}); }  // The work.

  // How many tasks of the flood were run while `work` was done.
  std::uint64_t flooded_during(const std::function<void()>& work) {
    while (flooded < 100) std::this_thread::yield();  // Its length is known, and it has all slots.
    const std::uint64_t before = flooded;
    work();
    return flooded - before;
  }
  static void expect_shared(std::uint64_t of_flood) {
    EXPECT_LT(of_flood, tasks_of_other * 3 / 2) << "of the flood's tasks, beside " << tasks_of_other;
    EXPECT_GT(of_flood, tasks_of_other * 2 / 3) << "of the flood's tasks, beside " << tasks_of_other;
  }
};

// An index job that is folded has batches of 20 ms, the others of 10 ms.
TEST_F(FairnessTest, a_client_that_floods_leaves_another_its_share_and_keeps_its_own) {
  for (int i = 0; i < tasks_of_flood; ++i) (void)hog.submit(flood, i);
  expect_shared(flooded_during([&] { other.for_index(modest, 0, tasks_of_other); }));
}

TEST_F(FairnessTest, the_same_holds_for_jobs_of_the_same_kind) {
  for (int i = 0; i < tasks_of_flood; ++i) (void)hog.submit(flood, i);
  expect_shared(flooded_during([&] {
    auto results = other.map(modest, std::views::iota(0, tasks_of_other));
    for (auto at = results.begin(); at != results.end(); ++at) {
    }
  }));
}

TEST_F(FairnessTest, many_jobs_of_one_client_have_the_share_of_one) {
  constexpr std::uint32_t jobs = 20;
  for (int i = 0; i < tasks_of_flood; ++i)
    (void)hog.submit(TaskOptions{.tries = 1 + static_cast<std::uint32_t>(i) % jobs}, flood, i);
  expect_shared(flooded_during([&] { other.for_index(modest, 0, tasks_of_other); }));
}

TEST_F(ClusterTest, an_address_that_is_none_is_refused_at_once) {
  EXPECT_THROW((Pool{tasks, "nonsense"}), std::invalid_argument);
  EXPECT_THROW(work(tasks, "nonsense"), std::invalid_argument);
}

}  // namespace
}  // namespace ventile
