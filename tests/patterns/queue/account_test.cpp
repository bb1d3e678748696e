#include <ventile/queue/account.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "tests/support/random.hpp"

namespace ventile {
namespace {

using namespace std::chrono_literals;
using testing::Random;

constexpr TimePoint start{};
constexpr SessionId alice{1};
constexpr SessionId bob{2};
constexpr LeaseId first_lease{{9}, 1};
constexpr LeaseId second_lease{{9}, 2};

class AccountTest : public ::testing::Test {
protected:
  Account account;

  void TearDown() override { EXPECT_EQ(account.check(), ""); }
  Lease& grant(LeaseId id, SessionId holder, std::uint64_t count) {
    return *account.grant(id, holder, {.count = count}, start);
  }
  // queued, delayed, leased, awaiting, settled
  std::vector<std::uint64_t> places() const {
    const Audit audit = account.audit();
    return {audit.queued, audit.delayed, audit.leased, audit.awaiting, audit.settled()};
  }
};
using Places = std::vector<std::uint64_t>;

TEST_F(AccountTest, numbers_are_given_out_one_after_the_other) {
  EXPECT_EQ(account.offer(10, 100), (Range{0, 10}));
  EXPECT_EQ(account.offer(5, 50), (Range{10, 5}));
  EXPECT_EQ(places(), (Places{15, 0, 0, 0, 0}));
}

TEST_F(AccountTest, a_lease_holds_what_it_was_granted) {
  account.offer(10, 100);
  const Lease& lease = grant(first_lease, alice, 4);
  EXPECT_EQ(lease.remaining.ranges(), (std::vector<Range>{{0, 4}}));
  EXPECT_EQ(lease.bytes, 40U);
  EXPECT_EQ(account.held_by(alice), 4U);
  EXPECT_EQ(account.lease_count_of(alice), 1U);
  EXPECT_EQ(places(), (Places{6, 0, 4, 0, 0}));
}

TEST_F(AccountTest, nothing_is_granted_from_an_empty_backlog) {
  EXPECT_EQ(account.grant(first_lease, alice, {.count = 1}, start), nullptr);
  EXPECT_EQ(account.lease_count(), 0U);
}

TEST_F(AccountTest, settling_all_of_a_lease_ends_it) {
  account.offer(10, 100);
  grant(first_lease, alice, 10);
  EXPECT_TRUE(account.settle({0, 6}, {}, first_lease).empty());
  EXPECT_EQ(account.find(first_lease)->remaining.ranges(), (std::vector<Range>{{6, 4}}));
  account.settle({6, 4}, {{{7, 1}, Outcome::failed}}, first_lease);
  EXPECT_EQ(account.find(first_lease), nullptr);
  EXPECT_TRUE(account.all_settled());
  EXPECT_EQ(account.audit().outcomes[static_cast<std::size_t>(Outcome::failed)], 1U);
  EXPECT_EQ(account.held_by(alice), 0U);
}

TEST_F(AccountTest, a_late_result_of_a_lost_lease_counts_and_the_new_holder_loses) {
  account.offer(10, 100);
  grant(first_lease, alice, 10);
  account.release(first_lease, {0, 10}, {});
  grant(second_lease, bob, 10);
  const auto losers = account.settle({0, 10}, {}, first_lease);
  ASSERT_EQ(losers.size(), 1U);
  EXPECT_EQ(losers[0].lease, second_lease);
  EXPECT_EQ(losers[0].holder, bob);
  EXPECT_EQ(losers[0].range, (Range{0, 10}));
  EXPECT_EQ(account.find(second_lease), nullptr);
}

TEST_F(AccountTest, a_late_result_finds_its_numbers_wherever_they_are) {
  account.offer(30, 0);
  grant(first_lease, alice, 30);
  account.release(first_lease, {0, 10}, {});
  account.release(first_lease, {10, 10}, {}, start + 1s);
  account.propose({20, 10});
  EXPECT_EQ(places(), (Places{10, 10, 0, 10, 0}));
  account.settle({5, 20}, {}, first_lease);
  EXPECT_EQ(places(), (Places{5, 0, 0, 5, 20}));
}

TEST_F(AccountTest, released_numbers_go_back_with_their_history) {
  account.offer(10, 100);
  grant(first_lease, alice, 10);
  EXPECT_EQ(account.release(first_lease, {2, 3}, {.tries = 1}), 3U);
  EXPECT_EQ(account.backlog().front(), (Pending{{2, 3}, 30, {.tries = 1}}));
  EXPECT_EQ(account.find(first_lease)->remaining.ranges(), (std::vector<Range>{{0, 2}, {5, 5}}));
}

TEST_F(AccountTest, a_lease_can_release_only_what_it_has) {
  account.offer(20, 0);
  grant(first_lease, alice, 10);
  EXPECT_EQ(account.release(first_lease, {5, 10}, {}), 5U);
  EXPECT_EQ(account.release(first_lease, {5, 10}, {}), 0U);
  EXPECT_EQ(account.release(second_lease, {0, 20}, {}), 0U);
}

TEST_F(AccountTest, what_a_copy_still_holds_does_not_go_back) {
  account.offer(10, 100);
  Lease& original = grant(first_lease, alice, 10);
  account.grant_copy(second_lease, bob, original, start);
  EXPECT_EQ(account.release(first_lease, {0, 10}, {}), 0U);
  EXPECT_EQ(places(), (Places{0, 0, 10, 0, 0}));
  EXPECT_EQ(account.release(second_lease, {0, 4}, {}), 4U);
  EXPECT_EQ(places(), (Places{4, 0, 6, 0, 0}));
}

TEST_F(AccountTest, of_two_copies_the_first_result_wins) {
  account.offer(10, 100);
  account.grant_copy(second_lease, bob, grant(first_lease, alice, 10), start);
  EXPECT_EQ(account.held_by(alice) + account.held_by(bob), 20U);
  const auto losers = account.settle({0, 4}, {}, second_lease);
  ASSERT_EQ(losers.size(), 1U);
  EXPECT_EQ(losers[0].lease, first_lease);
  EXPECT_EQ(losers[0].range, (Range{0, 4}));
  EXPECT_EQ(account.held_by(alice), 6U);
}

TEST_F(AccountTest, what_was_given_back_was_not_granted) {
  account.offer(10, 100);
  Lease& lease = grant(first_lease, alice, 10);
  EXPECT_EQ(lease.total, 10U);
  account.release(first_lease, {6, 4}, {});
  EXPECT_EQ(lease.total, 6U) << "else a retracted lease is never finished";
  account.settle({5, 1}, {}, second_lease);
  EXPECT_EQ(lease.total, 5U) << "somebody else has finished it";
  account.settle({4, 1}, {}, first_lease);
  EXPECT_EQ(lease.total, 5U);
}

TEST_F(AccountTest, delayed_numbers_wait_until_they_are_due) {
  account.offer(10, 100);
  grant(first_lease, alice, 10);
  account.release(first_lease, {0, 10}, {.tries = 1}, start + 1s);
  EXPECT_EQ(account.next_due(), start + 1s);
  EXPECT_EQ(account.wake_delayed(start + 999ms), 0U);
  EXPECT_EQ(account.wake_delayed(start + 1s), 10U);
  EXPECT_EQ(account.backlog().front()->history.tries, 1U);
  EXPECT_EQ(account.next_due(), std::nullopt);
}

TEST_F(AccountTest, a_returning_worker_keeps_what_nobody_else_has) {
  account.offer(20, 0);
  grant(first_lease, alice, 20);
  account.release(first_lease, {0, 20}, {.suspicion = 2});
  account.settle({0, 5}, {}, {});
  account.grant(second_lease, bob, {.count = 5}, start);
  constexpr SessionId alice_again{3};
  EXPECT_EQ(account.adopt(first_lease, alice_again, {0, 20}, start), (std::vector<Range>{{10, 10}}));
  EXPECT_EQ(account.held_by(alice_again), 10U);
}

TEST_F(AccountTest, what_a_worker_survived_is_no_suspect_wherever_it_is) {
  account.offer(20, 0);
  grant(first_lease, alice, 20);
  account.release(first_lease, {0, 20}, {.tries = 1, .suspicion = 2, .deaths_alone = 2});
  grant(second_lease, bob, 10);
  account.exonerate({5, 10});
  EXPECT_EQ(account.find(second_lease)->history, (History{.tries = 1}));
  EXPECT_EQ(account.backlog().front()->history, (History{.tries = 1}));
  EXPECT_EQ(account.backlog().ranges(), (std::vector<Range>{{10, 5}, {15, 5}}));
}

TEST_F(AccountTest, nobody_can_adopt_a_lease_that_another_holds) {
  account.offer(20, 0);
  grant(first_lease, alice, 10);
  EXPECT_TRUE(account.adopt(first_lease, bob, {10, 10}, start).empty());
}

TEST_F(AccountTest, proposed_numbers_leave_their_leases) {
  account.offer(20, 0);
  grant(first_lease, alice, 10);
  EXPECT_EQ(account.propose({5, 10}), (std::vector<Range>{{5, 10}}));
  EXPECT_EQ(places(), (Places{5, 0, 5, 10, 0}));
  EXPECT_TRUE(account.propose({5, 10}).empty());
  EXPECT_EQ(account.awaiting(), (std::vector<Range>{{5, 10}}));
}

TEST_F(AccountTest, what_has_an_outcome_is_not_proposed) {
  account.offer(10, 0);
  account.settle({3, 3}, {}, {});
  EXPECT_EQ(account.propose({0, 10}), (std::vector<Range>{{0, 3}, {6, 4}}));
}

TEST_F(AccountTest, everything_that_waits_can_be_proposed_at_once) {
  account.offer(30, 0);
  grant(first_lease, alice, 20);
  account.release(first_lease, {0, 5}, {.tries = 1}, start + 1s);
  EXPECT_EQ(account.propose_waiting(), (std::vector<Range>{{0, 5}, {20, 10}}));
  EXPECT_EQ(places(), (Places{0, 0, 15, 15, 0}));
}

TEST_F(AccountTest, leases_are_told_oldest_first) {
  account.offer(10, 0);
  grant(second_lease, alice, 1);
  grant(first_lease, alice, 1);
  EXPECT_EQ(account.leases_of(alice), (std::vector<LeaseId>{second_lease, first_lease}));
  account.settle({0, 1}, {}, second_lease);
  EXPECT_EQ(account.leases_of(alice), (std::vector<LeaseId>{first_lease}));
  EXPECT_TRUE(account.leases_of(bob).empty());
}

// --- Against a map from number to place, the definition of right -------------------------------------------------

class Model : public ::testing::TestWithParam<std::uint64_t> {
protected:
  enum class Place { queued, delayed, leased, awaiting, settled };

