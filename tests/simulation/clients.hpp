// A broker and its clients on a simulated network: the real Dispatcher, ClientJobs and Submission, workers that are
// killed, and a broker that dies and comes back: without a memory, or to what of its journal was on the disk. Every
// frame goes through the real codec.
#pragma once

#include <cstdint>
#include <ostream>

namespace ventile::simulation {

struct ClientsOutcome {
  std::uint64_t tasks = 0;
  std::uint64_t jobs = 0;
  std::uint64_t duplicates = 0;  // Results that clients dropped, in tasks.
  std::uint64_t faults = 0;
  std::uint64_t restarts = 0;  // Of the broker.
};

// Throws Violation if a task of a client has two outcomes, another's result, or none when nothing will ever happen
// again.
ClientsOutcome simulate_clients(std::uint64_t seed, std::ostream* trace = nullptr);

}  // namespace ventile::simulation
