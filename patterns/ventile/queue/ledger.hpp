// Which numbers of a job have an outcome: the memory that makes every number count exactly once.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>
#include <ventile/wire/messages.hpp>
#include <ventile/wire/outcome.hpp>

namespace ventile {

// A value, kept by the sink (who decides) and mirrored by the dispatcher (who schedules). A number gets one outcome;
// the first wins. Memory is one interval per hole, not one entry per task.
class Ledger {
public:
  // Gives every number of `range` an outcome: `exceptions` lists those that are not done. None may have one already.
  void record(Range range, const std::vector<RangeOutcome>& exceptions);

  bool has(Range range) const { return settled_.contains(range); }
  bool touches(Range range) const { return settled_.intersects(range); }
  std::vector<Range> missing(Range range) const { return settled_.missing(range); }
  std::uint64_t count() const { return settled_.count(); }
  std::uint64_t count(Outcome outcome) const { return outcomes_[static_cast<std::size_t>(outcome)]; }
  const std::array<std::uint64_t, outcome_count>& outcomes() const { return outcomes_; }
  std::vector<RangeOutcome> exceptions() const;  // All that are not done, by outcome.
  const IntervalSet& settled() const { return settled_; }
  Number low_water() const { return settled_.lowest_missing(); }  // Every number below has an outcome.

private:
  IntervalSet settled_;
  std::array<std::uint64_t, outcome_count> outcomes_{};
  std::array<IntervalSet, outcome_count> exceptions_;  // By outcome; none is done.
};

}  // namespace ventile
