#include <ventile/queue/ledger.hpp>

#include <cassert>

namespace ventile {

void Ledger::record(Range range, const std::vector<RangeOutcome>& exceptions) {
  [[maybe_unused]] const std::uint64_t added = settled_.insert(range);
  assert(added == range.count && "a number was given two outcomes");
  std::uint64_t done = range.count;
  for (const RangeOutcome& exception : exceptions) {
    outcomes_[static_cast<std::size_t>(exception.outcome)] += exception.range.count;
    exceptions_[static_cast<std::size_t>(exception.outcome)].insert(exception.range);
    done -= exception.range.count;
  }
  outcomes_[static_cast<std::size_t>(Outcome::done)] += done;
}

std::vector<RangeOutcome> Ledger::exceptions() const {
  std::vector<RangeOutcome> all;
  for (std::size_t i = 0; i < exceptions_.size(); ++i)
    for (const Range range : exceptions_[i].ranges()) all.push_back({range, static_cast<Outcome>(i)});
  return all;
}

}  // namespace ventile
