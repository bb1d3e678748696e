// What a durable sink writes down: what it has settled since the record before.
#pragma once

#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// Ordered output: an outcome without a payload that waits for the numbers before it.
struct HeldOutcome {
  Range range;
  Outcome outcome = Outcome::failed;
  std::uint32_t tries = 0;
  std::string kind;
  std::string message;

  static auto fields(auto& self) { return std::tie(self.range, self.outcome, self.tries, self.kind, self.message); }
  bool operator==(const HeldOutcome&) const = default;
};

// A value. Sums are those of the whole job; lists are what came since the record before, unless it is `whole`.
struct SinkRecord {
  JobId job;
  bool whole = false;  // Forget what came before.
  std::vector<Range> settled;
  std::vector<RangeOutcome> exceptions;  // Those of `settled` that are not done.
  std::uint64_t digest = 0;
  std::uint64_t duplicates = 0;
  Number written = 0;  // Ordered: everything below is in the output.
  bool finalised = false;
  std::vector<HeldOutcome> outcomes;

  static auto fields(auto& self) {
    return std::tie(self.job, self.whole, self.settled, self.exceptions, self.digest, self.duplicates, self.written,
                    self.finalised, self.outcomes);
  }
  bool operator==(const SinkRecord&) const = default;
};

}  // namespace ventile
