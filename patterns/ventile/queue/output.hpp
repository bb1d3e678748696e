// Where a sink's results go.
#pragma once

#include <cstdint>
#include <optional>

#include <ventile/base/buffer.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/result.hpp>
#include <ventile/wire/outcome.hpp>

namespace ventile {

struct ResultItem {
  Number number = 0;
  Outcome outcome = Outcome::done;
  std::uint32_t tries = 0;
  Bytes payload;            // The packed value if done; else the packed map {kind, message[, detail]}, or nothing.
  std::uint64_t count = 1;  // More: so many tasks from `number` on that never ran ended alike.
};

// Called by the sink's reactor thread. A write that fails has taken its item: what could not be written is kept, and a
// later flush() goes on with it. Every error names the output and the cause.
class Output {
public:
  Output() = default;
  virtual ~Output() = default;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  // May keep the item in a buffer. A payload that is not msgpack is written as bytes, never refused.
  virtual Status write(const ResultItem& item) = 0;

  // The one value to which the results of `count` tasks were folded, at the end of the job.
  virtual Status write_fold(Bytes packed, std::uint64_t count) = 0;

  // Everything written so far has been handed to the operating system.
  virtual Status flush() = 0;

  // What was flushed is on the disk. May be called from another thread, beside write() and flush().
  virtual Status sync() { return {}; }
  // Where a file ends after a flush(), so that it can be cut there after a crash; none for what cannot be cut.
  virtual std::optional<std::uint64_t> end() const { return std::nullopt; }

  // Flushes and ends. Nothing may be written afterwards; only a failed close() may be repeated.
  virtual Status close() = 0;
};

}  // namespace ventile
