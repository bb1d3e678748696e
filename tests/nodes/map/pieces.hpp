// Pieces as a broker's client would bring them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <nodes/map/lineup.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {

inline Piece cancelled(Range range) {
  Submission::DeliverOutcome outcome;
  outcome.range = range;
  outcome.outcome = Outcome::cancelled;
  outcome.kind = "cancelled";
  outcome.message = "nobody waits";
  return {range, outcome};
}

// The message and the bytes that its views point into.
struct HeldResults {
  PayloadWriter payloads{0};
  Results results;
};

// Each number's result is the number itself; the first of `failed` are failures instead.
inline Piece results(Range range, const std::vector<std::uint32_t>& failed = {}) {
  auto held = std::make_shared<HeldResults>();
  for (std::uint64_t i = 0; i < range.count; ++i) {
    Packer packer{held->payloads.buffer()};
    packer.pack_unsigned(range.first + i);
    held->payloads.end_payload();
  }
  held->results.range = range;
  held->results.tries = 1;
  for (const std::uint32_t offset : failed) held->results.failures.push_back({offset, Outcome::failed});
  held->results.payloads = held->payloads.view();
  const Results* const message = &held->results;
  return {range, Arrival{range, message, std::move(held), "worker"}};
}

}  // namespace ventile
