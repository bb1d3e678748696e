#include <ventile/queue/lease_table.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

namespace ventile {
namespace {

constexpr LeaseId first{{1}, 1};

TEST(LeaseTable, an_empty_one_has_nothing_to_find_or_erase) {
  LeaseTable table;
  EXPECT_EQ(table.find(first), nullptr);
  table.erase(first);
  EXPECT_EQ(table.size(), 0U);
}

TEST(LeaseTable, a_lease_that_is_there_is_not_made_again) {
  LeaseTable table;
  const auto [entry, fresh] = table.emplace(first);
  EXPECT_TRUE(fresh);
  entry->lease.total = 7;
  EXPECT_EQ(table.emplace(first), std::pair(entry, false));
  EXPECT_EQ(table.find(first)->lease.total, 7U);
}

TEST(LeaseTable, nothing_is_left_of_one_that_was_erased) {
  LeaseTable table;
  table.emplace(first).first->lease.total = 7;
  table.erase(first);
  EXPECT_EQ(table.find(first), nullptr);
  EXPECT_EQ(table.emplace(first).first->lease.total, 0U);
}

// Ids of several dispatchers, many of which want the same place, against a plain map.
TEST(LeaseTable, behaves_like_a_map_and_leaves_every_lease_where_it_is) {
  std::mt19937_64 random{20261128};
  LeaseTable table;
  std::map<LeaseId, LeaseTable::Entry*> plain;
  for (int step = 0; step < 40'000; ++step) {
    const LeaseId id{{1 + random() % 3}, 1 + random() % 700};
    if (random() % 100 < (step / 5'000 % 2 == 0 ? 70U : 30U)) {
      const auto [entry, fresh] = table.emplace(id);
      ASSERT_EQ(fresh, plain.emplace(id, entry).second);
      ASSERT_EQ(entry, plain.at(id));
      ASSERT_EQ(entry->lease.id, id);
    } else {
      table.erase(id);
      plain.erase(id);
    }
    ASSERT_EQ(table.size(), plain.size());
    if (step % 100 != 0) continue;
    for (const auto& [one, entry] : plain) ASSERT_EQ(table.find(one), entry);
    std::size_t seen = 0;
    table.for_each([&](const LeaseTable::Entry& entry) { seen += plain.at(entry.lease.id) == &entry ? 1 : 0; });
    ASSERT_EQ(seen, plain.size());
  }
}

}  // namespace
}  // namespace ventile
