#include <ventile/queue/backlog.hpp>

#include <gtest/gtest.h>

#include <map>

#include "tests/support/random.hpp"

namespace ventile {
namespace {

using testing::Random;

Pending tasks(Range range, std::uint64_t bytes_each = 10, History history = {}) {
  return {range, bytes_each * range.count, history};
}

TEST(Backlog, gives_the_lowest_number_first) {
  Backlog backlog;
  backlog.add(tasks({50, 10}));
  backlog.add(tasks({10, 10}));
  EXPECT_EQ(backlog.take({.count = 5}), tasks({10, 5}));
  EXPECT_EQ(backlog.take({.count = 100}), tasks({15, 5}));
  EXPECT_EQ(backlog.take({.count = 100}), tasks({50, 10}));
  EXPECT_EQ(backlog.take({.count = 1}), std::nullopt);
}

TEST(Backlog, joins_neighbours_that_are_alike) {
  Backlog backlog;
  backlog.add(tasks({0, 10}));
  backlog.add(tasks({20, 10}));
  backlog.add(tasks({10, 10}));
  EXPECT_EQ(backlog.ranges(), (std::vector<Range>{{0, 30}}));
  EXPECT_EQ(backlog.count(), 30U);
  EXPECT_EQ(backlog.bytes(), 300U);
}

TEST(Backlog, keeps_apart_what_has_another_history_or_another_size) {
  Backlog backlog;
  backlog.add(tasks({0, 10}));
  backlog.add(tasks({10, 10}, 10, {.tries = 1}));
  backlog.add(tasks({20, 10}, 5000, {.tries = 1}));
  EXPECT_EQ(backlog.ranges(), (std::vector<Range>{{0, 10}, {10, 10}, {20, 10}}));
  EXPECT_EQ(backlog.take({.count = 100})->history.tries, 0U);
  EXPECT_EQ(backlog.take({.count = 100})->history.tries, 1U);
}

TEST(Backlog, never_joins_suspects_for_they_were_taken_apart_on_purpose) {
  Backlog backlog;
  backlog.add(tasks({0, 5}, 10, {.suspicion = 1}));
  backlog.add(tasks({5, 5}, 10, {.suspicion = 1}));
  backlog.add(tasks({10, 5}));
  EXPECT_EQ(backlog.ranges(), (std::vector<Range>{{0, 5}, {5, 5}, {10, 5}}));
}

// Two blocks of three tasks that are leased four at a time are copied for every lease, for none ends where a block
// does.
TEST(Backlog, large_payloads_that_were_added_together_are_given_out_together) {
  constexpr std::uint64_t large = 64 << 10;
  Backlog backlog;
  backlog.add(tasks({0, 3}, large));
  backlog.add(tasks({3, 3}, large));
  EXPECT_EQ(backlog.take({.count = 4}), tasks({0, 3}, large));
  EXPECT_EQ(backlog.take({.count = 4}), tasks({3, 3}, large));
}

TEST(Backlog, stays_within_the_bytes_asked_for) {
  Backlog backlog;
  backlog.add(tasks({0, 100}, 10));
  EXPECT_EQ(backlog.take({.count = 100, .bytes = 55}), tasks({0, 5}));
}

TEST(Backlog, gives_out_one_task_even_if_it_is_larger_than_asked_for) {
  Backlog backlog;
  backlog.add(tasks({0, 2}, 1000));
  EXPECT_EQ(backlog.take({.count = 100, .bytes = 1}), tasks({0, 1}, 1000));
}

TEST(Backlog, stays_below_the_number_asked_for) {
  Backlog backlog;
  backlog.add(tasks({10, 10}));
  EXPECT_EQ(backlog.take({.count = 100, .below = 10}), std::nullopt);
  EXPECT_EQ(backlog.take({.count = 100, .below = 13}), tasks({10, 3}));
  EXPECT_EQ(backlog.take({.count = 100, .below = 13}), std::nullopt);
}

TEST(Backlog, removes_what_is_there_of_a_range) {
  Backlog backlog;
  backlog.add(tasks({0, 10}));
  backlog.add(tasks({20, 10}));
  EXPECT_EQ(backlog.remove({8, 14}), (std::vector<Pending>{tasks({8, 2}), tasks({20, 2})}));
  EXPECT_EQ(backlog.ranges(), (std::vector<Range>{{0, 8}, {22, 8}}));
  EXPECT_TRUE(backlog.remove({8, 14}).empty());
  EXPECT_TRUE(backlog.remove({}).empty());
}

TEST(Backlog, the_middle_can_be_removed_from_one_run) {
  Backlog backlog;
  backlog.add(tasks({0, 10}));
  EXPECT_EQ(backlog.remove({4, 2}), (std::vector<Pending>{tasks({4, 2})}));
  EXPECT_EQ(backlog.ranges(), (std::vector<Range>{{0, 4}, {6, 4}}));
  EXPECT_EQ(backlog.bytes(), 80U);
}

TEST(Backlog, splitting_shares_out_all_bytes) {
  const auto [first, second] = split({{0, 3}, 10, {}}, 1);
  EXPECT_EQ(first, (Pending{{0, 1}, 3, {}}));
  EXPECT_EQ(second, (Pending{{1, 2}, 7, {}}));
}

// Against a plain map from number to history, the definition of right.
TEST(Backlog, behaves_like_a_map_of_numbers) {
  Random random{20260102};
  for (int round = 0; round < 50; ++round) {
    Backlog backlog;
    std::map<Number, History> plain;
    const auto expect_taken = [&plain](const Pending& pending) {
      for (Number n = pending.range.first; n < pending.range.end(); ++n) {
        ASSERT_TRUE(plain.contains(n)) << n;
        ASSERT_EQ(plain.at(n), pending.history) << n;
        plain.erase(n);
      }
    };
    for (int step = 0; step < 300; ++step) {
      const Range range{random.below(200), random.below(20)};
      if (random.chance(0.5)) {
        const History history{.tries = static_cast<std::uint32_t>(random.below(2)),
                              .suspicion = random.chance(0.1) ? 1U : 0U};
        for (Number n = range.first; n < range.end(); ++n)
          if (plain.emplace(n, history).second) backlog.add(tasks({n, 1}, random.below(100), history));
      } else if (random.chance(0.5)) {
        const Backlog::Limits limits{
            .count = random.between(1, 30), .bytes = random.below(500), .below = random.between(1, 250)};
        const Number lowest = plain.empty() ? UINT64_MAX : plain.begin()->first;
        const std::optional<Pending> taken = backlog.take(limits);
        ASSERT_EQ(taken.has_value(), lowest < limits.below);
        if (!taken) continue;
        ASSERT_EQ(taken->range.first, lowest);
        ASSERT_LE(taken->range.count, limits.count);
        ASSERT_LE(taken->range.end(), limits.below);
        ASSERT_TRUE(taken->range.count == 1 || taken->bytes <= limits.bytes);
        expect_taken(*taken);
      } else {
        std::uint64_t there = 0;
        for (Number n = range.first; n < range.end(); ++n) there += plain.contains(n) ? 1 : 0;
        for (const Pending& removed : backlog.remove(range)) {
          there -= removed.range.count;
          expect_taken(removed);
        }
        ASSERT_EQ(there, 0U);
      }
      ASSERT_EQ(backlog.count(), plain.size());
      ASSERT_EQ(backlog.empty(), plain.empty());
      if (plain.empty()) {
        ASSERT_EQ(backlog.bytes(), 0U) << "bytes leak";
      }
    }
  }
}

}  // namespace
}  // namespace ventile
