#include <ventile/task/run.hpp>

#include <stdexcept>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/fixture.hpp"

namespace ventile {
namespace {

using testing::ElementsAre;
using namespace std::chrono_literals;

std::vector<Range> ranges_of(const std::vector<RunnerEvent>& events) {
  std::vector<Range> ranges;
  for (const RunnerEvent& event : events) ranges.push_back(std::get<Finished>(event).range);
  return ranges;
}

TEST(Run, one_finished_tells_of_a_whole_batch) {
  RunHere here;
  const Finished all = here.finished(index_batch(index_job_of([](int i) { return i; }), {100, 1000}, 4, 2));
  EXPECT_EQ(all.job, (JobId{1, 2}));
  EXPECT_EQ(all.lease, lease(4));
  EXPECT_EQ(all.range, (Range{100, 1000}));
  EXPECT_EQ(all.tries, 3u);
  EXPECT_EQ(all.payload_count, 1000u);
  EXPECT_FALSE(all.folded);
  EXPECT_GT(all.busy_nanoseconds, 0u);
  EXPECT_EQ(*unpack_from<int>(payload_of(all, 999)), 1099);
}

TEST(Run, headroom_is_left_in_front_of_the_payloads) {
  RunHere here;
  const Finished all = here.finished(index_batch(index_job_of([](int) { return 5; }), {0, 1}));
  EXPECT_EQ(all.payloads.size(), test_limits.headroom + 1 + sizeof(std::uint32_t));
  EXPECT_EQ(all.payloads.data()[test_limits.headroom], std::byte{5});
}

TEST(Run, short_tasks_are_claimed_by_the_many) {
  RunHere here{test_limits, 1h};
  here.finished(index_batch(index_job_of([](int) {}), {0, 10'000}));
  EXPECT_LT(here.claims, 10u) << "four times as many as before at most";
}

TEST(Run, tasks_longer_than_a_claim_are_claimed_one_by_one) {
  RunHere here{test_limits, 0ns};
  here.finished(index_batch(index_job_of([](int) {}), {0, 10}));
  EXPECT_EQ(here.claims, 11u);
}

TEST(Run, finished_results_do_not_wait_behind_long_tasks) {
  RunHere here{test_limits, 0ns, 0ns};
  const auto& events = here.run(index_batch(index_job_of([](int) {}), {0, 3}));
  EXPECT_THAT(ranges_of(events), ElementsAre(Range{0, 1}, Range{1, 1}, Range{2, 1}));
}

TEST(Run, results_of_a_function_that_is_not_repeatable_leave_at_once) {
  RunHere here;
  const auto& events = here.run(index_batch(index_job_of([](int) {}, {.repeatable = false}), {0, 3}));
  EXPECT_THAT(ranges_of(events), ElementsAre(Range{0, 1}, Range{1, 1}, Range{2, 1}));
  EXPECT_EQ(here.claims, 4u);
}

TEST(Run, a_full_section_leaves_and_the_next_begins_with_what_had_no_room) {
  RunHere here{{.headroom = 8, .section_bytes_max = 250, .result_bytes_max = 1024}};
  const auto job = index_job_of([](int) { return std::string(100, 'x'); });  // 102 bytes packed, 4 in the table.
  auto& events = here.run(index_batch(job, {0, 5}));
  EXPECT_THAT(ranges_of(events), ElementsAre(Range{0, 2}, Range{2, 2}, Range{4, 1}));
  for (const RunnerEvent& event : events) {
    const auto& finished = std::get<Finished>(event);
    EXPECT_LE(finished.payloads.size(), 8u + 250u);
    EXPECT_EQ(*unpack_from<std::string>(payload_of(finished, 0)), std::string(100, 'x'));
  }
}

TEST(Run, a_result_larger_than_a_section_leaves_alone) {
  RunHere here{{.headroom = 8, .section_bytes_max = 250, .result_bytes_max = 1024}};
  const auto job = index_job_of([](int i) { return std::string(i == 1 ? 500 : 10, 'x'); });
  EXPECT_THAT(ranges_of(here.run(index_batch(job, {0, 4}))), ElementsAre(Range{0, 1}, Range{1, 1}, Range{2, 2}));
}

TEST(Run, a_result_larger_than_a_result_may_be_fails_its_task) {
  RunHere here{{.headroom = 8, .section_bytes_max = 1024, .result_bytes_max = 2048}};
  const auto job = index_job_of([](int i) { return std::string(i == 1 ? 2046 : 10, 'x'); });
  const Finished all = here.finished(index_batch(job, {0, 3}));
  ASSERT_EQ(all.failures, (std::vector{Failure{1, Outcome::failed}}));
  const UnpackedError error = unpack_error(payload_of(all, 1));
  EXPECT_EQ(error.kind, "result");
  EXPECT_EQ(error.message, "the result has 2049 bytes, more than the 2048 that one result may have");
  EXPECT_EQ(*unpack_from<std::string>(payload_of(all, 2)), std::string(10, 'x'));
}

TEST(Run, a_failure_that_has_no_room_leaves_alone) {
  RunHere here{{.headroom = 8, .section_bytes_max = 100, .result_bytes_max = 2048}};
  const auto job = index_job_of([](int i) {
    if (i == 1) throw std::runtime_error(std::string(200, 'm'));
    return i;
  });
  auto& events = here.run(index_batch(job, {0, 3}));
  EXPECT_THAT(ranges_of(events), ElementsAre(Range{0, 1}, Range{1, 1}, Range{2, 1}));
  EXPECT_EQ(std::get<Finished>(events[1]).failures, (std::vector{Failure{0, Outcome::failed}}));
  EXPECT_TRUE(std::get<Finished>(events[2]).failures.empty());
}

TEST(Run, a_failed_task_with_tries_left_is_a_retry_between_two_runs) {
  const auto job = index_job_of([](int i) {
    if (i == 2) throw TaskFailure("two", "not yet");
    return i;
  });
  job->tries_max = 3;
  RunHere here;
  auto& events = here.run(index_batch(job, {0, 5}, 1, 1));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(std::get<Finished>(events[0]).range, (Range{0, 2}));
  const auto& retry = std::get<Retry>(events[1]);
  EXPECT_EQ(retry.job, (JobId{1, 2}));
  EXPECT_EQ(retry.lease, lease(1));
  EXPECT_EQ(retry.number, 2u);
  EXPECT_EQ(retry.tries, 2u);
  EXPECT_EQ(retry.kind, "two");
  EXPECT_EQ(retry.message, "not yet");
  EXPECT_EQ(std::get<Finished>(events[2]).range, (Range{3, 2}));
}

TEST(Run, the_last_try_fails_for_good_within_its_run) {
  const auto job = index_job_of([](int) -> int { throw TaskFailure("no", "never"); });
  job->tries_max = 3;
  RunHere here;
  const Finished all = here.finished(index_batch(job, {0, 2}, 1, 2));
  EXPECT_EQ(all.tries, 3u);
  EXPECT_EQ(all.failures, (std::vector{Failure{0, Outcome::failed}, Failure{1, Outcome::failed}}));
}

TEST(Run, an_interrupt_leaves_the_rest_of_the_claim_unclaimed) {
  RunHere here;
  const auto job = index_job_of([&](int i) {
    if (i == 300) here.task_run.interrupt();
  });
  auto& events = here.run(index_batch(job, {0, 1'000'000}));
  EXPECT_EQ(std::get<Finished>(events.at(events.size() - 1)).range.end(), 301u);
  EXPECT_EQ(here.unclaimed_from, 301u);
  EXPECT_EQ(here.task_run.offset(), TaskRun::no_task);
}

TEST(Run, an_interrupted_pass_does_not_spoil_the_next) {
  RunHere here;
  const auto job = index_job_of([&](int i) {
    if (i == 3) here.task_run.interrupt();
  });
  here.run(index_batch(job, {0, 10}));
  EXPECT_EQ(here.finished(index_batch(job, {10, 10})).range, (Range{10, 10}));
}

TEST(Run, shows_the_watcher_which_task_runs) {
  RunHere here;
  const auto job = index_job_of([&](int i) { return static_cast<int>(here.task_run.offset()) == i; });
  const Finished all = here.finished(index_batch(job, {0, 1000}));
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_TRUE(*unpack_from<bool>(payload_of(all, i)));
}

struct OddThrows {
  int value = 0;
};

}  // namespace

// Packs half of itself and throws if odd.
template <>
struct Convert<OddThrows> {
  static void pack(Packer& packer, const OddThrows& odd) {
    packer.pack_array(2);
    packer.pack_signed(odd.value);
    if (odd.value % 2 == 1) throw std::length_error("odd");
    packer.pack_signed(odd.value);
  }
};

namespace {

TEST(Run, a_result_whose_packing_throws_fails_its_task_and_leaves_no_trace) {
  RunHere here;
  const Finished all = here.finished(index_batch(index_job_of([](int i) { return OddThrows{i}; }), {0, 3}));
  ASSERT_EQ(all.failures, (std::vector{Failure{1, Outcome::failed}}));
  EXPECT_EQ(unpack_error(payload_of(all, 1)).kind, "std::length_error");
  EXPECT_EQ(*unpack_from<std::vector<int>>(payload_of(all, 2)), (std::vector{2, 2}));
}

}  // namespace
}  // namespace ventile
