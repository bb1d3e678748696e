#include "tests/simulation/kept.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/simulation/world.hpp"
#include "tests/support/sanitized.hpp"

namespace ventile::simulation {
namespace {

constexpr std::uint64_t seeds = sanitized ? 30 : 300;

TEST(SimulatedKeeping, gives_every_result_to_whoever_comes_for_it_though_clients_workers_and_the_broker_die) {
  std::uint64_t restarts = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    try {
      restarts += simulate_kept(seed).restarts;
    } catch (const Violation& violation) {
      ADD_FAILURE() << "seed " << seed << ": " << violation.what() << "\nsee it with\n  ventile-simulate --setting kept"
                    << " --trace --seeds " << seed << ":" << seed + 1;
    }
  }
  EXPECT_GT(restarts, seeds / 10) << "nothing was put to the test";
}

}  // namespace
}  // namespace ventile::simulation
