// Lines of tasks that still run, whole and never torn by another task's.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include <ventile/base/result.hpp>

namespace ventile {

// Thread-safe.
class LiveOutput {
public:
  // Where one command runs at a time, what it has written comes before what the next one writes, whichever of their
  // threads is the first to read it: with `in_turn`.
  explicit LiveOutput(bool in_turn = false) : in_turn_(in_turn) {}

  // Writes whole lines, or the last one of a task without its end, to a descriptor.
  Status write(int descriptor, std::string_view text);

private:
  friend class LiveTurn;

  bool in_turn_;
  std::mutex mutex_;
  std::condition_variable left_;
  std::uint64_t turns_ = 0;
  std::set<std::uint64_t> present_;  // Whose turn is not over.
};

// One task's place among others, from before its command starts until all that it wrote is out. To be made in the order
// in which the commands start.
class LiveTurn {
public:
  explicit LiveTurn(LiveOutput& output);
  ~LiveTurn();
  LiveTurn(const LiveTurn&) = delete;
  LiveTurn& operator=(const LiveTurn&) = delete;

  // Waits until all that came before have left. Their commands have ended when this one's has begun.
  void wait() const;

private:
  LiveOutput& output_;
  std::uint64_t number_;
};

// One stream of one task. Used by one thread.
class LiveLines {
public:
  LiveLines(LiveOutput& output, const LiveTurn& turn, int descriptor, std::string tag)
      : output_(output), turn_(turn), descriptor_(descriptor), tag_(std::move(tag)) {}

  // Passes on the lines that are whole now.
  Status add(std::string_view chunk);
  Status finish();

private:
  // A longer line is passed on in pieces.
  static constexpr std::size_t line_bytes_max = 1U << 20;

  LiveOutput& output_;
  const LiveTurn& turn_;
  int descriptor_;
  std::string tag_;  // Before each line, with what separates it; empty: none.
  std::string partial_;
};

// `text` with the tag before each line.
std::string tagged(std::string_view text, std::string_view tag, bool& at_line_start);

// Writes all of it, also where that means to wait.
Status write_all(int descriptor, std::string_view text);

}  // namespace ventile
