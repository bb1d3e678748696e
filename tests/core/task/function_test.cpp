#include <ventile/task/function.hpp>

#include <limits>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/fixture.hpp"

namespace ventile {
namespace {

using testing::HasSubstr;

struct Point {
  int x = 0;
  int y = 0;
  static auto fields(auto& self) { return std::tie(self.x, self.y); }
  bool operator==(const Point&) const = default;
};

double area(double width, double height) { return width * height; }

std::shared_ptr<TaskJob> with_constants(std::shared_ptr<TaskJob> job, const auto&... values) {
  const Buffer packed = pack_to_buffer(values...);
  job->constants.assign(packed.data(), packed.data() + packed.size());
  return job;
}

TEST(Function, arguments_are_unpacked_into_the_parameters) {
  EXPECT_EQ(RunHere{}.value<double>(Payloads{}.task(2.5, 4).batch(job_of(area))), 10.0);
  EXPECT_EQ(RunHere{}.value<Point>(Payloads{}.task(Point{1, 2}).batch(job_of([](const Point& p) {
    return Point{p.y, p.x};
  }))),
            (Point{2, 1}));
  EXPECT_EQ(
      RunHere{}.value<std::string>(Payloads{}.task("left", "right").batch(job_of([](std::string_view a, std::string b) {
        return b + std::string{a};
      }))),
      "rightleft");
}

TEST(Function, constants_come_before_the_tasks_own_values) {
  const auto job = with_constants(job_of([](int a, int b, int c) { return 100 * a + 10 * b + c; }), 1, 2);
  EXPECT_EQ(RunHere{}.value<int>(Payloads{}.task(3).batch(job)), 123);
}

TEST(Function, a_function_without_parameters_runs_on_an_empty_payload) {
  EXPECT_EQ(RunHere{}.value<int>(Payloads{}.raw({}).batch(job_of([] { return 7; }))), 7);
}

TEST(Function, void_is_nil) {
  EXPECT_EQ(RunHere{}.value<std::monostate>(Payloads{}.task(1).batch(job_of([](int) {}))), std::monostate{});
}

TEST(Function, too_few_and_too_many_arguments_are_told_apart) {
  const auto few = RunHere{}.error(Payloads{}.task(1.0).batch(job_of(area)));
  EXPECT_EQ(few.kind, "arguments");
  EXPECT_EQ(few.message, "expected 2 arguments, got 1");
  const auto many = RunHere{}.error(Payloads{}.task(1.0, 2.0, 3.0).batch(job_of(area)));
  EXPECT_EQ(many.message, "expected 2 arguments, got 3");
  const auto constants = RunHere{}.error(Payloads{}.task(1, 2).batch(with_constants(job_of([](int) {}), 0)));
  EXPECT_EQ(constants.message, "expected 1 argument, got 3");
}

TEST(Function, a_wrong_type_is_named_with_its_place) {
  const auto error = RunHere{}.error(Payloads{}.task(1u, "two").batch(job_of([](unsigned, unsigned) {})));
  EXPECT_EQ(error.kind, "arguments");
  EXPECT_THAT(error.message, HasSubstr("argument 2: expected unsigned integer, found string"));
}

TEST(Function, an_integer_that_does_not_fit_is_refused) {
  const auto error = RunHere{}.error(Payloads{}.task(300).batch(job_of([](std::uint8_t) {})));
  EXPECT_THAT(error.message, HasSubstr("argument 1: "));
}

TEST(Function, a_payload_that_is_not_msgpack_fails_its_task_only) {
  const std::byte garbage[] = {std::byte{0xc1}};
  RunHere here;
  const Finished all = here.finished(Payloads{}.task(1).raw(garbage).task(3).batch(job_of([](int i) { return i; })));
  ASSERT_EQ(all.failures.size(), 1u);
  EXPECT_EQ(all.failures[0].offset, 1u);
  EXPECT_EQ(unpack_error(payload_of(all, 1)).kind, "arguments");
  EXPECT_EQ(*unpack_from<int>(payload_of(all, 2)), 3);
}

TEST(Function, extra_arguments_may_be_ignored) {
  const auto job = job_of([](int first) { return first; }, {.ignores_extra_arguments = true});
  EXPECT_EQ(RunHere{}.value<int>(Payloads{}.task(1, "more", 3).batch(job)), 1);
}

TEST(Function, an_index_is_start_plus_step_times_number) {
  const auto job = index_job_of([](std::int64_t i) { return i; });
  job->index.start = 10;
  job->index.step = -3;
  RunHere here;
  const Finished all = here.finished(index_batch(job, {4, 3}));
  EXPECT_EQ(*unpack_from<std::int64_t>(payload_of(all, 0)), -2);
  EXPECT_EQ(*unpack_from<std::int64_t>(payload_of(all, 2)), -8);
}

TEST(Function, an_index_becomes_any_arithmetic_parameter_it_fits) {
  EXPECT_EQ(RunHere{}.value<double>(index_batch(index_job_of([](double i) { return i / 2; }), {3, 1})), 1.5);
  const auto narrow = index_job_of([](std::uint8_t i) { return i; });
  EXPECT_EQ(RunHere{}.value<int>(index_batch(narrow, {255, 1})), 255);
  const auto error = RunHere{}.error(index_batch(narrow, {256, 1}));
  EXPECT_EQ(error.kind, "arguments");
  EXPECT_THAT(error.message, HasSubstr("the index 256 does not fit"));
}

TEST(Function, an_index_comes_behind_the_constants) {
  const auto job = with_constants(index_job_of([](std::string_view name, int i) { return name.size() + i; }), "abc");
  EXPECT_EQ(RunHere{}.value<int>(index_batch(job, {4, 1})), 7);
}

TEST(Function, an_index_does_not_become_a_string) {
  const auto error = RunHere{}.error(index_batch(index_job_of([](std::string_view) {}), {1, 1}));
  EXPECT_THAT(error.message, HasSubstr("argument 1: expected string"));
}

TEST(Function, packed_arguments_are_all_values_in_order) {
  const auto job = with_constants(job_of([](const PackedArguments& arguments) {
                                    std::vector<int> all;
                                    for (const Bytes value : arguments.values())
                                      all.push_back(*unpack_from<int>(value));
                                    return all;
                                  }),
                                  1, 2);
  EXPECT_EQ(RunHere{}.value<std::vector<int>>(Payloads{}.task(3, 4).batch(job)), (std::vector{1, 2, 3, 4}));
  job->index.enabled = true;
  EXPECT_EQ(RunHere{}.value<std::vector<int>>(index_batch(job, {9, 1})), (std::vector{1, 2, 9}));
}

TEST(Function, packed_arguments_that_are_not_msgpack_fail_the_task) {
  const std::byte garbage[] = {std::byte{0x01}, std::byte{0xc1}};
  const auto job = job_of([](PackedArguments arguments) { return arguments.values().size(); });
  EXPECT_THAT(RunHere{}.error(Payloads{}.raw(garbage).batch(job)).message, HasSubstr("argument 2: expected a value"));
}

TEST(Function, a_packed_result_is_passed_on_as_it_is) {
  const auto view = job_of([](PackedArguments arguments) { return Packed::view(arguments.payload); });
  EXPECT_EQ(RunHere{}.value<std::string>(Payloads{}.task("as it is").batch(view)), "as it is");
  const auto owned = job_of([] { return Packed{pack_to_buffer(std::string(100, 'x'))}; });
  EXPECT_EQ(RunHere{}.value<std::string>(Payloads{}.raw({}).batch(owned)), std::string(100, 'x'));
}

TEST(Function, an_exception_is_the_tasks_failure_and_its_type_the_kind) {
  const auto job = job_of([](int) -> int { throw std::out_of_range("too far"); });
  const auto error = RunHere{}.error(Payloads{}.task(1).batch(job));
  EXPECT_EQ(error.kind, "std::out_of_range");
  EXPECT_EQ(error.message, "too far");
  EXPECT_TRUE(error.detail.empty());
}

TEST(Function, a_task_failure_names_its_kind_and_carries_a_detail) {
  const auto job = job_of([]() -> int { throw TaskFailure("exit", "exit status 3", std::vector{3, 4}); });
  const auto error = RunHere{}.error(Payloads{}.raw({}).batch(job));
  EXPECT_EQ(error.kind, "exit");
  EXPECT_EQ(error.message, "exit status 3");
  EXPECT_EQ(*unpack_from<std::vector<int>>(error.detail), (std::vector{3, 4}));
}

TEST(Function, anything_else_that_is_thrown_is_of_unknown_kind) {
  EXPECT_EQ(RunHere{}.error(Payloads{}.raw({}).batch(job_of([]() -> int { throw 42; }))).kind, "unknown");
}

TEST(Function, tasks_after_a_failed_one_run) {
  const auto job = index_job_of([](int i) {
    if (i % 3 == 1) throw std::runtime_error("no");
    return i;
  });
  RunHere here;
  const Finished all = here.finished(index_batch(job, {0, 100}));
  EXPECT_EQ(all.range, (Range{0, 100}));
  EXPECT_EQ(all.failures.size(), 33u);
  EXPECT_EQ(*unpack_from<int>(payload_of(all, 99)), 99);
}

TEST(Function, the_context_says_who_the_task_is) {
  const auto job = index_job_of([](const TaskContext& context, int i) {
    return std::tuple{context.job(), context.number(), context.attempt(), context.slot(), i};
  });
  job->tries_max = 9;
  using Answer = std::tuple<JobId, Number, std::uint32_t, std::uint32_t, int>;
  EXPECT_EQ(RunHere{}.value<Answer>(index_batch(job, {33, 1}, 1, 2)), (Answer{{1, 2}, 33, 3, 5, 33}));
}

TEST(Function, the_deadline_is_the_time_out_from_when_the_task_began) {
  const auto job = index_job_of([](TaskContext context, int) { return context.deadline().time_since_epoch(); });
  EXPECT_EQ(RunHere{}.value<Duration>(index_batch(job, {0, 1})), never.time_since_epoch());
  job->timeout = std::chrono::hours{1};
  const TimePoint before = Clock::now();
  const TimePoint deadline{RunHere{}.value<Duration>(index_batch(job, {0, 1}))};
  EXPECT_GE(deadline, before + job->timeout);
  EXPECT_LE(deadline, Clock::now() + job->timeout);
}

TEST(Function, a_long_message_is_shortened_between_characters_and_a_huge_detail_left_out) {
  std::string message;
  while (message.size() < 100'000) message += "ä";
  const FailureText error{"kind", message, pack_to_buffer(std::string(5000, 'd')).bytes()};
  const FailureText shorter = shortened(error, 4097);
  EXPECT_EQ(shorter.message.size(), 1024u);
  EXPECT_TRUE(shorter.detail.empty());
  EXPECT_EQ(shortened(error, 1 << 20).message.size(), std::size_t{1} << 16);
  EXPECT_FALSE(shortened(error, 1 << 20).detail.empty());
  EXPECT_EQ(shortened({"kind", message, {}}, 4 * 101).message.size(), 100u);
}

TEST(IndexRule, values_wrap_around_instead_of_overflowing) {
  EXPECT_EQ(index_value({true, std::numeric_limits<std::int64_t>::max(), 1}, 1),
            std::numeric_limits<std::int64_t>::min());
}

}  // namespace
}  // namespace ventile
