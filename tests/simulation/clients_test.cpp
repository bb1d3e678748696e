#include "tests/simulation/clients.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/simulation/world.hpp"
#include "tests/support/sanitized.hpp"

namespace ventile::simulation {
namespace {

constexpr std::uint64_t seeds = sanitized ? 30 : 300;

TEST(SimulatedClients, get_one_outcome_for_every_task_though_workers_and_the_broker_die) {
  std::uint64_t restarts = 0;
  std::uint64_t duplicates = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    try {
      const ClientsOutcome outcome = simulate_clients(seed);
      restarts += outcome.restarts;
      duplicates += outcome.duplicates;
    } catch (const Violation& violation) {
      ADD_FAILURE() << "seed " << seed << ": " << violation.what()
                    << "\nsee it with\n  ventile-simulate --setting clients --trace --seeds " << seed << ":"
                    << seed + 1;
    }
  }
  EXPECT_GT(restarts, seeds / 10) << "nothing was put to the test";
  EXPECT_GT(duplicates, seeds);
}

}  // namespace
}  // namespace ventile::simulation
