// Where a ventilator's tasks come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include <ventile/base/result.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

// Pulled by one reader thread, which may block in it (a pipe).
class Input {
public:
  Input() = default;
  virtual ~Input() = default;
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  // Fills `block`, which is empty and has no headroom, with as many payloads as are there now, up to `bytes_max` bytes
  // and `count_max` payloads; waits if there is none. A payload larger than `bytes_max` comes alone. False, and an
  // empty block, at the end and after interrupt(). An error comes after all payloads before it, and comes again.
  virtual Result<bool> read(PayloadWriter& block, std::size_t bytes_max, std::uint32_t count_max) = 0;

  // Makes a read() that waits, and every later one that would wait, return soon. From any thread.
  virtual void interrupt() = 0;

  // What was malformed and passed over. From any thread, as are the next two.
  virtual std::uint64_t skipped() const = 0;

  // How far the input has been read, and its size if that is known, for a progress bar.
  virtual std::uint64_t bytes_read() const { return 0; }
  virtual std::optional<std::uint64_t> bytes_total() const { return std::nullopt; }
};

}  // namespace ventile
