#include "tests/simulation/kept.hpp"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/simulation/world.hpp"

namespace ventile::simulation {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t seeds = 30;
#else
constexpr std::uint64_t seeds = 300;
#endif

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
