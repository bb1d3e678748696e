// Tasks from a file or a pipe, in the formats that the node programs know.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <nodes/format.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/input.hpp>

namespace ventile {

struct InputOptions {
  bool skip_bad = false;                  // Pass over what is malformed, and count it.
  std::size_t item_bytes_max = 1U << 30;  // A longer item is an error, also with skip_bad.
};

// Opens `path`, or standard input for "-". The payloads are:
//
//   lines    each line as a string, without "\n" or "\r\n"; empty lines count, and so does a last line without end
//   nul      what stands before each NUL byte as a string, and what is left after the last one
//   jsonl    the value of each line of JSON; blank lines are passed over
//   msgpack  the bytes of each value
//
// Fails with Code::unavailable if there is no such file, and later if it cannot be read. What is malformed gives
// Code::invalid, with a message such as "tasks.jsonl:17: unexpected ']'; expected '}' at column 9". After a malformed
// value a msgpack stream cannot go on, not even with skip_bad: where the next one starts is not known.
Result<std::unique_ptr<Input>> open_input(const std::string& path, InputFormat format, InputOptions options = {});

}  // namespace ventile
