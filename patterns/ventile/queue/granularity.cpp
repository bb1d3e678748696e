#include <ventile/queue/granularity.hpp>

#include <algorithm>
#include <cmath>

namespace ventile {
namespace {

constexpr double shortest = 1e-9;  // Seconds; the clock sees nothing shorter.
constexpr Duration rate_interval = std::chrono::milliseconds{100};
constexpr Duration pause = std::chrono::milliseconds{500};  // Without a result.
constexpr std::int64_t part_of_busy = 20;                   // Of the time since the last pause is a batch at most.
constexpr double short_part = 4;  // So many short tasks are a batch: of longer ones some may be much longer still.

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
  decide();
}

void Granularity::observe_way(Duration taken) { learn(way_, taken); }

void Granularity::observe_round_trip(Duration taken) { learn(round_trip_, taken); }

void Granularity::observe_rate(std::uint64_t count, std::uint64_t slots, TimePoint now) {
  if (busy_since_ == never || now - seen_ > pause) busy_since_ = now;
  seen_ = now;
  if (counted_since_ == never) counted_since_ = now;
  counted_ += count;
  const double seconds = to_seconds(now - counted_since_);
  if (seconds < std::max(to_seconds(rate_interval), way_)) return;
  rate_ = static_cast<double>(counted_) / seconds / static_cast<double>(std::max<std::uint64_t>(slots, 1));
  counted_ = 0;
  counted_since_ = now;
  decide();
}

void Granularity::observe_submit(TimePoint now) {
  if (busy_since_ == never || now - seen_ <= pause) return;
  busy_since_ = seen_ = now;
  decide();
}

void Granularity::learn(double& estimate, Duration taken) {
  const double observed = std::clamp(to_seconds(taken), shortest, to_seconds(options_.round_trip_max));
  estimate = estimate > 0 ? blend(estimate, observed, 0.25) : observed;
  decide();
}

Duration Granularity::target(Pace pace) const {
  const Duration brisk = folded_ ? std::max(options_.fold_min, options_.batch_min) : options_.batch_min;
  if (pace == Pace::brisk || busy_since_ == never) return brisk;
  return std::max(brisk, std::min((seen_ - busy_since_) / part_of_busy, options_.batch_long));
}

void Granularity::decide() {
  if (!known()) return;
  const Duration brisk = target(Pace::brisk);
  brisk_ = sizes_for(brisk);
  const bool is_short = seconds_ * short_part <= to_seconds(brisk);
  steady_ = is_short ? sizes_for(target(Pace::steady)) : brisk_;
}

Granularity::Sizes Granularity::sizes_for(Duration target) const {
  const double fitting = std::min(std::round(to_seconds(target) / seconds_), 1e15);
  const std::uint64_t most = std::min(largest_seen_ * options_.growth_max, options_.tasks_max);
  const std::uint64_t batch = std::clamp<std::uint64_t>(static_cast<std::uint64_t>(fitting), 1, most);
  // One runs, one waits, one is on its way back; of long tasks only one waits.
  const bool long_tasks = seconds_ > to_seconds(target);
  const std::uint64_t least = long_tasks ? 2 : 3 * batch;
  const auto on_the_way = static_cast<std::uint64_t>(std::ceil(way_ * std::min(1 / seconds_, 2 * rate_)));
  const auto meanwhile = static_cast<std::uint64_t>(std::ceil(round_trip_ / seconds_));
  return {batch, std::max({least, on_the_way + (long_tasks ? 1 : 2 * batch), meanwhile})};
}

}  // namespace ventile
