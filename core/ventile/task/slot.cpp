#include <ventile/task/slot.hpp>

#include <algorithm>
#include <utility>

namespace ventile {
namespace {

// A claim is a few microseconds' worth of tasks: one of them that has run for so long holds the others up.
constexpr Duration late = std::chrono::milliseconds{1};

}  // namespace

Share Selection::part_of(const Share& share) const {
  const Range part = intersection(share.range(), range);
  if (part.empty()) return {share.batch, share.end, share.end};
  const auto begin = static_cast<std::uint32_t>(part.first - share.batch->range().first);
  return {share.batch, begin, begin + static_cast<std::uint32_t>(part.count)};
}

Slot::Slot(const RunOptions& options, const RunnerCallback& callback) : callback_(callback), run_(*this, options) {}

// --- The slot's thread -------------------------------------------------------------------------------------------

void Slot::assign(Share share) {
  const std::lock_guard lock{mutex_};
  share_ = std::move(share);
  claim_ = {share_.begin, share_.begin};
  claim_count_ = 1;
  reported_ = share_.begin;
  cancelled_.reset();
  if (std::exchange(stopped_, false)) stop_ = std::stop_source{};
}

void Slot::work() {
  std::unique_lock lock{mutex_};
  const std::shared_ptr<const Batch> batch = share_.batch;
  const std::uint32_t begin = reported_;
  const std::stop_token stop = stop_.get_token();
  lock.unlock();
  run_.pass(*batch, begin, stop);
}

Share Slot::take_unbegun() {
  const std::lock_guard lock{mutex_};
  const std::uint32_t running = run_.offset();
  if (abandoned_ || cancelled_ || share_.batch == nullptr || running == TaskRun::no_task) return {};
  Share rest{share_.batch, running + 1, share_.end};
  claim_.end = share_.begin = share_.end = running + 1;
  claim_count_ = 1;
  return rest;
}

std::vector<Share> Slot::release() {
  const std::lock_guard lock{mutex_};
  std::vector<Share> left = std::exchange(unclaimed_, {});
  if (!share_.empty()) left.push_back(std::move(share_));
  share_ = {};
  return left;
}

Slot::Claim Slot::claim(std::uint32_t next, std::uint32_t count, TimePoint now) {
  const std::lock_guard lock{mutex_};
  if (abandoned_ || cancelled_) return {next, next};
  ++claims_;
  claim_count_ = count;
  claimed_at_ = now;
  // Its claim was cut behind `next` just when it was about to begin that: it may.
  if (next < claim_.end) return claim_ = {next, claim_.end};
  claim_ = {share_.begin, share_.begin + std::min(count, share_.count())};
  share_.begin = claim_.end;
  return claim_;
}

void Slot::report(std::uint32_t count, RunnerEvent event) {
  std::unique_lock lock{mutex_};
  if (abandoned_) return;
  reported_ += count;
  emit(lock, std::move(event));
}

void Slot::unclaim(std::uint32_t begin) {
  std::unique_lock lock{mutex_};
  const Share left{share_.batch, begin, claim_.end};
  if (abandoned_ || left.empty()) return;
  claim_.end = begin;
  const Share dropped = Selection{.range = *cancelled_}.part_of(left);
  for (const Share& kept : {Share{left.batch, left.begin, dropped.begin}, Share{left.batch, dropped.end, left.end}})
    if (!kept.empty()) unclaimed_.push_back(kept);
  if (!dropped.empty()) emit(lock, Returned{left.batch->job().id, left.batch->lease(), dropped.range()});
}

void Slot::emit(std::unique_lock<std::mutex>& lock, RunnerEvent event) {
  reporting_ = true;
  lock.unlock();
  callback_(std::move(event));
  lock.lock();
  reporting_ = false;
  reported_something_.notify_all();
}

// --- Any thread --------------------------------------------------------------------------------------------------

bool Slot::idle() const {
  const std::lock_guard lock{mutex_};
  return share_.batch == nullptr && !abandoned_;
}

bool Slot::abandoned() const {
  const std::lock_guard lock{mutex_};
  return abandoned_;
}

std::uint32_t Slot::unbegun() const {
  const std::lock_guard lock{mutex_};
  return share_.count();
}

SlotStatus Slot::status() const {
  const std::lock_guard lock{mutex_};
  SlotStatus status;
  if (abandoned_) status.state = SlotStatus::State::abandoned;
  if (share_.batch == nullptr) return status;
  if (!abandoned_) status.state = SlotStatus::State::running;
  const std::uint32_t running = run_.offset();
  status.job = share_.batch->job().id;
  status.lease = share_.batch->lease();
  status.number = share_.batch->number(running == TaskRun::no_task ? reported_ : running);
  status.since = seen_.claim == claims_ && seen_.offset == running ? seen_.since : claimed_at_;
  status.milestone = run_.milestone_of(status.job, status.number);
  return status;
}

void Slot::loosen(const Selection& selection) {
  const std::lock_guard lock{mutex_};
  if (share_.batch != nullptr && selection.matches(*share_.batch)) loosen_claim();
}

void Slot::loosen_if_late(TimePoint now) {
  const std::lock_guard lock{mutex_};
  const std::uint32_t running = run_.offset();
  if (share_.batch == nullptr || running == TaskRun::no_task || abandoned_ || cancelled_) return;
  look(running, now);
  if (now - seen_.since < late) return;
  if (running + 1 < claim_.end) return loosen_claim();
  claim_count_ = 1;  // Its last: what is left of the share is no next claim that is as good as begun.
}

// Behind the claim comes the share, so that the rest of the one becomes the front of the other.
void Slot::loosen_claim() {
  if (abandoned_ || cancelled_) return;
  const std::optional<std::uint32_t> end = run_.cut_claim();
  if (!end || *end >= claim_.end) return;
  claim_.end = share_.begin = *end;
  claim_count_ = 1;
}

void Slot::look(std::uint32_t running, TimePoint now) {
  if (seen_.claim != claims_ || seen_.offset != running)
    seen_ = {claims_, running, running == claim_.begin ? claimed_at_ : now};
}

std::uint32_t Slot::stealable() const {
  const std::lock_guard lock{mutex_};
  return stealable_count();
}

// The last task is left to an owner that has not begun any.
std::uint32_t Slot::stealable_count() const {
  if (abandoned_ || share_.count() < claim_count_) return 0;
  const std::uint32_t running = claim_.begin == claim_.end ? 0 : 1;
  return (share_.count() + running) / 2;
}

Share Slot::steal() {
  const std::lock_guard lock{mutex_};
  return share_.take_back(stealable_count());
}

Share Slot::selected(const Selection& selection) const {
  const std::lock_guard lock{mutex_};
  return share_.batch != nullptr && selection.matches(*share_.batch) ? share_ : Share{};
}

Share Slot::retract(const Selection& selection, std::uint32_t count_max) {
  const std::lock_guard lock{mutex_};
  if (share_.batch == nullptr || !selection.matches(*share_.batch)) return {};
  return share_.take_back(count_max);
}

Share Slot::unfinished() const {
  const std::uint32_t running = run_.offset();
  return {share_.batch, running == TaskRun::no_task ? claim_.begin : running, claim_.end};
}

Slot::Cancelled Slot::cancel(const Selection& selection) {
  const std::lock_guard lock{mutex_};
  Cancelled cancelled;
  if (abandoned_ || share_.batch == nullptr || !selection.matches(*share_.batch)) return cancelled;
  cancelled.dropped = selection.part_of(share_);
  cancelled.moved = {share_.batch, cancelled.dropped.end, share_.end};
  share_.end = cancelled.dropped.begin;
  const Share begun = unfinished();
  const Share part = selection.part_of(begun);
  if (part.empty()) return cancelled;
  cancelled_ = selection.range;
  run_.interrupt();
  if (part.begin == begun.begin) {
    stopped_ = true;
    cancelled.stop = stop_;
  }
  return cancelled;
}

std::optional<Slot::Overdue> Slot::abandon_if_overdue(TimePoint now) {
  const std::lock_guard lock{mutex_};
  const std::uint32_t running = run_.offset();
  if (abandoned_ || share_.batch == nullptr || running == TaskRun::no_task) return {};
  look(running, now);
  const TaskJob& job = share_.batch->job();
  const bool limited = job.timeout != Duration::zero() && !job.function->traits().enforces_timeout;
  const bool already_reported = reported_ > running;
  if (!limited || already_reported || now - seen_.since < job.timeout) return {};

  abandoned_ = true;
  run_.interrupt();
  Overdue overdue{{share_.batch, running, running + 1}, now - seen_.since, {}, stop_};
  for (const Share& rest : {Share{share_.batch, reported_, running}, Share{share_.batch, running + 1, share_.end}})
    if (!rest.empty()) overdue.rest.push_back(rest);
  share_.begin = share_.end;
  return overdue;
}

void Slot::abandon() {
  std::unique_lock lock{mutex_};
  abandoned_ = true;
  share_.begin = share_.end;
  reported_something_.wait(lock, [this] { return !reporting_; });
}

}  // namespace ventile
