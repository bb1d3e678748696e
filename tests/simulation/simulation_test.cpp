// Fixed seeds, so that every run of the tests is the same; ventile-simulate tries as many others as there is time for.
#include "tests/simulation/simulation.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/sanitized.hpp"

namespace ventile::simulation {
namespace {

constexpr std::uint64_t seeds_each = sanitized ? 5 : 60;  // They are some ten times slower.
constexpr std::size_t trace_lines = 60;

std::string trace_of(std::uint64_t seed) {
  std::ostringstream trace;
  try {
    Simulation{seed, &trace}.run();
  } catch (const Violation&) {  // Whoever asks knows why.
  }
  return trace.str();
}

// What the run was about, and its last lines.
std::string summary(const std::string& trace) {
  std::size_t at = trace.size();
  for (std::size_t lines = 0; lines <= trace_lines && at != std::string::npos && at > 0; ++lines)
    at = trace.rfind('\n', at - 1);
  const std::size_t first_line = trace.find('\n') + 1;
  if (at == std::string::npos || at < first_line) return trace;
  return trace.substr(0, first_line) + "…" + trace.substr(at);
}

class Fabric : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(Fabric, gives_every_task_one_outcome_whatever_breaks) {
  for (std::uint64_t seed = GetParam(); seed < GetParam() + seeds_each; ++seed) {
    try {
      Simulation{seed}.run();
    } catch (const Violation& violation) {
      FAIL() << "seed " << seed << ": " << violation.what() << "\n"
             << summary(trace_of(seed)) << "see all of it with\n  ventile-simulate --trace --seeds " << seed << ":"
             << seed + 1;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, Fabric, ::testing::Range<std::uint64_t>(1, 1 + 10 * seeds_each, seeds_each));

TEST(Simulation, of_the_same_seed_is_the_same_run) {
  for (const std::uint64_t seed : {3, 4, 5}) {
    const std::string once = trace_of(seed);
    EXPECT_EQ(once, trace_of(seed));
    EXPECT_GT(once.size(), 1000U);
  }
}

TEST(Simulation, of_another_seed_is_another_run) { EXPECT_NE(trace_of(3), trace_of(4)); }

}  // namespace
}  // namespace ventile::simulation
