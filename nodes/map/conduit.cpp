#include <nodes/map/conduit.hpp>

#include <utility>

namespace ventile {

std::uint64_t Conduit::wait_for_room() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !wanted_ || window_.room(lineup_.held_bytes()) > 0; });
  return wanted_ ? window_.room(lineup_.held_bytes()) : 0;
}

std::optional<Range> Conduit::on_submitted(std::uint64_t count, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (!wanted_) return std::nullopt;
  const Range range{window_.submitted(), count};
  window_.on_submitted(range, bytes);
  return range;
}

void Conduit::on_input_ended() {
  const std::lock_guard lock(mutex_);
  input_ended_ = true;
  changed_.notify_all();
}

void Conduit::add(Piece piece) {
  const std::lock_guard lock(mutex_);
  fetched_ += piece.range.count;
  lineup_.add(std::move(piece));
  changed_.notify_all();
}

void Conduit::on_whole(std::uint64_t total) {
  const std::lock_guard lock(mutex_);
  total_ = total;
  input_ended_ = true;
  changed_.notify_all();
}

bool Conduit::all_written() const {
  return fetching_ ? total_ == fetched_written_ : input_ended_ && window_.written() == window_.submitted();
}

void Conduit::on_over(const std::string& error) {
  const std::lock_guard lock(mutex_);
  over_ = true;
  wanted_ = false;
  if (error_.empty()) error_ = error;
  changed_.notify_all();
}

bool Conduit::is_being_written() const {
  const std::lock_guard lock(mutex_);
  return writing_ || lineup_.has_next();
}

std::optional<Piece> Conduit::take(Duration patience) {
  std::unique_lock lock(mutex_);
  std::optional<Piece> piece;
  changed_.wait_for(lock, patience, [&] {
    piece = lineup_.take();
    return piece || over_ || all_written();
  });
  writing_ = piece.has_value();
  return piece;
}

void Conduit::on_written(Range range) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (fetching_)
    fetched_written_ += range.count;
  else
    window_.on_written(range);
  changed_.notify_all();
}

bool Conduit::is_done() const {
  const std::lock_guard lock(mutex_);
  return over_ || all_written();
}

void Conduit::stop_reading() {
  const std::lock_guard lock(mutex_);
  wanted_ = false;
  changed_.notify_all();
}

bool Conduit::is_fetched() const {
  const std::lock_guard lock(mutex_);
  return fetching_ && all_written();
}

bool Conduit::input_ended() const {
  const std::lock_guard lock(mutex_);
  return input_ended_;
}

std::uint64_t Conduit::submitted() const {
  const std::lock_guard lock(mutex_);
  return fetching_ ? total_.value_or(fetched_) : window_.submitted();
}

std::string Conduit::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

}  // namespace ventile
