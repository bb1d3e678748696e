#include "tests/simulation/runner.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration claim_target = 1ms;

}  // namespace

Runner::Runner(Process& process, const Scenario& scenario, Fates& fates, OnEvents on_events, std::function<void()> die)
    : process_(process),
      scenario_(scenario),
      fates_(fates),
      on_events_(std::move(on_events)),
      die_(std::move(die)),
      slots_(scenario.slots) {}

void Runner::start(JobId job, LeaseId lease, Range range, std::uint32_t tries, bool folded) {
  batches_.push_back({job, lease, IntervalSet{range}, tries, folded});
  fill();
}

void Runner::fill() {
  std::erase_if(batches_, [](const Batch& batch) { return batch.waiting.empty(); });
  for (Slot& slot : slots_) {
    if (slot.claim != nullptr || slot.abandoned) continue;
    const auto batch =
        std::find_if(batches_.begin(), batches_.end(), [](const Batch& one) { return !one.waiting.empty(); });
    if (batch == batches_.end()) return;
    claim(slot, *batch);
  }
}

Duration Runner::duration() const {
  Random& random = process_.world().random();
  const double factor = std::exp(scenario_.spread * (random.unit() + random.unit() + random.unit() - 1.5));
  return std::max(from_seconds(to_seconds(scenario_.typical) * factor), Duration{1});
}

void Runner::claim(Slot& slot, Batch& batch) {
  auto claim = std::make_shared<Claim>(
      Claim{{batch.job, batch.lease, {}, batch.tries, batch.folded}, {}, process_.now(), {}, {}});
  const Range front = batch.waiting.front();
  claim->range = {front.first, 0};
  bool dies = false;
  bool hangs = false;
  while (claim->range.count < front.count && claim->busy < claim_target && !dies && !hangs) {
    const Nature nature = scenario_.nature(claim->range.end());
    dies = nature == Nature::poisonous;
    hangs = nature == Nature::hangs;
    if (hangs && claim->range.count > 0) {
      hangs = false;
      break;
    }
    claim->busy += duration();
    ++claim->range.count;
  }
  batch.waiting.erase(claim->range);
  for (Number number = claim->range.first; number < claim->range.end() && scenario_.fails_lost; ++number)
    require(fates_.begun.insert({claim->batch.job, number}).second, "a task has begun twice");
  slot.claim = claim;
  if (dies) return process_.after(claim->busy, die_);
  if (hangs) return process_.after(scenario_.timeout, [this, &slot, claim] { abandon(slot, claim); });
  process_.after(claim->busy, [this, &slot, claim] { finish(slot, claim); });
}

void Runner::finish(Slot& slot, const std::shared_ptr<Claim>& claim) {
  if (slot.claim != claim) return;  // It was cancelled and has ended already.
  if (process_.now() < stuck_until_)
    return process_.after(stuck_until_ - process_.now(), [this, &slot, claim] { finish(slot, claim); });
  const Batch& batch = claim->batch;
  std::vector<RunnerEvent> events;
  Results open{.lease = batch.lease, .folded = batch.folded, .tries = batch.tries + 1};
  const Duration each = claim->busy / static_cast<std::int64_t>(claim->range.count);
  const auto flush = [&](Number next) {
    open.busy_nanoseconds = static_cast<std::uint64_t>(each.count()) * open.range.count;
    if (!open.range.empty()) events.push_back(Finished{batch.job, open});
    open.range = {next, 0};
    open.failures.clear();
    open.folded = batch.folded;
  };
  flush(claim->range.first);
  for (Number number = claim->range.first; number < claim->range.end(); ++number) {
    const Nature nature = scenario_.nature(number);
    const bool stopped = claim->cancelled.contains(number);
    const bool fails = stopped || nature == Nature::fails ||
                       (nature == Nature::fails_once && fates_.failed_once.insert(number).second);
    if (nature == Nature::fails && !stopped) ++fates_.failures[number];
    if (fails && !stopped && batch.tries + 1 < scenario_.tries_max) {
      flush(number + 1);
      fates_.begun.erase({batch.job, number});
      events.push_back(Retry{batch.job, batch.lease, number});
      continue;
    }
    if (fails && batch.folded) {  // A fold has no failures: it travels by itself.
      flush(number);
      open.folded = false;
    }
    if (fails) open.failures.push_back({static_cast<std::uint32_t>(number - open.range.first), Outcome::failed});
    ++open.range.count;
    if (fails && batch.folded) flush(number + 1);
  }
  flush(0);
  slot.claim.reset();
  fill();
  on_events_(std::move(events));
}

