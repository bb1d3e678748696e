#include <ventile/queue/ledger.hpp>

#include <gtest/gtest.h>

namespace ventile {
namespace {

TEST(Ledger, knows_nothing_of_a_new_job) {
  const Ledger ledger;
  EXPECT_EQ(ledger.count(), 0U);
  EXPECT_EQ(ledger.low_water(), 0U);
  EXPECT_FALSE(ledger.touches({0, 100}));
}

TEST(Ledger, what_is_no_exception_is_done) {
  Ledger ledger;
  ledger.record({10, 10}, {{{12, 1}, Outcome::failed}, {{15, 3}, Outcome::cancelled}});
  EXPECT_EQ(ledger.count(), 10U);
  EXPECT_EQ(ledger.count(Outcome::done), 6U);
  EXPECT_EQ(ledger.count(Outcome::failed), 1U);
  EXPECT_EQ(ledger.count(Outcome::cancelled), 3U);
}

TEST(Ledger, remembers_what_is_not_done) {
  Ledger ledger;
  ledger.record({10, 10}, {{{12, 1}, Outcome::failed}, {{15, 3}, Outcome::cancelled}});
  ledger.record({20, 1}, {{{20, 1}, Outcome::failed}});
  EXPECT_EQ(ledger.exceptions(),
            (std::vector<RangeOutcome>{
                {{12, 1}, Outcome::failed}, {{20, 1}, Outcome::failed}, {{15, 3}, Outcome::cancelled}}));
}

TEST(Ledger, tells_what_has_an_outcome_from_what_has_none) {
  Ledger ledger;
  ledger.record({10, 10}, {});
  EXPECT_TRUE(ledger.has({12, 3}));
  EXPECT_FALSE(ledger.has({12, 10}));
  EXPECT_TRUE(ledger.touches({12, 10}));
  EXPECT_EQ(ledger.missing({5, 20}), (std::vector<Range>{{5, 5}, {20, 5}}));
}

TEST(Ledger, the_low_water_mark_waits_for_the_lowest_number) {
  Ledger ledger;
  ledger.record({1, 9}, {});
  EXPECT_EQ(ledger.low_water(), 0U);
  ledger.record({0, 1}, {{{0, 1}, Outcome::failed}});
  EXPECT_EQ(ledger.low_water(), 10U);
}

TEST(Ledger, a_finished_job_is_one_interval) {
  Ledger ledger;
  for (Number number = 0; number < 1000; number += 2) ledger.record({number, 1}, {});
  EXPECT_EQ(ledger.settled().interval_count(), 500U);
  for (Number number = 1; number < 1000; number += 2) ledger.record({number, 1}, {});
  EXPECT_EQ(ledger.settled().interval_count(), 1U);
}

}  // namespace
}  // namespace ventile
