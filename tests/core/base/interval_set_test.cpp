#include <ventile/base/interval_set.hpp>

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

namespace ventile {
namespace {

TEST(IntervalSet, a_finished_job_is_one_interval) {
  IntervalSet set;
  EXPECT_EQ(set.insert({500, 500}), 500U);
  EXPECT_EQ(set.insert({0, 500}), 500U);
  EXPECT_EQ(set.interval_count(), 1U);
  EXPECT_EQ(set.count(), 1000U);
  EXPECT_EQ(set.lowest_missing(), 1000U);
}

TEST(IntervalSet, inserting_what_is_there_adds_nothing) {
  IntervalSet set{Range{10, 10}};
  EXPECT_EQ(set.insert({10, 10}), 0U);
  EXPECT_EQ(set.insert({5, 10}), 5U);
  EXPECT_EQ(set.insert({}), 0U);
  EXPECT_EQ(set.ranges(), (std::vector<Range>{{5, 15}}));
}

TEST(IntervalSet, erasing_the_middle_leaves_both_ends) {
  IntervalSet set{Range{0, 10}};
  EXPECT_EQ(set.erase({3, 4}), 4U);
  EXPECT_EQ(set.ranges(), (std::vector<Range>{{0, 3}, {7, 3}}));
  EXPECT_EQ(set.missing({0, 10}), (std::vector<Range>{{3, 4}}));
  EXPECT_EQ(set.present({2, 6}), (std::vector<Range>{{2, 1}, {7, 1}}));
}

TEST(IntervalSet, the_largest_numbers_fit) {
  IntervalSet set;
  EXPECT_EQ(set.insert({UINT64_MAX - 10, 10}), 10U);
  EXPECT_TRUE(set.contains(UINT64_MAX - 1));
  EXPECT_FALSE(set.contains(UINT64_MAX));
}

// Against a plain set of numbers, the definition of right.
TEST(IntervalSet, behaves_like_a_set_of_numbers) {
  std::mt19937_64 random{20260101};
  for (int round = 0; round < 50; ++round) {
    IntervalSet set;
    std::set<Number> plain;
    for (int step = 0; step < 200; ++step) {
      const Range range{random() % 100, random() % 20};
      std::uint64_t changed = 0;
      switch (random() % 3) {
        case 0:
          for (Number n = range.first; n < range.end(); ++n) changed += plain.insert(n).second ? 1 : 0;
          ASSERT_EQ(set.insert(range), changed);
          break;
        case 1:
          for (Number n = range.first; n < range.end(); ++n) changed += plain.erase(n);
          ASSERT_EQ(set.erase(range), changed);
          break;
        default:
          std::uint64_t there = 0;
          for (Number n = range.first; n < range.end(); ++n) there += plain.count(n);
          ASSERT_EQ(set.contains(range), there == range.count);
          ASSERT_EQ(set.intersects(range), there > 0);
          std::uint64_t present = 0;
          for (const Range part : set.present(range)) present += part.count;
          std::uint64_t missing = 0;
          for (const Range part : set.missing(range)) missing += part.count;
          ASSERT_EQ(present, there);
          ASSERT_EQ(present + missing, range.count);
      }
      ASSERT_EQ(set.count(), plain.size());
      std::size_t runs = 0;
      for (const Number n : plain) runs += plain.contains(n + 1) ? 0 : 1;
      ASSERT_EQ(set.interval_count(), runs) << "intervals touch or overlap";
      Number lowest = 0;
      while (plain.contains(lowest)) ++lowest;
      ASSERT_EQ(set.lowest_missing(), lowest);
    }
  }
}

// The same with as many intervals as workers: they are in many chunks, which are divided, joined and left out.
TEST(IntervalSet, thousands_of_intervals_behave_like_a_set_of_numbers) {
  constexpr Number numbers = 20'000;
  std::mt19937_64 random{20261128};
  IntervalSet set;
  std::vector<bool> plain(numbers + 1);
  for (int step = 0; step < 60'000; ++step) {
    const bool grows = step / 10'000 % 2 == 0;
    const bool inserts = random() % 8 < (grows ? 7U : 1U);
    const std::uint64_t longest = random() % 500 == 0 ? numbers / 4 : 2;
    const Number first = random() % numbers;
    const Range range = Range::between(first, std::min(numbers, first + 1 + random() % longest));
    std::uint64_t changed = 0;
    for (Number n = range.first; n < range.end(); ++n) {
      changed += plain[n] == inserts ? 0U : 1U;
      plain[n] = inserts;
    }
    ASSERT_EQ(inserts ? set.insert(range) : set.erase(range), changed);
    ASSERT_EQ(set.contains(range), inserts);
    ASSERT_EQ(set.intersects(range), inserts);
    if (step % 500 != 0) continue;
    std::vector<Range> runs;
    for (Number n = 0; n < numbers; ++n) {
      if (!plain[n]) continue;
      if (runs.empty() || runs.back().end() < n) runs.push_back({n, 0});
      ++runs.back().count;
    }
    ASSERT_EQ(set.ranges(), runs);
    ASSERT_EQ(set.present({numbers / 4, numbers / 2}).size() + set.missing({numbers / 4, numbers / 2}).size() > 1,
              !set.contains({numbers / 4, numbers / 2}) && set.intersects({numbers / 4, numbers / 2}));
    IntervalSet same;
    for (auto run = runs.rbegin(); run != runs.rend(); ++run) same.insert(*run);
    ASSERT_EQ(same, set) << "however it came about";
  }
  set.erase({0, numbers});
  EXPECT_TRUE(set.empty());
  EXPECT_EQ(set, IntervalSet{});
}

}  // namespace
}  // namespace ventile
