// Output that is too large for memory, in one file that has no name: however this process ends, nothing is left of it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {

// A run of bytes in the file.
struct Extent {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;

  static auto fields(auto& self) { return std::tie(self.offset, self.size); }
  bool operator==(const Extent&) const = default;
};

// Thread-safe. The file is made, in `folder`, when it is first needed.
class SpillFile {
public:
  explicit SpillFile(std::string folder);

  // Random. A report that comes with it has extents of this file, and no others.
  std::uint64_t key() const { return key_; }

  // Code::unavailable, with the folder's name, if there is no room.
  Result<Extent> write(std::string_view bytes);
  // Hands the bytes to `take` piece by piece.
  Status read(Extent extent, const std::function<Status(std::string_view)>& take) const;
  // The extent is not needed any more: the file system gets its room back.
  void release(Extent extent) const;

private:
  std::string folder_;
  std::uint64_t key_;
  std::mutex opening_;
  std::atomic<int> file_{-1};
  Descriptor owner_;
  std::atomic<std::uint64_t> end_{0};

  Result<int> file();
};

// $TMPDIR or /tmp.
std::string temporary_folder();

// What a task wrote: first what is in the file, then what is in memory.
struct CapturedOutput {
  std::vector<Extent> spilled;
  std::string bytes;

  static auto fields(auto& self) { return std::tie(self.spilled, self.bytes); }
  std::uint64_t size() const;
  // Moves all of it into memory.
  Status gather(const SpillFile& file);
};

// Gathers what a task writes. Used by one thread.
class OutputCapture {
public:
  // Beyond this it goes to the file.
  static constexpr std::size_t memory_bytes_max = 64U << 10;

  explicit OutputCapture(SpillFile& file) : file_(file) {}
  ~OutputCapture();  // What was not taken is released.
  OutputCapture(const OutputCapture&) = delete;
  OutputCapture& operator=(const OutputCapture&) = delete;

  Status add(std::string_view chunk);
  std::uint64_t size() const { return output_.size(); }
  CapturedOutput take() { return std::exchange(output_, {}); }
  // The end of it, for a failure's message. At most `memory_bytes_max`.
  std::string tail(std::size_t bytes) const;

private:
  SpillFile& file_;
  CapturedOutput output_;
};

}  // namespace ventile
