// The deliberate mistakes of the deciders (base/planted.hpp), and the seeds that find them.
//
// A simulator that has never found anything proves nothing. Here each mistake is planted into the deciders and a seed
// is known for which the simulation then fails, and without it does not. When the deciders or the simulator change, a
// seed may find its mistake no more: `ventile-simulate --planted NAME` looks for another, within `planted_seeds_max`.
// If there is none, the simulator has become too weak.
#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <span>
#include <string>

#include "tests/simulation/simulation.hpp"

namespace ventile::simulation {

enum class Setting : std::uint8_t { fabric, clients, kept, pipeline };
std::string to_string(Setting setting);

// Throws Violation if something that must hold does not.
Report simulate(Setting setting, std::uint64_t seed, std::ostream* trace = nullptr);

struct PlantedFault {
  const char* name;
  Setting setting;
  std::uint64_t seed;  // For which it is found.
};
std::span<const PlantedFault> planted_faults();  // planted_table.cpp

constexpr std::uint64_t planted_seeds_max = 5000;

// What goes wrong with this seed when the fault, if any, is planted; nothing if all is well. With a fault it runs in a
// child process, which may abort: that is found, too.
std::optional<std::string> wrong_with(const char* fault, Setting setting, std::uint64_t seed,
                                      std::ostream* trace = nullptr);

}  // namespace ventile::simulation
