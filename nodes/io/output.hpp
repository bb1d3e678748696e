// Results to a file or a pipe, in the formats that the node programs know.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <nodes/format.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/output.hpp>

namespace ventile {

struct OutputOptions {
  std::string separator = "\n";         // After each raw value.
  bool resume = false;                  // Add to a file that is not empty, which is refused otherwise.
  std::optional<std::uint64_t> cut_at;  // Of a file: forget what is behind this byte, and add to it.
};

// Opens `path`, or standard output for "-". Per result is written:
//
//   jsonl    {"task":7,"outcome":"done","value":…,"tries":1} and a line end; if it is not done, "error":{"kind":…,
//            "message":…} in place of the value. A run of tasks that ended alike adds "tasks":1000. A fold is
//            {"fold":…,"tasks":1000}. Values as json.hpp says.
//   msgpack  the array [7, "done", value or error, tries], and for a run their count. A fold is its value alone.
//   raw      the bytes of a string or binary, the JSON text of any other value, then the separator; what is not done
//            writes nothing.
//
// Fails with Code::unavailable if it cannot be opened. The program must ignore SIGPIPE, so that a closed pipe is an
// error like any other.
Result<std::unique_ptr<Output>> open_output(const std::string& path, OutputFormat format, OutputOptions options = {});

}  // namespace ventile
