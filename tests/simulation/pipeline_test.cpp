#include "tests/simulation/pipeline.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>

#include "tests/simulation/world.hpp"
#include "tests/support/sanitized.hpp"

namespace ventile::simulation {
namespace {

constexpr std::uint64_t seeds = sanitized ? 50 : 500;

PipelineOutcome run(std::uint64_t seed, bool poison) {
  try {
    return simulate_pipeline(seed, poison);
  } catch (const Violation& violation) {
    ADD_FAILURE() << "seed " << seed << (poison ? " with poison: " : ": ") << violation.what();
    return {};
  }
}

TEST(SimulatedPipeline, gives_every_number_its_result_once_though_stages_are_killed_and_cut_off) {
  std::uint64_t kills = 0;
  std::uint64_t resent = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const PipelineOutcome outcome = run(seed, false);
    EXPECT_EQ(outcome.done, outcome.tasks) << "seed " << seed;
    kills += outcome.kills;
    resent += outcome.resent;
  }
  EXPECT_GT(kills, seeds / 2) << "nothing was put to the test";
  EXPECT_GT(resent, seeds);
}

TEST(SimulatedPipeline, gives_up_the_task_that_kills_every_stage_and_hardly_any_other) {
  std::uint64_t dead = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const PipelineOutcome outcome = run(seed, true);
    EXPECT_EQ(outcome.done + outcome.dead, outcome.tasks) << "seed " << seed;
    EXPECT_GE(outcome.dead, 1U) << "seed " << seed;
    dead += outcome.dead;
  }
  EXPECT_LT(dead, 2 * seeds);
}

}  // namespace
}  // namespace ventile::simulation
