// How tasks are read from an input and results are written to an output.
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

}  // namespace ventile
