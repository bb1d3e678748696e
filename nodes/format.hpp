// How tasks are read from an input, travel, and results are written to an output.
#pragma once

#include <cstdint>

namespace ventile {

enum class InputFormat : std::uint8_t {
  lines,    // A task is a line, without its end.
  nul,      // A task ends with a NUL byte.
  jsonl,    // A task is a line of JSON.
  msgpack,  // A stream of msgpack values.
};

enum class OutputFormat : std::uint8_t {
  jsonl,    // A line of JSON per result.
  msgpack,  // A stream of msgpack arrays.
  raw,      // The bytes of each value, then a separator.
};

// How tasks travel: on credit, each batch to a worker that waits for it; or down a stream that stages pull from.
enum class Pattern : std::uint8_t { queue, pipeline };

}  // namespace ventile
