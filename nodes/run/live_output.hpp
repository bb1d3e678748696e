// Lines of tasks that still run, whole and never torn by another task's.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include <ventile/base/result.hpp>

namespace ventile {

// Thread-safe.
class LiveOutput {
public:
  // Writes whole lines, or the last one of a task without its end, to a descriptor.
  Status write(int descriptor, std::string_view text);

private:
  std::mutex mutex_;
};

// One stream of one task. Used by one thread.
class LiveLines {
public:
  LiveLines(LiveOutput& output, int descriptor, std::string tag)
      : output_(output), descriptor_(descriptor), tag_(std::move(tag)) {}

  // Passes on the lines that are whole now.
  Status add(std::string_view chunk);
  Status finish();

private:
  // A longer line is passed on in pieces.
  static constexpr std::size_t line_bytes_max = 1U << 20;

  LiveOutput& output_;
  int descriptor_;
  std::string tag_;  // Before each line, with what separates it; empty: none.
  std::string partial_;
};

// `text` with the tag before each line.
std::string tagged(std::string_view text, std::string_view tag, bool& at_line_start);

// Writes all of it, also where that means to wait.
Status write_all(int descriptor, std::string_view text);

}  // namespace ventile
