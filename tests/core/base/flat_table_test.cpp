#include <ventile/base/flat_table.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <utility>

namespace ventile {
namespace {

struct Cell {
  std::uint64_t value = 0;
};

// Many keys want the same place.
struct Crowded {
  std::size_t operator()(std::uint64_t key) const { return key % 7; }
};

// Counted up; how often it is asked says how far searches go.
struct Counted {
  std::size_t operator()(std::uint64_t key) const {
    ++calls();
    return hash_of_counted(key);
  }
  static std::size_t& calls() {
    static std::size_t calls = 0;
    return calls;
  }
};

TEST(FlatTable, an_empty_one_has_nothing_to_find_or_erase) {
  FlatTable<std::uint64_t, Cell> table;
  EXPECT_EQ(table.find(1), nullptr);
  table.erase(1);
  EXPECT_EQ(table.size(), 0U);
  table.for_each([](const Cell&) { ADD_FAILURE(); });
}

TEST(FlatTable, what_is_there_is_not_made_again) {
  FlatTable<std::uint64_t, Cell> table;
  const auto [cell, fresh] = table.emplace(1);
  EXPECT_TRUE(fresh);
  cell->value = 7;
  EXPECT_EQ(table.emplace(1), std::pair(cell, false));
  EXPECT_EQ(table.find(1)->value, 7U);
}

TEST(FlatTable, nothing_is_left_of_what_was_erased) {
  FlatTable<std::uint64_t, Cell> table;
  table.emplace(1).first->value = 7;
  table.erase(1);
  EXPECT_EQ(table.find(1), nullptr);
  EXPECT_EQ(table.emplace(1).first->value, 0U);
}

TEST(FlatTable, the_place_that_became_free_last_is_used_first) {
  FlatTable<std::uint64_t, Cell> table;
  for (std::uint64_t key = 1; key <= 5; ++key) table.emplace(key);
  const Cell* const freed = table.find(3);
  table.erase(3);
  EXPECT_EQ(table.emplace(9).first, freed);
}

// A key that no slot has is not taken for the empty key of a slot that nobody has.
TEST(FlatIndex, an_empty_slot_has_no_key) {
  FlatIndex<std::uint64_t, Cell> index;
  Cell cell;
  index.insert(1, cell);
  EXPECT_EQ(index.find(0), nullptr);
  EXPECT_EQ(index.erase(0), nullptr);
  EXPECT_EQ(index.size(), 1U);
}

// Keys that are counted up stand beside each other; whoever erases the oldest of many must not walk along all of them.
// (Comparisons are counted, not time.)
TEST(FlatIndex, erasing_the_oldest_of_many_neighbours_looks_at_few) {
  FlatIndex<std::uint64_t, Cell, Counted> index;
  Cell cell;
  constexpr std::uint64_t window = 10'000;
  for (std::uint64_t key = 1; key <= window; ++key) index.insert(key, cell);
  Counted::calls() = 0;
  for (std::uint64_t key = 1; key <= window; ++key) {
    index.insert(window + key, cell);
    ASSERT_EQ(index.erase(key), &cell);
  }
  EXPECT_LE(Counted::calls(), 4 * window);
}

// Whoever is left over from an earlier round of the table must not push everybody behind him on. (Found by review: with
// the number itself as its hash a thousand of them made every search a thousand steps.)
TEST(FlatIndex, what_is_left_of_long_ago_is_in_nobody_s_way) {
  FlatIndex<std::uint64_t, Cell, Counted> index;
  Cell cell;
  constexpr std::uint64_t window = 3'000;
  constexpr std::uint64_t rounds = 20;
  std::uint64_t left_over = 0;
  Counted::calls() = 0;
  for (std::uint64_t key = 1; key <= rounds * window; ++key) {
    index.insert(key, cell);
    if (key <= window) continue;
    const std::uint64_t oldest = key - window;
    if (oldest % 40 == 0) {
      ++left_over;
      continue;
    }
    ASSERT_EQ(index.find(oldest), &cell);
    ASSERT_EQ(index.erase(oldest), &cell);
  }
  EXPECT_GT(left_over, 1'000U);
  EXPECT_LE(Counted::calls(), 6 * rounds * window);
}

// Four times two thousand that were counted up, all of which want the same places. Gaps are too few for that: the table
// grows until they stand apart.
TEST(FlatIndex, those_of_several_times_do_not_crowd_each_other) {
  FlatIndex<std::uint64_t, Cell, Counted> index;
  Cell cell;
  constexpr std::uint64_t times = 4;
  constexpr std::uint64_t each = 2'000;
  const auto for_all = [](auto call) {
    for (std::uint64_t time = 0; time < times; ++time)
      for (std::uint64_t i = 1; i <= each; ++i) call((time << 15U) + i);
  };
  for_all([&](std::uint64_t key) { index.insert(key, cell); });
  Counted::calls() = 0;
  for_all([&](std::uint64_t key) { ASSERT_EQ(index.find(key), &cell); });
  EXPECT_LE(Counted::calls(), 20 * times * each);
}

template <class Hash>
void behaves_like_a_map(std::uint64_t keys) {
  std::mt19937_64 random{20261130};
  FlatTable<std::uint64_t, Cell, Hash> table;
  std::map<std::uint64_t, Cell*> plain;
  for (std::uint64_t step = 1; step <= 40'000; ++step) {
    const std::uint64_t key = 1 + random() % keys;
    if (random() % 100 < (step / 5'000 % 2 == 0 ? 70U : 30U)) {
      const auto [cell, fresh] = table.emplace(key);
      ASSERT_EQ(fresh, plain.emplace(key, cell).second);
      ASSERT_EQ(cell, plain.at(key)) << "it has moved";
      if (fresh) {
        ASSERT_EQ(cell->value, 0U);
      }
      cell->value = key;
    } else {
      table.erase(key);
      plain.erase(key);
    }
    ASSERT_EQ(table.size(), plain.size());
    if (step % 100 != 0) continue;
    for (std::uint64_t one = 1; one <= keys; ++one) {
      const auto known = plain.find(one);
      ASSERT_EQ(table.find(one), known == plain.end() ? nullptr : known->second);
    }
    std::size_t seen = 0;
    table.for_each([&](const Cell& cell) { seen += plain.at(cell.value) == &cell ? 1 : 0; });
    ASSERT_EQ(seen, plain.size());
  }
}

TEST(FlatTable, behaves_like_a_map_and_leaves_everything_where_it_is) {
  behaves_like_a_map<std::hash<std::uint64_t>>(700);
}

TEST(FlatTable, behaves_like_a_map_where_many_want_the_same_place) { behaves_like_a_map<Crowded>(60); }

}  // namespace
}  // namespace ventile
