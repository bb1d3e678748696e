// The results of a map at a broker on their way to its output: they come as they come, and leave by number if asked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <variant>

#include <ventile/base/range.hpp>
#include <ventile/queue/client.hpp>
#include <ventile/queue/submission.hpp>

namespace ventile {

// Results of consecutive tasks, or what became of these tasks instead.
struct Piece {
  Range range;
  std::variant<Arrival, Submission::DeliverOutcome> what;

  std::uint64_t bytes() const;  // Of the payloads; what is folded counts as a whole.
};

// A value. No two pieces have a number in common.
class Lineup {
public:
  // Ordered: a piece leaves when all numbers before it have left, from 0 on.
  explicit Lineup(bool ordered) : ordered_(ordered) {}

  void add(Piece piece);
  bool has_next() const { return !pieces_.empty() && (!ordered_ || pieces_.begin()->first == next_); }
  std::optional<Piece> take();

  std::uint64_t held_bytes() const { return held_bytes_; }

private:
  bool ordered_;
  std::map<Number, Piece> pieces_;  // By first number.
  Number next_ = 0;                 // Ordered: to leave.
  std::uint64_t held_bytes_ = 0;
};

}  // namespace ventile
