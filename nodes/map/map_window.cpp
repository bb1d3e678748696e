#include <nodes/map/map_window.hpp>

#include <iterator>

namespace ventile {

void MapWindow::on_submitted(Range range, std::uint64_t bytes) {
  blocks_.emplace(range.first, Block{range, range.count, bytes});
  submitted_ += range.count;
  open_bytes_ += bytes;
}

void MapWindow::on_written(Range range) {
  written_ += range.count;
  auto at = std::prev(blocks_.upper_bound(range.first));
  while (at != blocks_.end() && at->first < range.end()) {
    Block& block = at->second;
    block.left -= intersection(block.range, range).count;
    if (block.left > 0) {
      ++at;
      continue;
    }
    open_bytes_ -= block.bytes;
    at = blocks_.erase(at);
  }
}

std::uint64_t MapWindow::room(std::uint64_t held_bytes) const {
  const std::uint64_t open = submitted_ - written_;
  const std::uint64_t most = std::min(options_.tasks, std::max(options_.tasks_at_first, 2 * written_));
  if (open == 0) return most;
  return open_bytes_ + held_bytes >= options_.bytes || open >= most ? 0 : most - open;
}

}  // namespace ventile
