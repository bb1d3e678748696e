// Which of a job's kept results are sent to the client that fetches them, and in which order.
//
//              begin                       all that is kept was sent, or the credit is used up
//    [idle] ---------> [sending] <--------------------------------------------------------------> [waiting]
//       ^                  |                             add, grant
//       '------ stop ------'
//
// A fetch that dies half-way is begun again, by anybody who may: nothing is forgotten by being sent.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include <ventile/base/interval_set.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// Results that are kept together, and go together.
struct KeptPiece {
  Range range;
  std::uint64_t bytes = 0;   // Of payloads.
  std::uint64_t offset = 0;  // Where they are, and
  std::uint64_t size = 0;    // how much is there.
};

// How far one fetch has come.
struct DeliveryProgress {
  bool ordered = false;
  IntervalSet have;
  std::uint64_t credit_bytes = 0;
  std::uint64_t sent_bytes = 0;
  Number next = 0;          // All pieces below were sent or are in `late`.
  std::deque<Number> late;  // Came after that; by their first number.
};

// Pure and not thread-safe, like every decider.
class Delivery {
public:
  // Is safe from now on. No number is in two pieces.
  void add(const KeptPiece& piece);
  void begin(const Fetch& fetch);
  void grant(const SinkCredit& credit);
  void stop() { fetch_.reset(); }
  // What is to be sent now, and counts as sent; none for the time being.
  std::optional<KeptPiece> next();

  bool is_fetched() const { return fetch_.has_value(); }
  std::uint64_t count() const { return count_; }  // Results.

private:
  std::map<Number, KeptPiece> pieces_;  // By first number.
  std::uint64_t count_ = 0;
  std::optional<DeliveryProgress> fetch_;

  const KeptPiece* find_next();
};

}  // namespace ventile
