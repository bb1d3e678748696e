// Bytes of a file, a pipe or a terminal, as they come.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {

// Used by one thread, except where it says otherwise.
class ByteReader {
public:
  // `path` "-" is standard input.
  static Result<std::unique_ptr<ByteReader>> open(const std::string& path);

  // What was read and not yet consumed. Valid until the next read_more().
  Bytes bytes() const { return buffer_.bytes().subspan(begin_); }
  void consume(std::size_t count) { begin_ += count; }

  // Adds what there is to bytes(), or finds the end. False if nothing came: because there is nothing yet and `wait` is
  // false, or after interrupt().
  Result<bool> read_more(bool wait);
  bool at_end() const { return at_end_; }

  // From any thread. Lasts.
  void interrupt();
  std::uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }
  std::optional<std::uint64_t> bytes_total() const { return bytes_total_; }  // Of a regular file.

  const std::string& name() const { return name_; }

private:
  ByteReader(std::string name, Descriptor file, Descriptor interrupted, std::optional<std::uint64_t> bytes_total);

  std::string name_;
  Descriptor file_;
  Descriptor interrupted_;  // An eventfd, readable after interrupt().
  const std::optional<std::uint64_t> bytes_total_;
  std::atomic<std::uint64_t> bytes_read_{0};
  Buffer buffer_;
  std::size_t begin_ = 0;
  bool at_end_ = false;

  Result<bool> wait_for_bytes(bool wait) const;
  void make_room();
};

}  // namespace ventile
