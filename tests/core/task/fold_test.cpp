#include <ventile/task/fold.hpp>

#include <functional>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/task/fixture.hpp"

namespace ventile {
namespace {

using testing::HasSubstr;
using Integers = std::vector<int>;

constexpr auto append = [](Integers& into, const Integers& more) { into.insert(into.end(), more.begin(), more.end()); };

struct Folds : testing::Test {
  TaskRegistry registry;

  Folds() {
    registry.add_fold<Scalar>("sum", std::plus<>{});
    registry.add_fold<double>("product", std::multiplies<double>{});
    registry.add_fold<std::uint8_t>("narrow", [](std::uint8_t a, std::uint8_t b) { return std::uint8_t(a + b); });
    registry.add_fold<Integers>("append", append);
    registry.add_fold<std::uint64_t>("count", std::plus<>{}, [](Bytes) { return std::uint64_t{1}; });
    registry.add_fold<int>("picky", [](int a, int b) {
      if (b == 13) throw std::runtime_error("not 13");
      return a + b;
    });
  }

  template <class F>
  std::shared_ptr<TaskJob> job(F&& function, const std::string& fold) {
    auto made = index_job_of(std::forward<F>(function));
    made->fold = registry.find_fold(fold);
    return made;
  }
  template <class T>
  T folded(std::shared_ptr<TaskJob> job, Range range) {
    RunHere here;
    const Finished all = here.finished(index_batch(std::move(job), range));
    EXPECT_TRUE(all.folded);
    EXPECT_EQ(all.range, range);
    EXPECT_EQ(all.payload_count, 1u);
    return *unpack_from<T>(payload_of(all, 0));
  }
};

TEST_F(Folds, results_are_combined_into_one_value) {
  EXPECT_EQ(folded<int>(job([](int i) { return i; }, "sum"), {1, 100}), 5050);
  EXPECT_EQ(folded<double>(job([](double i) { return i; }, "product"), {1, 5}), 120.0);
  EXPECT_EQ(folded<Integers>(job([](int i) { return Integers{i, -i}; }, "append"), {1, 2}), (Integers{1, -1, 2, -2}));
}

TEST_F(Folds, a_result_of_another_type_is_taken_if_it_can_be_read_as_the_folds) {
  EXPECT_EQ(folded<double>(job([](int i) { return i; }, "product"), {1, 5}), 120.0);
  EXPECT_EQ(folded<Integers>(job([](int i) { return std::tuple{i}; }, "append"), {1, 3}), (Integers{1, 2, 3}));
}

TEST_F(Folds, a_lift_turns_any_result_into_the_folds_type) {
  EXPECT_EQ(folded<int>(job([](int) { return "anything"; }, "count"), {0, 42}), 42);
  EXPECT_EQ(folded<int>(job([](int) {}, "count"), {0, 42}), 42);
  EXPECT_EQ(folded<int>(job([](int i) { return i; }, "count"), {0, 42}), 42);
}

TEST_F(Folds, a_result_that_the_fold_cannot_take_fails_its_task_and_splits_the_run) {
  RunHere here;
  auto& events = here.run(index_batch(job([](int i) { return i; }, "narrow"), {254, 3}));
  ASSERT_EQ(events.size(), 2u);
  const auto& good = std::get<Finished>(events[0]);
  EXPECT_TRUE(good.folded);
  EXPECT_EQ(good.range, (Range{254, 2}));
}

TEST_F(Folds, every_task_that_cannot_be_folded_leaves_by_itself) {
  RunHere here;
  const auto strings = job([](int) { return "text"; }, "sum");
  auto& events = here.run(index_batch(strings, {0, 2}));
  ASSERT_EQ(events.size(), 2u);
  for (const RunnerEvent& event : events) {
    const auto& failed = std::get<Finished>(event);
    EXPECT_FALSE(failed.folded);
    EXPECT_EQ(failed.range.count, 1u);
    const UnpackedError error = unpack_error(payload_of(failed, 0));
    EXPECT_EQ(error.kind, "fold");
    EXPECT_THAT(error.message, HasSubstr("the fold 'sum' cannot take this result: expected number, found string"));
  }
}

TEST_F(Folds, a_failed_task_splits_the_fold_into_its_good_runs) {
  RunHere here;
  auto& events = here.run(index_batch(job(
                                          [](int i) {
                                            if (i == 3) throw TaskFailure("three", "is bad");
                                            return i;
                                          },
                                          "sum"),
                                      {0, 6}));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(std::get<Finished>(events[0]).range, (Range{0, 3}));
  EXPECT_EQ(*unpack_from<int>(payload_of(std::get<Finished>(events[0]), 0)), 0 + 1 + 2);
  EXPECT_EQ(std::get<Finished>(events[1]).range, (Range{3, 1}));
  EXPECT_FALSE(std::get<Finished>(events[1]).folded);
  EXPECT_EQ(std::get<Finished>(events[2]).range, (Range{4, 2}));
  EXPECT_EQ(*unpack_from<int>(payload_of(std::get<Finished>(events[2]), 0)), 4 + 5);
}

TEST_F(Folds, a_combine_that_throws_fails_the_task_whose_result_it_was) {
  RunHere here;
  auto& events = here.run(index_batch(job([](int i) { return i; }, "picky"), {12, 3}));
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(unpack_error(payload_of(std::get<Finished>(events[1]), 0)).message, "not 13");
  EXPECT_EQ(std::get<Finished>(events[2]).range, (Range{14, 1}));
}

TEST_F(Folds, a_fold_that_grows_too_large_fails_its_tasks) {
  RunHere here{{.headroom = 8, .section_bytes_max = 1024, .result_bytes_max = 2048}};
  const Finished all = here.finished(index_batch(job([](int) { return Integers(100); }, "append"), {0, 100}));
  EXPECT_FALSE(all.folded);
  EXPECT_EQ(all.failures.size(), 100u);
  EXPECT_EQ(unpack_error(payload_of(all, 99)).kind, "result");
}

TEST_F(Folds, partial_folds_merge_to_the_same_as_one) {
  const auto sum = registry.find_fold("sum")->start();
  const auto part = registry.find_fold("sum")->start();
  ASSERT_TRUE(sum->add_packed(pack_to_buffer(1)));
  ASSERT_TRUE(part->add_packed(pack_to_buffer(2.5)));
  ASSERT_TRUE(part->add_packed(pack_to_buffer(3)));
  Buffer packed;
  Packer packer{packed};
  part->pack(packer);
  ASSERT_TRUE(sum->merge_packed(packed));
  packed.clear();
  sum->pack(packer);
  EXPECT_EQ(*unpack_from<double>(packed), 6.5);
}

TEST_F(Folds, partial_counts_add_up_and_are_not_counted) {
  const auto count = registry.find_fold("count")->start();
  ASSERT_TRUE(count->merge_packed(pack_to_buffer(40)));
  ASSERT_TRUE(count->add_packed(pack_to_buffer(1000)));
  EXPECT_FALSE(count->merge_packed(pack_to_buffer("many")));
  Buffer packed;
  Packer packer{packed};
  count->pack(packer);
  EXPECT_EQ(*unpack_from<int>(packed), 41);
}

TEST_F(Folds, an_empty_fold_is_nil_and_merges_to_nothing) {
  const auto sum = registry.find_fold("sum")->start();
  Buffer packed;
  Packer packer{packed};
  sum->pack(packer);
  EXPECT_TRUE(unpack_from<std::monostate>(packed));
  EXPECT_TRUE(sum->merge_packed(packed));
  EXPECT_TRUE(sum->empty());
}

TEST_F(Folds, a_value_of_the_folds_own_type_is_taken_without_packing) {
  const auto appended = registry.find_fold("append")->start();
  Integers value{1, 2};
  EXPECT_TRUE(appended->add_typed(typeid(Integers), &value));
  EXPECT_FALSE(appended->add_typed(typeid(std::string), nullptr));
  EXPECT_FALSE(appended->add_scalar(Scalar{1}));
  EXPECT_FALSE(registry.find_fold("count")->start()->add_scalar(Scalar{1}));
}

TEST(Scalar, integers_stay_integers_until_they_overflow) {
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  EXPECT_EQ((Scalar{most - 1} + Scalar{1}), Scalar{most});
  const Scalar overflown = Scalar{most} + Scalar{1};
  EXPECT_FALSE(overflown.is_integer());
  EXPECT_EQ(overflown.real(), 9223372036854775808.0);
  EXPECT_FALSE((Scalar{1} + Scalar{0.5}).is_integer());
  EXPECT_FALSE(Scalar{std::numeric_limits<std::uint64_t>::max()}.is_integer());
}

TEST(Scalar, integers_and_reals_compare) {
  EXPECT_LT(Scalar{1}, Scalar{1.5});
  EXPECT_LT(Scalar{-2.5}, Scalar{-2});
  EXPECT_FALSE(Scalar{2} < Scalar{2.0});
}

TEST(Scalar, packs_as_the_number_it_is) {
  for (const Scalar value : {Scalar{0}, Scalar{-5}, Scalar{1e300}, Scalar{std::numeric_limits<std::int64_t>::min()}})
    EXPECT_EQ(*unpack_from<Scalar>(pack_to_buffer(value)), value);
  EXPECT_EQ(*unpack_from<Scalar>(pack_to_buffer(std::uint64_t{1} << 63)), Scalar{9223372036854775808.0});
  EXPECT_FALSE(unpack_from<Scalar>(pack_to_buffer("1")));
}

}  // namespace
}  // namespace ventile
