#include <ventile/queue/lease.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

namespace ventile {
namespace {

TEST(LeaseList, an_empty_one_has_no_oldest) {
  const LeaseList list;
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.size(), 0U);
  EXPECT_TRUE(list.ids().empty());
}

// More than are in the object itself, and fewer again; from the front, the end and the middle.
TEST(LeaseList, keeps_the_order_in_which_leases_were_granted) {
  std::array<LeaseEntry, 20> entries;
  for (std::size_t i = 0; i < entries.size(); ++i) entries[i].lease.id = {{1}, i + 1};
  std::mt19937 random{20261130};
  LeaseList list;
  std::vector<LeaseEntry*> plain;
  for (int step = 1; step <= 20'000; ++step) {
    LeaseEntry* const entry = &entries[random() % entries.size()];
    const auto place = std::find(plain.begin(), plain.end(), entry);
    const bool grows = step / 1'000 % 2 == 0;
    if (place == plain.end() && (grows || random() % 4 == 0)) {
      list.push_back(entry);
      plain.push_back(entry);
    } else if (place != plain.end() && (!grows || random() % 4 == 0)) {
      list.erase(entry);
      plain.erase(place);
    }
    ASSERT_EQ(list.size(), plain.size());
    ASSERT_EQ(list.front(), plain.empty() ? nullptr : plain.front());
    std::vector<LeaseId> ids;
    for (const LeaseEntry* const one : plain) ids.push_back(one->lease.id);
    ASSERT_EQ(list.ids(), ids);
  }
}

TEST(LeaseList, a_lease_that_it_does_not_have_is_not_erased) {
  std::array<LeaseEntry, 2> entries;
  LeaseList list;
  list.push_back(&entries.front());
  list.erase(&entries.back());
  EXPECT_EQ(list.size(), 1U);
}

TEST(LeaseHolder, is_one_cache_line) { EXPECT_EQ(sizeof(LeaseHolder), 64U); }

}  // namespace
}  // namespace ventile
