#include <ventile/queue/delivery.hpp>

#include <algorithm>

#include <ventile/base/planted.hpp>

namespace ventile {

void Delivery::add(const KeptPiece& piece) {
  pieces_.emplace(piece.range.first, piece);
  count_ += piece.range.count;
  const bool is_late = fetch_ && piece.range.first < fetch_->next;
  if (is_late && !planted("what is kept late is not sent")) fetch_->late.push_back(piece.range.first);
}

void Delivery::begin(const Fetch& fetch) {
  fetch_.emplace();
  fetch_->ordered = fetch.ordered;
  fetch_->credit_bytes = fetch.credit.bytes;
  for (const Range range : fetch.have) fetch_->have.insert(range);
}

void Delivery::grant(const SinkCredit& credit) {
  if (fetch_) fetch_->credit_bytes = std::max(fetch_->credit_bytes, credit.bytes);
}

// Pieces that the client has, all of them, are passed over.
const KeptPiece* Delivery::find_next() {
  if (!fetch_->late.empty()) {
    const KeptPiece& piece = pieces_.at(fetch_->late.front());
    fetch_->late.pop_front();
    return &piece;
  }
  for (auto it = pieces_.lower_bound(fetch_->next); it != pieces_.end(); ++it) {
    const KeptPiece& piece = it->second;
    const bool is_had = fetch_->have.contains(piece.range);
    const Range gap = Range::between(fetch_->next, piece.range.first);
    if (fetch_->ordered && !fetch_->have.contains(gap)) return nullptr;
    fetch_->next = piece.range.end();
    if (!is_had) return &piece;
  }
  return nullptr;
}

std::optional<KeptPiece> Delivery::next() {
  if (!fetch_ || fetch_->sent_bytes >= fetch_->credit_bytes) return std::nullopt;
  const KeptPiece* const piece = find_next();
  if (piece == nullptr) return std::nullopt;
  fetch_->sent_bytes += piece->bytes;
  return *piece;
}

}  // namespace ventile
