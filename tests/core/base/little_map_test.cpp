#include <ventile/base/little_map.hpp>

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace ventile {
namespace {

TEST(LittleMap, an_empty_one_has_nothing) {
  LittleMap<int, int> map;
  EXPECT_EQ(map.find(1), nullptr);
  EXPECT_FALSE(map.contains(1));
  EXPECT_FALSE(map.erase(1));
}

TEST(LittleMap, nothing_is_left_of_what_was_erased) {
  LittleMap<int, int> map;
  *map.emplace(1).first = 7;
  EXPECT_TRUE(map.erase(1));
  EXPECT_FALSE(map.contains(1));
  const auto [value, fresh] = map.emplace(1);
  EXPECT_TRUE(fresh);
  EXPECT_EQ(*value, 0);
}

TEST(LittleMap, behaves_like_a_map_and_leaves_everything_where_it_is) {
  std::mt19937 random{20261130};
  LittleMap<int, int> map;
  std::map<int, int*> plain;
  for (int step = 1; step <= 10'000; ++step) {
    const int key = 1 + static_cast<int>(random() % 5);
    if (random() % 2 == 0) {
      const auto [value, fresh] = map.emplace(key);
      ASSERT_EQ(fresh, plain.emplace(key, value).second);
      ASSERT_EQ(value, plain.at(key)) << "it has moved";
      ASSERT_EQ(*value, fresh ? 0 : key);
      *value = key;
    } else {
      ASSERT_EQ(map.erase(key), plain.erase(key) > 0);
    }
    for (int one = 1; one <= 5; ++one) ASSERT_EQ(map.contains(one), plain.contains(one));
  }
}

}  // namespace
}  // namespace ventile