  Random random{GetParam()};
  Account account;
  TimePoint now = start;
  std::vector<Place> places;                   // By number.
  std::vector<TimePoint> due;                  // By number; meaningful while delayed.
  std::map<LeaseId, std::set<Number>> leases;  // What remains of each.
  std::map<LeaseId, SessionId> holders;
  std::uint64_t counter = 0;

  LeaseId next_lease() { return {{9}, ++counter}; }
  LeaseId some_lease() {  // Perhaps one that has ended.
    return counter == 0 ? LeaseId{{8}, 1} : LeaseId{{9}, random.between(1, counter)};
  }
  SessionId some_holder() { return {random.between(1, 4)}; }
  Range some_range() {
    const Number first = random.below(places.size() + 1);
    return {first, random.below(std::min<std::uint64_t>(places.size() - first, 12) + 1)};
  }
  bool held(Number number) const {
    return std::any_of(leases.begin(), leases.end(), [&](const auto& lease) { return lease.second.contains(number); });
  }
  void leave_leases(Number number) {
    for (auto& [id, numbers] : leases) numbers.erase(number);
  }
  void drop_empty_leases() {
    std::erase_if(leases, [](const auto& lease) { return lease.second.empty(); });
  }

  void offer() {
    const std::uint64_t count = random.below(10);
    EXPECT_EQ(account.offer(count, random.below(1000)), (Range{places.size(), count}));
    places.insert(places.end(), count, Place::queued);
    due.resize(places.size());
  }
  void grant() {
    const LeaseId id = next_lease();
    holders[id] = some_holder();
    const Lease* lease = account.grant(id, holders[id], {.count = random.between(1, 10)}, now);
    const auto lowest = std::find(places.begin(), places.end(), Place::queued);
    ASSERT_EQ(lease != nullptr, lowest != places.end());
    if (lease == nullptr) return;
    ASSERT_EQ(lease->remaining.front().first, static_cast<Number>(lowest - places.begin()));
    for (const Range range : lease->remaining.ranges()) take(id, range);
  }
  void take(LeaseId id, Range range) {
    for (Number n = range.first; n < range.end(); ++n) {
      ASSERT_EQ(places[n], Place::queued);
      places[n] = Place::leased;
      leases[id].insert(n);
    }
  }
  void copy() {
    Lease* original = account.find(some_lease());
    if (original == nullptr || original->copied || original->copy) return;
    const LeaseId id = next_lease();
    holders[id] = some_holder();
    const LeaseId original_id = original->id;
    account.grant_copy(id, holders[id], *original, now);
    leases[id] = leases[original_id];
  }
  void adopt() {
    const LeaseId id = some_lease();
    const SessionId holder = some_holder();
    const bool free = !leases.contains(id) || holders[id] == holder;
    if (free) holders[id] = holder;
    const Range range = some_range();
    std::uint64_t expected = 0;
    for (Number n = range.first; free && n < range.end(); ++n) expected += places[n] == Place::queued ? 1 : 0;
    for (const Range part : account.adopt(id, holder, range, now)) {
      expected -= part.count;
      take(id, part);
    }
    EXPECT_EQ(expected, 0U);
  }
  void settle() {
    const LeaseId winner = some_lease();
    for (const Range part : account.ledger().missing(some_range())) {
      std::set<std::pair<LeaseId, Number>> expected;
      for (const auto& [id, numbers] : leases)
        for (Number n = part.first; id != winner && n < part.end(); ++n)
          if (numbers.contains(n)) expected.emplace(id, n);
      for (const Account::Loser& loser : account.settle(part, {}, winner)) {
        EXPECT_EQ(loser.holder, holders[loser.lease]);
        for (Number n = loser.range.first; n < loser.range.end(); ++n) EXPECT_EQ(expected.erase({loser.lease, n}), 1U);
      }
      EXPECT_TRUE(expected.empty());
      for (Number n = part.first; n < part.end(); ++n) {
        places[n] = Place::settled;
        leave_leases(n);
      }
    }
  }
  void release() {
    const LeaseId id = some_lease();
    const Range range = some_range();
    const bool delayed = random.chance(0.3);
    const TimePoint at = now + std::chrono::milliseconds{random.below(100)};
    const std::uint64_t returned =
        account.release(id, range, {.tries = counter % 2 == 0 ? 1U : 0U}, delayed ? std::optional{at} : std::nullopt);
    std::uint64_t expected = 0;
    for (Number n = range.first; n < range.end(); ++n) {
      if (!leases.contains(id) || leases[id].erase(n) == 0 || held(n)) continue;
      places[n] = delayed ? Place::delayed : Place::queued;
      due[n] = at;
      ++expected;
    }
    EXPECT_EQ(returned, expected);
  }
  void wake() {
    now += std::chrono::milliseconds{random.below(30)};
    std::uint64_t expected = 0;
    for (Number n = 0; n < places.size(); ++n) {
      if (places[n] != Place::delayed || due[n] > now) continue;
      places[n] = Place::queued;
      ++expected;
    }
    EXPECT_EQ(account.wake_delayed(now), expected);
  }
  void propose() {
    const Range range = some_range();
    std::set<Number> expected;
    for (Number n = range.first; n < range.end(); ++n)
      if (places[n] != Place::settled && places[n] != Place::awaiting) expected.insert(n);
    expect_proposed(account.propose(range), expected);
  }
  void propose_waiting() {
    std::set<Number> expected;
    for (Number n = 0; n < places.size(); ++n)
      if (places[n] == Place::queued || places[n] == Place::delayed) expected.insert(n);
    expect_proposed(account.propose_waiting(), expected);
  }
  void expect_proposed(const std::vector<Range>& proposed, std::set<Number>& expected) {
    for (const Range part : proposed)
      for (Number n = part.first; n < part.end(); ++n) {
        EXPECT_EQ(expected.erase(n), 1U);
        places[n] = Place::awaiting;
        leave_leases(n);
      }
    EXPECT_TRUE(expected.empty());
  }

