#include <ventile/compute/map_core.hpp>

#include <algorithm>
#include <utility>

#include <ventile/task/blocking.hpp>

namespace ventile::detail {
namespace {

constexpr std::uint32_t block_tasks_max = 8 * 1024;
constexpr std::size_t block_bytes_max = 256 * 1024;
constexpr Duration block_time = std::chrono::milliseconds{1};  // A source that is slower is read in smaller blocks.
constexpr int blocks_in_a_row = 4;                             // Read ahead while there is something to take.

}  // namespace

MapCore::MapCore(std::shared_ptr<JobPort> port, MapOptions options, bool ordered, bool completes)
    : port_(std::move(port)), options_(std::move(options)), ordered_(ordered), completes_(completes) {}

// --- Feeding -----------------------------------------------------------------------------------------------------

bool MapCore::wants_more(std::uint64_t held) const {
  const std::uint64_t open = submitted_ - taken_;
  return !ended_ && (open == 0 || (open < options_.window && held < options_.window_bytes));
}

void MapCore::feed() {
  const TimePoint began = Clock::now();
  PayloadWriter payloads{frame_header_size};
  const std::uint64_t room = options_.window > submitted_ - taken_ ? options_.window - (submitted_ - taken_) : 1;
  const auto most = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(block_, 1, std::max<std::uint64_t>(room, 1)));
  const bool more = fill_(payloads, most);
  const Duration took = Clock::now() - began;
  if (took > block_time)
    block_ = std::max(block_ / 2, 1U);
  else if (payloads.size() < block_bytes_max / 2)
    block_ = std::min(block_ * 2, block_tasks_max);
  else if (payloads.size() > block_bytes_max)
    block_ = std::max(block_ / 2, 1U);
  if (payloads.count() > 0) {
    const Range range = port_->submit(std::move(payloads), shared_from_this());
    submitted_ += range.count;
    add_block(range);
    if (deadline_) port_->settle_at(*deadline_, range, Outcome::expired, "its deadline has passed");
  }
  if (!more) end();
}

void MapCore::feed_index(std::uint64_t count) {
  if (count > 0) {
    const Range range = port_->submit_index(count, shared_from_this());
    submitted_ = count;
    add_block(range);
    if (deadline_) port_->settle_at(*deadline_, range, Outcome::expired, "its deadline has passed");
  }
  end();
}

void MapCore::add_block(Range range) {
  if (blocks_.empty()) {
    const std::lock_guard lock{mutex_};
    expected_ = range.first;
  }
  blocks_.push_back({range, range.count});
}

void MapCore::end() {
  ended_ = true;
  if (completes_) port_->complete();
}

// --- Taking ------------------------------------------------------------------------------------------------------

std::optional<Piece> MapCore::next() {
  for (int fed = 0;;) {
    std::unique_lock lock{mutex_};
    const bool ready = is_next_there();
    if (wants_more(held_bytes_) && (!ready || fed < blocks_in_a_row)) {
      lock.unlock();
      feed();
      ++fed;
      continue;
    }
    if (ready) return take(lock);
    if (blocks_.empty()) return std::nullopt;  // All fed, all taken.
    const BlockingScope lent;
    changed_.wait(lock, [this] { return is_next_there(); });
  }
}

bool MapCore::is_next_there() const { return !pieces_.empty() && (!ordered_ || pieces_.begin()->first == expected_); }

std::optional<Piece> MapCore::take(std::unique_lock<std::mutex>& lock) {
  Piece piece = std::move(pieces_.begin()->second);
  pieces_.erase(pieces_.begin());
  held_bytes_ -= piece.bytes();
  lock.unlock();
  account(piece);
  return piece;
}

void MapCore::account(const Piece& piece) {
  taken_ += piece.range.count;
  const auto block = std::find_if(blocks_.begin(), blocks_.end(),
                                  [&piece](const Open& open) { return open.range.contains(piece.range); });
  block->left -= piece.range.count;
  expected_ = piece.range.end();
  if (block->left > 0) return report_progress();
  blocks_.erase(block);
  if (!blocks_.empty()) expected_ = blocks_.front().range.first;
  report_progress();
}

void MapCore::report_progress() {
  if (options_.on_progress && (++pieces_taken_ % 16 == 1 || taken_ == submitted_))
    options_.on_progress(taken_, submitted_);
}

void MapCore::cancel(const std::string& why) {
  ended_ = true;
  for (const Open& open : blocks_) port_->settle(open.range, Outcome::cancelled, why);
  if (completes_) port_->complete();
  blocks_.clear();
}

// --- The reactor's thread ----------------------------------------------------------------------------------------

void MapCore::add(Piece piece, std::uint64_t bytes) {
  {
    const std::lock_guard lock{mutex_};
    pieces_.emplace(piece.range.first, std::move(piece));
    held_bytes_ += bytes;
  }
  changed_.notify_one();
}

void MapCore::on_results(const Arrival& arrival) {
  Piece piece{arrival.range, arrival};
  const std::uint64_t bytes = piece.bytes();
  add(std::move(piece), bytes);
}

void MapCore::on_outcome(Range range, const TaskReport& report) { add({range, report}, 0); }

}  // namespace ventile::detail
