#include <nodes/builtin_tasks.hpp>

#include <cmath>
#include <string>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/fixture.hpp"

namespace ventile {
namespace {

using testing::HasSubstr;
using namespace std::chrono_literals;

struct BuiltinTasks : testing::Test {
  TaskRegistry tasks;

  BuiltinTasks() { add_builtin_tasks(tasks); }

  std::shared_ptr<TaskJob> job(const std::string& function, const auto&... constants) {
    auto made = std::make_shared<TaskJob>();
    made->function = tasks.find(function);
    const Buffer packed = pack_to_buffer(constants...);
    made->constants.assign(packed.data(), packed.data() + packed.size());
    return made;
  }
  std::shared_ptr<TaskJob> index_job(const std::string& function, const auto&... constants) {
    auto made = job(function, constants...);
    made->index.enabled = true;
    return made;
  }
  template <class T>
  T folded(const std::string& fold, std::int64_t start, std::uint64_t count) {
    const auto indexes = index_job("index");
    indexes->fold = tasks.find_fold(fold);
    indexes->index.start = start;
    return RunHere{}.value<T>(index_batch(indexes, {0, count}));
  }
};

TEST_F(BuiltinTasks, echo_gives_one_value_as_it_is_and_several_as_an_array) {
  EXPECT_EQ(RunHere{}.value<std::string>(Payloads{}.task("hello").batch(job("echo"))), "hello");
  EXPECT_EQ(RunHere{}.value<std::vector<int>>(Payloads{}.task(2, 3).batch(job("echo", 1))), (std::vector{1, 2, 3}));
  EXPECT_EQ(RunHere{}.value<std::vector<int>>(Payloads{}.raw({}).batch(job("echo"))), std::vector<int>{});
  EXPECT_EQ(RunHere{}.value<int>(index_batch(index_job("echo"), {9, 1})), 9);
}

TEST_F(BuiltinTasks, echo_refuses_what_is_not_msgpack) {
  const std::byte garbage[] = {std::byte{0xc1}};
  EXPECT_EQ(RunHere{}.error(Payloads{}.raw(garbage).batch(job("echo"))).kind, "arguments");
}

TEST_F(BuiltinTasks, sha256_is_that_of_fips_180) {
  EXPECT_EQ(RunHere{}.value<std::string>(Payloads{}.task("abc").batch(job("sha256"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(RunHere{}.value<std::string>(Payloads{}.task(std::vector<std::byte>{}).batch(job("sha256"))),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(RunHere{}.error(Payloads{}.task(1).batch(job("sha256"))).kind, "arguments");
}

TEST_F(BuiltinTasks, fail_says_what_it_is_told_to) {
  const auto told = RunHere{}.error(Payloads{}.task("because").batch(job("fail")));
  EXPECT_EQ(told.kind, "fail");
  EXPECT_EQ(told.message, "because");
  EXPECT_EQ(RunHere{}.error(index_batch(index_job("fail"), {1, 1})).message, "was told to fail");
  EXPECT_EQ(RunHere{}.error(Payloads{}.raw({}).batch(job("fail"))).message, "was told to fail");
}

TEST_F(BuiltinTasks, sleep_and_spin_take_their_constant_and_ignore_the_index) {
  EXPECT_TRUE(RunHere{}.finished(index_batch(index_job("sleep", 0), {7, 2})).failures.empty());
  EXPECT_TRUE(RunHere{}.finished(index_batch(index_job("spin", 0.5), {7, 2})).failures.empty());
}

TEST_F(BuiltinTasks, sleep_refuses_a_negative_duration_and_one_that_is_not_a_number) {
  EXPECT_THAT(RunHere{}.error(Payloads{}.task(-1).batch(job("sleep"))).message, HasSubstr("a duration cannot be -1"));
  EXPECT_EQ(RunHere{}.error(Payloads{}.task(std::nan("")).batch(job("sleep"))).kind, "arguments");
}

TEST_F(BuiltinTasks, sleep_ends_at_its_time_out) {
  const auto forever = job("sleep", 1e300);
  forever->timeout = 1ms;
  EXPECT_EQ(RunHere{}.error(Payloads{}.raw({}).batch(forever)).kind, "timeout");
}

TEST_F(BuiltinTasks, sleep_ends_when_told_to_stop) {
  Events events;
  RunnerOptions options;
  options.run.limits = test_limits;
  Runner runner{options, events.callback()};
  const auto forever = index_job("sleep", 1e300);
  forever->id = {1, 2};
  runner.start(index_batch(forever, {0, 1}));
  while (runner.queued() > 0) std::this_thread::yield();
  events.take(runner.cancel(forever->id));
  ASSERT_TRUE(events.wait_for_tasks(1));
  EXPECT_EQ(unpack_error(payload_of(events.all<Finished>().at(0), 0)).kind, "cancelled");
}

TEST_F(BuiltinTasks, crash_takes_the_process_with_it) {
  EXPECT_EXIT(RunHere{}.run(Payloads{}.raw({}).batch(job("crash"))), testing::KilledBySignal(SIGABRT), "");
}

TEST_F(BuiltinTasks, folds_give_sum_least_most_and_count) {
  EXPECT_EQ(folded<int>("sum", -2, 10), 25);
  EXPECT_EQ(folded<int>("min", -2, 10), -2);
  EXPECT_EQ(folded<int>("max", -2, 10), 7);
  EXPECT_EQ(folded<int>("count", -2, 10), 10);
}

}  // namespace
}  // namespace ventile
