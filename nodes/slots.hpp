// How many tasks this machine lets us run at once.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace ventile {

// What the answer is read from; replaced by tests.
struct Machine {
  std::uint32_t affinity = 1;  // Processors that this process may run on.
  // The content of a file; std::nullopt if it cannot be read.
  std::function<std::optional<std::string>(const std::string& path)> read_file;
  std::optional<std::string> slurm_cpus_per_task;  // SLURM_CPUS_PER_TASK.

  static Machine here();
};

struct AvailableSlots {
  std::uint32_t count = 1;  // At least 1.
  std::string reason;       // What decided: "2 processors by affinity".

  bool operator==(const AvailableSlots&) const = default;
};

// The least of the processors by affinity, the processor quota of our control group and of every group above it
// (versions 1 and 2; a part of a processor counts as one), and what Slurm granted per task.
AvailableSlots available_slots(const Machine& machine);

}  // namespace ventile
