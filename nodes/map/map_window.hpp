// How far a map at a broker reads ahead of what it has written.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include <ventile/base/range.hpp>

namespace ventile {

struct MapWindowOptions {
  std::uint64_t tasks = std::uint64_t{1} << 18;           // Submitted and not written.
  std::uint64_t tasks_at_first = std::uint64_t{1} << 12;  // The same while nothing is known of the results' size.
  std::uint64_t bytes = std::uint64_t{64} << 20;          // Of their input, and of results that wait to be written.
};

// At a limit the input is not read on, whatever the workers could take. Results of what was submitted before still
// come: memory is that of the window, and of at most twice as many tasks as were written. A single task larger than
// the window is let in when nothing else is there. A value.
class MapWindow {
public:
  explicit MapWindow(MapWindowOptions options = {}) : options_(options) {}

  void on_submitted(Range range, std::uint64_t bytes);
  void on_written(Range range);

  // How many tasks more may be submitted while results of so many bytes wait to be written.
  std::uint64_t room(std::uint64_t held_bytes) const;

  std::uint64_t submitted() const { return submitted_; }
  std::uint64_t written() const { return written_; }

private:
  struct Block {  // Tasks that were submitted together.
    Range range;
    std::uint64_t left = 0;  // Not written.
    std::uint64_t bytes = 0;
  };

  MapWindowOptions options_;
  std::map<Number, Block> blocks_;  // By first number; those that are not wholly written.
  std::uint64_t submitted_ = 0;
  std::uint64_t written_ = 0;
  std::uint64_t open_bytes_ = 0;
};

}  // namespace ventile
