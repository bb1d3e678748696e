// How many tasks make a batch, from what they were seen to take.
#pragma once

#include <cstdint>

#include <ventile/base/clock.hpp>

namespace ventile {

struct GranularityOptions {
  Duration batch_min = std::chrono::milliseconds{1};
  Duration batch_max = std::chrono::milliseconds{50};
  Duration fold_min = std::chrono::milliseconds{20};  // A fold of less reduces nothing.
  double cost_factor = 100;                           // A batch takes this many times what moving it costs.
  std::uint64_t growth_max = 8;                       // A batch has at most this many times the tasks of a known one.
};

// One per job. Durations are averaged in the logarithm, so that a few slow tasks among many fast ones, or one page
// fault among no-ops, move the estimate little; what a slow task holds up is handed back by retracting, not by
// making every batch small. Not thread-safe.
class Granularity {
public:
  Granularity() = default;
  Granularity(GranularityOptions options, bool folded) : options_(options), folded_(folded) {}

  // `count` tasks took one slot `busy` in all.
  void observe(std::uint64_t count, Duration busy);
  // Moving one batch (decide, encode, send, acknowledge) took `cost` of the dispatcher's time.
  void observe_cost(Duration cost);

  bool known() const { return seconds_ > 0; }
  double seconds_per_task() const { return seconds_; }  // 0 while unknown.
  Duration target() const;                              // How long a batch should keep one slot.

  // Tasks for one slot's batch, at least 1; 1 while nothing is known.
  std::uint64_t batch() const;

  // Tasks to keep leased to a worker of `slots` slots, so that none waits for a round trip.
  std::uint64_t window(std::uint32_t slots, bool prefetch) const;

private:
  GranularityOptions options_;
  bool folded_ = false;
  double seconds_ = 0;
  double cost_ = 10e-6;
  std::uint64_t largest_seen_ = 1;
};

}  // namespace ventile
