// Whatever others do to a Runner while it works, every number comes out exactly once.
#include <ventile/task/runner.hpp>

#include <atomic>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/core/task/fixture.hpp"

namespace ventile {
namespace {

using namespace std::chrono_literals;
using Random = std::mt19937_64;

// Accounts for every number of every batch of one storm; each batch has its own lease.
class Account {
public:
  void expect(const Batch& batch) {
    batches_.emplace(batch.lease(), Entry{batch.range(), {}});
    count_ += batch.range().count;
  }
  std::uint64_t count() const { return count_; }  // Tasks.

  void take(const std::vector<Finished>& all) {
    for (const Finished& finished : all) {
      add(finished.lease, finished.range);
      check_payloads(finished);
    }
  }
  void take(const std::vector<Retry>& all) {
    for (const Retry& retry : all) add(retry.lease, {retry.number, 1});
  }
  void take(const std::vector<Returned>& all) {
    for (const Returned& returned : all) add(returned.lease, returned.range);
  }

  void expect_everything() const {
    for (const auto& [lease, entry] : batches_)
      EXPECT_EQ(entry.seen, IntervalSet(entry.expected)) << "lease " << lease.counter;
  }

private:
  struct Entry {
    Range expected;
    IntervalSet seen;
  };
  std::map<LeaseId, Entry> batches_;
  std::uint64_t count_ = 0;

  void add(LeaseId lease, Range range) {
    Entry& entry = batches_.at(lease);
    EXPECT_TRUE(entry.expected.contains(range));
    EXPECT_EQ(entry.seen.insert(range), range.count) << "reported twice";
  }

  // Tasks return their number; a fold sums them up.
  static void check_payloads(const Finished& finished) {
    if (finished.folded) {
      const std::uint64_t sum = (finished.range.first + finished.range.end() - 1) * finished.range.count / 2;
      EXPECT_EQ(*unpack_from<std::uint64_t>(payload_of(finished, 0)), sum);
      return;
    }
    std::size_t failures = 0;
    for (std::uint32_t i = 0; i < finished.payload_count; ++i) {
      if (failures < finished.failures.size() && finished.failures[failures].offset == i) {
        ++failures;
      } else {
        EXPECT_EQ(*unpack_from<std::uint64_t>(payload_of(finished, i)), finished.range.first + i);
      }
    }
  }
};

// Several jobs: quick ones, failing ones, with and without fold, tries and repeatability.
std::vector<std::shared_ptr<TaskJob>> make_jobs(Random& random) {
  TaskRegistry registry;
  registry.add("quick", [](std::uint64_t i) { return i; });
  registry.add("once", [](std::uint64_t i) { return i; }, {.repeatable = false});
  registry.add("failing", [](std::uint64_t i) {
    if (i % 7 == 3) throw std::runtime_error("three");
    return i;
  });
  registry.add("uneven", [](std::uint64_t i) {
    if (i % 50 == 0) std::this_thread::yield();
    return i;
  });
  registry.add_fold<std::uint64_t>("sum", std::plus<>{});
  std::vector<std::shared_ptr<TaskJob>> jobs;
  for (const std::string& name : registry.names()) {
    for (const bool folds : {false, true}) {
      auto job = std::make_shared<TaskJob>();
      job->id = {1, jobs.size() + 1};
      job->function = registry.find(name);
      if (folds) job->fold = registry.find_fold("sum");
      job->index.enabled = true;
      job->timeout = 1h;
      job->tries_max = static_cast<std::uint32_t>(1 + random() % 2);
      jobs.push_back(std::move(job));
    }
  }
  return jobs;
}

RunnerOptions small_options(std::uint32_t slots) {
  RunnerOptions options;
  options.slots = slots;
  options.run.limits = {.headroom = 8, .section_bytes_max = 4096, .result_bytes_max = 8192};
  return options;
}

struct Storm : testing::TestWithParam<std::uint64_t> {
  static constexpr std::uint64_t batch_count = 60;

  Random random{GetParam()};
  std::vector<std::shared_ptr<TaskJob>> jobs = make_jobs(random);
  Events events;
  Account account;

  std::vector<std::shared_ptr<Batch>> batches() {
    std::vector<std::shared_ptr<Batch>> made;
    for (std::uint64_t i = 1; i <= batch_count; ++i) {
      const std::uint64_t count = 1 + (random() % 4 == 0 ? random() % 5000 : random() % 50);
      made.push_back(index_batch(jobs[random() % jobs.size()], {random() % 1000, count}, i));
      account.expect(*made.back());
    }
    return made;
  }

  void settle_the_account() {
    account.take(events.all<Finished>());
    account.take(events.all<Retry>());
    account.take(events.all<Returned>());
    account.expect_everything();
  }
};

TEST_P(Storm, every_number_comes_out_once_whatever_is_retracted_and_cancelled) {
  std::optional<Runner> runner{std::in_place, small_options(3), events.callback()};
  std::atomic<bool> over{false};
  std::thread meddler{[&, meddling = Random{GetParam() + 1}]() mutable {
    while (!over) {
      const LeaseId target = lease(1 + meddling() % batch_count);
      switch (meddling() % 8) {
        case 0:
          for (const Range range : runner->retract(target, meddling() % 100))
            events.take({Retracted{{}, target, range}});
          break;
        case 1:
          events.take(runner->cancel(target, {meddling() % 1000, meddling() % 300}));
          break;
        case 2:
          events.take(runner->tick(Clock::now()));
          break;
        case 3:
          if (meddling() % 50 == 0) events.take(runner->cancel(jobs[meddling() % jobs.size()]->id));
          break;
        default:
          static_cast<void>(runner->status());
          static_cast<void>(runner->queued());
          static_cast<void>(runner->idle_slots());
      }
    }
  }};
  for (auto& batch : batches()) runner->start(std::move(batch));
  EXPECT_TRUE(events.wait_for_tasks(account.count()));
  over = true;
  meddler.join();
  runner.reset();
  settle_the_account();
}

TEST_P(Storm, every_number_comes_out_once_even_if_slots_are_given_up_at_any_moment) {
  std::optional<Runner> runner{std::in_place, small_options(4), events.callback()};
  auto made = batches();
  const std::size_t first_tick = random() % made.size();
  for (std::size_t i = 0; i < made.size(); ++i) {
    runner->start(std::move(made[i]));
    if (i >= first_tick) events.take(runner->tick(Clock::now() + 2h));
  }
  events.take(runner->retract_all());  // Perhaps no slot is left.
  EXPECT_TRUE(events.wait_for_tasks(account.count()));
  runner.reset();
  settle_the_account();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Storm, testing::Range<std::uint64_t>(1, 21));

}  // namespace
}  // namespace ventile
