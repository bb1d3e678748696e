// A pipeline on a simulated network: a source with the real Resend, stages that are killed and cut off in the midst of
// everything, and a drain with the real ledger; every frame goes through the real codec.
#pragma once

#include <cstdint>
#include <ostream>

namespace ventile::simulation {

struct PipelineOutcome {
  std::uint64_t tasks = 0;
  std::uint64_t done = 0;
  std::uint64_t dead = 0;        // Given up by the source.
  std::uint64_t duplicates = 0;  // Results that the drain dropped, in tasks.
  std::uint64_t resent = 0;      // Tasks.
  std::uint64_t kills = 0;       // Of stages.
};

// Throws Violation if a number has two outcomes, or none when nothing will ever happen again. `poison`: one task kills
// every stage that runs it.
PipelineOutcome simulate_pipeline(std::uint64_t seed, bool poison, std::ostream* trace = nullptr);

}  // namespace ventile::simulation
