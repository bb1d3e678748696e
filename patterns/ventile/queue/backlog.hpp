// The tasks of one job that wait for a worker.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include <ventile/base/range.hpp>

namespace ventile {

// What happened to some tasks before. Tries count failures that the task reported; crashes count workers that died
// with it; leases are not counted at all: losing a worker is nobody's fault until it happens again.
struct History {
  std::uint32_t tries = 0;         // Times it ran and failed.
  std::uint32_t suspicion = 0;     // Deaths of workers that had begun it, among others. > 0: it is leased alone.
  std::uint32_t deaths_alone = 0;  // Deaths of workers that had nothing else.
  bool lost = false;               // May have begun on a worker that is gone, and must not begin again.

  bool is_suspect() const { return suspicion > 0 || deaths_alone > 0; }
  bool operator==(const History&) const = default;
};

// Tasks that are the same to the dispatcher: consecutive, with one history, of about the same size.
struct Pending {
  Range range;
  std::uint64_t bytes = 0;  // Of their payloads; 0 for index jobs.
  History history;

  bool operator==(const Pending&) const = default;
};

// The lowest number goes first, so that ordered output moves on and a requeued batch is not forgotten. A value;
// every operation is logarithmic in the number of runs.
class Backlog {
public:
  struct Limits {
    std::uint64_t count = 0;           // Tasks; at least 1.
    std::uint64_t bytes = UINT64_MAX;  // Of payload; one task is given out even if it is larger.
    Number below = UINT64_MAX;         // Numbers from here on must wait.
  };

  // Adds tasks that are not in it. Joins neighbours with the same history and a similar size.
  void add(Pending pending);
  // Takes tasks from the front, within the limits; none if the lowest number is not below `below`.
  std::optional<Pending> take(const Limits& limits);
  // Takes exactly the part of `range` that is there, in order.
  std::vector<Pending> remove(Range range);

  bool empty() const { return runs_.empty(); }
  std::uint64_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }
  std::optional<Pending> front() const;
  std::vector<Range> ranges() const;
  // Calls call(range) for each run of `ranges()`.
  template <class Call>
  void for_each(Call call) const {
    for (const auto& [first, pending] : runs_) call(pending.range);
  }
  // What is there of `range`, in order.
  std::vector<Pending> within(Range range) const;

private:
  std::map<Number, Pending> runs_;  // By first number.
  std::uint64_t count_ = 0;
  std::uint64_t bytes_ = 0;

  void insert(const Pending& pending);
  Pending extract(std::map<Number, Pending>::iterator it);
};

// Cuts `pending` after `count` tasks; bytes are shared out in proportion.
std::pair<Pending, Pending> split(const Pending& pending, std::uint64_t count);

}  // namespace ventile
