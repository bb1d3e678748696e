// How many tasks make a batch, from what they were seen to take.
#pragma once

#include <cstdint>

#include <ventile/base/clock.hpp>

namespace ventile {

struct GranularityOptions {
  // Fifty times what moving a batch costs the fabric: two tenths of a millisecond over tcp, half of it over inproc,
  // most of that to wake threads on cores that were at work. Where little waits to be leased batches are smaller
  // anyway.
  Duration batch_min = std::chrono::milliseconds{10};
  // While results of a job that is alone have come without a pause for a while, short tasks go in batches of a
  // twentieth of that, up to this: moving batches is what is left to lose then, and nobody waits for a first result.
  Duration batch_long = std::chrono::milliseconds{40};
  Duration batch_max = std::chrono::milliseconds{50};        // Of what clients who share a slot have there, a third.
  Duration fold_min = std::chrono::milliseconds{20};         // A fold of less reduces nothing.
  Duration round_trip_max = std::chrono::milliseconds{500};  // A longer one is not filled with work.
  // A batch has at most this many times the tasks of a known one. It is more than least_part: else whoever gets the
  // least part of a batch, because many wait, never shows that he can do more than that.
  std::uint64_t growth_max = 16;
  std::uint64_t tasks_max = UINT64_MAX;  // Of a batch, however short they are; with crumbs a quarter more.
  // Where many wait, everybody gets a share of what there is, but no less than this part of a batch, for moving less
  // would be most of its cost: a millisecond of work while more input comes, and little more than the move itself when
  // everybody waits for the last.
  std::uint64_t least_part = 8;
  std::uint64_t least_part_at_end = 64;
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

  // So long after it was leased to a worker that had nothing else a batch had its verdict, what it kept its slot not
  // counted: the way of the tasks to the worker, of their results to the sink, and of the verdict back.
  void observe_way(Duration taken);

  // `count` tasks got their outcome at `now`, while so many slots were there for all.
  void observe_rate(std::uint64_t count, std::uint64_t slots, TimePoint now);

  // Tasks have been submitted: if no result has come for a while, theirs are waited for as the first ones are.
  void observe_submit(TimePoint now);

  // Of a job whose verdicts wait for a disk: so long after it was leased a batch had its verdict.
  void observe_round_trip(Duration taken);

  bool known() const { return seconds_ > 0; }
  double seconds_per_task() const { return seconds_; }  // 0 while unknown.

  // How long a batch should keep one slot: at first, or where nobody else waits.
  enum class Pace : std::uint8_t { brisk, steady };
  Duration target(Pace pace = Pace::brisk) const;
  // Tasks for one slot's batch, at least 1; 1 while nothing is known.
  std::uint64_t batch(Pace pace = Pace::brisk) const { return sizes(pace).batch; }
  // What a batch may be cut down to where many wait; perhaps 0.
  std::uint64_t least(bool at_end) const {
    return brisk_.batch / (at_end ? options_.least_part_at_end : options_.least_part);
  }

  // Tasks to keep leased to a worker of `slots` slots, so that none waits for others to come: two batches, and what it
  // gets done while one is on its way. That is told by what it was seen to get done, not only by how long a task takes:
  // of a thousand slots on two cores each is slow, and their way is long because all of them wait for the cores. Twice
  // of it, so that slots which did wait are given more (as a window of TCP BBR is twice the bandwidth-delay product;
  // Cardwell et al., ACM Queue 14(5), 2016). If a round trip was observed, also what the slots run meanwhile: where
  // they are busy, a batch is as long on its way as all that is leased takes to run, and the window stays as it is.
  std::uint64_t window(std::uint32_t slots, bool prefetch, Pace pace = Pace::brisk) const {
    return prefetch ? slots * sizes(pace).window_each : slots;
  }

private:
  GranularityOptions options_;
  bool folded_ = false;
  double seconds_ = 0;
  double way_ = 0;         // Seconds, as is
  double round_trip_ = 0;  // this.
  double rate_ = 0;        // Tasks a second of one slot.
  std::uint64_t counted_ = 0;
  TimePoint counted_since_ = never;
  TimePoint busy_since_ = never;  // Without a pause,
  TimePoint seen_;                // until then.
  std::uint64_t largest_seen_ = 1;

  // Asked for every batch several times, so they are told apart from what is learned.
  struct Sizes {
    std::uint64_t batch = 1;
    std::uint64_t window_each = 3;  // Of a slot.
  };
  Sizes brisk_;
  Sizes steady_;

  const Sizes& sizes(Pace pace) const { return pace == Pace::brisk ? brisk_ : steady_; }
  void decide();
  Sizes sizes_for(Duration target) const;
  void learn(double& estimate, Duration taken);
};

}  // namespace ventile
