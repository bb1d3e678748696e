#include <ventile/queue/delivery.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ventile {
namespace {

class DeliveryTest : public testing::Test {
protected:
  Delivery delivery;

  void keep(Number first, std::uint64_t count, std::uint64_t bytes = 10) {
    delivery.add({{first, count}, bytes, 0, 0});
  }
  void fetch(std::uint64_t bytes = 1000, bool ordered = false, std::vector<Range> have = {}) {
    delivery.begin({"nightly", "", ordered, std::move(have), {0, bytes, 0}});
  }
  // The first numbers of what is sent now.
  std::vector<Number> sent() {
    std::vector<Number> firsts;
    while (const auto piece = delivery.next()) firsts.push_back(piece->range.first);
    return firsts;
  }
};

using Numbers = std::vector<Number>;

TEST_F(DeliveryTest, nothing_is_sent_while_nobody_fetches) {
  keep(0, 5);
  EXPECT_TRUE(sent().empty());
}

TEST_F(DeliveryTest, what_is_kept_goes_by_number_and_what_comes_late_follows) {
  keep(10, 5);
  keep(0, 5);
  fetch();
  EXPECT_EQ(sent(), (Numbers{0, 10}));
  keep(5, 5);
  keep(15, 5);
  EXPECT_EQ(sent(), (Numbers{5, 15}));
  EXPECT_TRUE(sent().empty());
}

TEST_F(DeliveryTest, in_order_nothing_goes_before_what_is_below_it) {
  keep(5, 5);
  fetch(1000, true);
  EXPECT_TRUE(sent().empty());
  keep(0, 5);
  EXPECT_EQ(sent(), (Numbers{0, 5}));
}

TEST_F(DeliveryTest, in_order_what_the_client_has_leaves_no_gap) {
  keep(5, 5);
  fetch(1000, true, {{0, 5}});
  EXPECT_EQ(sent(), (Numbers{5}));
}

TEST_F(DeliveryTest, what_the_client_has_is_not_sent_again) {
  keep(0, 5);
  keep(5, 5);
  fetch(1000, false, {{0, 5}});
  EXPECT_EQ(sent(), (Numbers{5}));
}

TEST_F(DeliveryTest, no_more_is_sent_than_the_client_takes_and_one_that_is_larger) {
  keep(0, 1, 10);
  keep(1, 1, 10);
  keep(2, 1, 10);
  fetch(15);
  EXPECT_EQ(sent(), (Numbers{0, 1}));
  delivery.grant({0, 25, 0});
  EXPECT_EQ(sent(), (Numbers{2}));
}

TEST_F(DeliveryTest, a_fetch_that_stopped_is_begun_again_with_all_of_it) {
  keep(0, 5);
  fetch();
  EXPECT_EQ(sent(), (Numbers{0}));
  delivery.stop();
  EXPECT_TRUE(sent().empty());
  fetch();
  EXPECT_EQ(sent(), (Numbers{0}));
}

}  // namespace
}  // namespace ventile
