// How a task ended.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ventile {

// Every task of a job gets exactly one.
enum class Outcome : std::uint8_t {
  done,       // It ran and returned a value.
  failed,     // It ran, for the last time, and failed.
  dead,       // It killed every worker that ran it.
  lost,       // It may have run on a worker that is gone, and must not be run again.
  expired,    // Its deadline passed before it ran.
  cancelled,  // The job was ended before it ran.
};

inline constexpr std::size_t outcome_count = 6;

// The outcome's name as in files and metrics: "done", "failed", …
std::string_view to_string(Outcome outcome);

}  // namespace ventile
