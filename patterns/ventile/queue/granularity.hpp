// How many tasks make a batch, from what they were seen to take.
#pragma once

#include <cstdint>

#include <ventile/base/clock.hpp>

namespace ventile {

struct GranularityOptions {
  // A hundred times what moving a batch costs the fabric: two tenths of a millisecond over tcp, half of it over inproc,
  // most of that to wake threads on cores that were at work. Where little waits to be leased batches are smaller
  // anyway.
  Duration batch_min = std::chrono::milliseconds{10};
  Duration batch_max = std::chrono::milliseconds{50};        // Of what clients who share a slot have there, a third.
  Duration fold_min = std::chrono::milliseconds{20};         // A fold of less reduces nothing.
  Duration round_trip_max = std::chrono::milliseconds{200};  // A longer one is not filled with work.
  std::uint64_t growth_max = 8;  // A batch has at most this many times the tasks of a known one.
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

  // Of a job whose verdicts wait for a disk: so long after it was leased a batch had its verdict.
  void observe_round_trip(Duration taken);

  bool known() const { return seconds_ > 0; }
  double seconds_per_task() const { return seconds_; }  // 0 while unknown.
  Duration target() const;                              // How long a batch should keep one slot.

  // Tasks for one slot's batch, at least 1; 1 while nothing is known.
  std::uint64_t batch() const;

  // Tasks to keep leased to a worker of `slots` slots, so that none waits for a round trip. If one was observed, what
  // the slots run meanwhile: where they are busy, a batch is as long on its way as all that is leased takes to run, and
  // the window stays as it is.
  std::uint64_t window(std::uint32_t slots, bool prefetch) const;

private:
  GranularityOptions options_;
  bool folded_ = false;
  double seconds_ = 0;
  double round_trip_ = 0;  // Seconds.
  std::uint64_t largest_seen_ = 1;
};

}  // namespace ventile
