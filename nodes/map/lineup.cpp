#include <nodes/map/lineup.hpp>

#include <utility>

#include <ventile/queue/settlement.hpp>

namespace ventile {

std::uint64_t Piece::bytes() const {
  const auto* arrival = std::get_if<Arrival>(&what);
  return arrival == nullptr ? 0 : bytes_of(*arrival->results, range);
}

void Lineup::add(Piece piece) {
  held_bytes_ += piece.bytes();
  const Number first = piece.range.first;
  pieces_.emplace(first, std::move(piece));
}

std::optional<Piece> Lineup::take() {
  if (!has_next()) return std::nullopt;
  const auto first = pieces_.begin();
  Piece piece = std::move(first->second);
  pieces_.erase(first);
  next_ = piece.range.end();
  held_bytes_ -= piece.bytes();
  return piece;
}

}  // namespace ventile