void Runner::abandon(Slot& slot, const std::shared_ptr<Claim>& claim) {
  if (slot.claim != claim) return;
  if (process_.now() < stuck_until_)
    return process_.after(stuck_until_ - process_.now(), [this, &slot, claim] { abandon(slot, claim); });
  slot.claim.reset();
  slot.abandoned = true;
  const auto left = std::count_if(slots_.begin(), slots_.end(), [](const Slot& one) { return !one.abandoned; });
  Results results{.lease = claim->batch.lease,
                  .range = claim->range,
                  .tries = claim->batch.tries + 1,
                  .failures = {{0, Outcome::failed}}};
  on_events_({Finished{claim->batch.job, results}, SlotAbandoned{static_cast<std::uint32_t>(left)}});
}

std::vector<Range> Runner::retract(LeaseId lease, std::uint64_t count) {
  IntervalSet taken;
  for (Batch& batch : batches_) {
    if (batch.lease != lease) continue;
    for (auto ranges = batch.waiting.ranges(); !ranges.empty() && taken.count() < count; ranges.pop_back()) {
      const Range last = ranges.back();
      const std::uint64_t some = std::min(last.count, count - taken.count());
      const Range part{last.end() - some, some};
      batch.waiting.erase(part);
      taken.insert(part);
    }
  }
  return taken.ranges();
}

std::vector<Retracted> Runner::retract_all() {
  std::vector<Retracted> all;
  for (const Batch& batch : std::exchange(batches_, {}))
    for (const Range range : batch.waiting.ranges()) all.push_back({batch.job, batch.lease, range});
  return all;
}

template <class Matches>
void Runner::cancel_if(Matches matches, Range range) {
  std::vector<RunnerEvent> events;
  for (Batch& batch : batches_) {
    if (!matches(batch)) continue;
    for (const Range part : batch.waiting.present(range)) events.push_back(Returned{batch.job, batch.lease, part});
    batch.waiting.erase(range);
  }
  for (Slot& slot : slots_) {
    // Half of the tasks look at their stop token.
    if (slot.claim == nullptr || !matches(slot.claim->batch) || intersection(slot.claim->range, range).empty())
      continue;
    if (!slot.claim->cancelled.empty() || process_.world().random().chance(0.5)) continue;
    slot.claim->cancelled.insert(intersection(slot.claim->range, range));
    process_.after(10us, [this, &slot, claim = slot.claim] { finish(slot, claim); });
  }
  if (!events.empty()) on_events_(std::move(events));
}

void Runner::cancel(LeaseId lease, Range range) {
  cancel_if([lease](const Batch& batch) { return batch.lease == lease; }, range);
}
void Runner::cancel(JobId job) {
  cancel_if([job](const Batch& batch) { return batch.job == job; }, {0, UINT64_MAX});
}

std::vector<RunningTask> Runner::running() const {
  std::vector<RunningTask> all;
  for (const Slot& slot : slots_)
    if (slot.claim != nullptr)
      all.push_back({slot.claim->batch.job, slot.claim->batch.lease, slot.claim->range.first,
                     process_.now() - slot.claim->since});
  return all;
}

}  // namespace ventile::simulation