  void step() {
    switch (random.below(16)) {
      case 0:
        return offer();
      case 1:
        return copy();
      case 2:
        return adopt();
      case 3:
      case 4:
        return settle();
      case 5:
      case 6:
      case 7:
        return release();
      case 8:
      case 9:
        return wake();
      case 10:
        return propose();
      case 11:
        return random.chance(0.05) ? propose_waiting() : wake();
      default:
        return grant();
    }
  }
  void expect_equal() const {
    const auto count = [this](Place place) {
      return static_cast<std::uint64_t>(std::count(places.begin(), places.end(), place));
    };
    const Audit audit = account.audit();
    ASSERT_EQ(audit.submitted, places.size());
    ASSERT_EQ(audit.queued, count(Place::queued));
    ASSERT_EQ(audit.delayed, count(Place::delayed));
    ASSERT_EQ(audit.leased, count(Place::leased));
    ASSERT_EQ(audit.awaiting, count(Place::awaiting));
    ASSERT_EQ(audit.settled(), count(Place::settled));
    ASSERT_EQ(account.lease_count(), leases.size());
    std::map<SessionId, std::uint64_t> held_by;
    for (const auto& [id, numbers] : leases) held_by[holders.at(id)] += numbers.size();
    for (const auto& [holder, tasks] : held_by) ASSERT_EQ(account.held_by(holder), tasks);
    for (Number n = 0; n < places.size(); ++n) ASSERT_EQ(account.ledger().has({n, 1}), places[n] == Place::settled);
  }
};

TEST_P(Model, agrees_with_the_account_after_every_step) {
  for (int i = 0; i < 1500; ++i) {
    step();
    drop_empty_leases();
    ASSERT_EQ(account.check(), "") << "after step " << i;
    ASSERT_NO_FATAL_FAILURE(expect_equal()) << "after step " << i;
    if (HasFailure()) FAIL() << "after step " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Account, Model, ::testing::Range(std::uint64_t{1}, std::uint64_t{21}));

}  // namespace
}  // namespace ventile
