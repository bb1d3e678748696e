// Results as they are handed from the reactor's thread to whoever waits for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include <ventile/base/range.hpp>
#include <ventile/compute/task_error.hpp>
#include <ventile/queue/client.hpp>

namespace ventile::detail {

// Results of consecutive tasks, or what became of them instead.
struct Piece {
  Range range;
  std::variant<Arrival, TaskReport> what;

  std::uint64_t bytes() const;  // Of results that are held for it.
};

// What a failed task's payload says.
TaskReport report_of(const Arrival& arrival, Number number, const std::string& function);
// The failure of a number within a result, if it is one.
const Failure* failure_of(const Arrival& arrival, Number number);

// Where a walk over results takes them from. For one thread at a time.
class PieceSource {
public:
  PieceSource() = default;
  virtual ~PieceSource() = default;
  PieceSource(const PieceSource&) = delete;
  PieceSource& operator=(const PieceSource&) = delete;

  // Waits for the next piece; none when all were taken.
  virtual std::optional<Piece> next() = 0;
  // What is still open is not wanted.
  virtual void cancel(const std::string& why) = 0;
  virtual const std::string& function() const = 0;
};

}  // namespace ventile::detail
