#include <ventile/queue/granularity.hpp>

#include <algorithm>
#include <cmath>

namespace ventile {
namespace {

constexpr double shortest = 1e-9;  // Seconds; the clock sees nothing shorter.

// Moves the estimate towards the observation by `weight`, in the logarithm.
double blend(double estimate, double observed, double weight) {
  return std::exp2((1 - weight) * std::log2(estimate) + weight * std::log2(observed));
}

}  // namespace

void Granularity::observe(std::uint64_t count, Duration busy) {
  if (count == 0) return;
  const double each = std::max(to_seconds(busy) / static_cast<double>(count), shortest);
  largest_seen_ = std::max(largest_seen_, count);
  seconds_ = known() ? blend(seconds_, each, 0.25) : each;
}

void Granularity::observe_round_trip(Duration taken) {
  const double observed = std::clamp(to_seconds(taken), shortest, to_seconds(options_.round_trip_max));
  round_trip_ = round_trip_ > 0 ? blend(round_trip_, observed, 0.25) : observed;
}

Duration Granularity::target() const {
  return folded_ ? std::max(options_.fold_min, options_.batch_min) : options_.batch_min;
}

std::uint64_t Granularity::batch() const {
  if (!known()) return 1;
  const double fitting = std::min(std::round(to_seconds(target()) / seconds_), 1e15);
  return std::clamp<std::uint64_t>(static_cast<std::uint64_t>(fitting), 1, largest_seen_ * options_.growth_max);
}

std::uint64_t Granularity::window(std::uint32_t slots, bool prefetch) const {
  if (!prefetch) return slots;
  // One runs, one waits, one is on its way back; of long tasks only one waits.
  const bool long_tasks = known() && seconds_ > to_seconds(target());
  const std::uint64_t least = long_tasks ? 2 : 3 * batch();
  const double meanwhile = known() ? std::ceil(round_trip_ / seconds_) : 0;
  return slots * std::max(least, static_cast<std::uint64_t>(meanwhile));
}

}  // namespace ventile
