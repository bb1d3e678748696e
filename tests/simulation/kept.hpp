// A broker that keeps results, on a simulated network: clients bring the tasks of a job, are killed or leave, and
// others come for the results; workers and the broker die on the way. The real Dispatcher, ClientJobs, Keeper and
// Submission; every frame goes through the real codec, and every kept result through files that lose what was not
// synced.
#pragma once

#include <cstdint>
#include <ostream>

#include "tests/simulation/clients.hpp"

namespace ventile::simulation {

// Throws Violation if a task of a job has two outcomes, another's result, or none when nothing will ever happen again;
// or if two clients that fetch the same job are given different outcomes of a task.
ClientsOutcome simulate_kept(std::uint64_t seed, std::ostream* trace = nullptr);

}  // namespace ventile::simulation
