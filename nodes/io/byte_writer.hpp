// Bytes on their way to a file or a pipe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {

// Gathers what is appended to text() and hands it over in large pieces. What could not be written is kept.
class ByteWriter {
public:
  // `path` "-" is standard output. A regular file that is not empty is refused, unless `resume` says to add to it, or
  // `cut_at` to forget what is behind that byte first.
  static Result<std::unique_ptr<ByteWriter>> open(const std::string& path, bool resume,
                                                  std::optional<std::uint64_t> cut_at = std::nullopt);

  // Where to append; nothing before what was there may be changed.
  std::string& text() { return text_; }

  // Flushes if there is enough to be worth it.
  Status flush_if_full() { return text_.size() < flush_bytes ? Status{} : flush(); }
  Status flush();  // Code::overloaded if the disk is full.
  Status sync();   // From any thread.
  // Of a regular file: where it ends, with what was flushed.
  std::optional<std::uint64_t> end() const { return end_; }

  // Flushes, then closes; may be repeated until it succeeds.
  Status close();

private:
  static constexpr std::size_t flush_bytes = 256 << 10;

  ByteWriter(std::string name, Descriptor file);

  std::string name_;
  Descriptor file_;
  std::string text_;
  std::optional<std::uint64_t> end_;
};

}  // namespace ventile
