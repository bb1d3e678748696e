#include <ventile/task/runner.hpp>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <ventile/task/slot.hpp>

namespace ventile {
namespace {

// Threads that are started meanwhile inherit that all signals are blocked.
class BlockedSignals {
public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

private:
  sigset_t before_;
};

std::string seconds_text(Duration duration) {
  std::string text = std::to_string(to_seconds(duration));  // Six decimals.
  text.resize(text.size() - 3);
  return text + " s";
}

}  // namespace

// Locks are taken in this order: the state's, then one slot's. The callback and stop requests, which run the code of
// others, are called with neither.
class Runner::State {
public:
  State(const RunnerOptions& options, RunnerCallback callback);

  static void launch(const std::shared_ptr<State>& state);
  void shut_down();

  void start(Share share);
  std::vector<Retracted> retract(const Selection& selection, std::uint64_t count_max);
  std::vector<RunnerEvent> cancel(const Selection& selection);
  std::vector<RunnerEvent> tick(TimePoint now);

  std::vector<SlotStatus> status() const;
  std::uint32_t idle_slots() const;
  std::uint64_t unbegun() const;

private:
  const RunnerOptions options_;
  const RunnerCallback callback_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::thread> threads_;

  mutable std::mutex mutex_;
  std::condition_variable work_;       // There is something to run, or stopping_.
  std::condition_variable departure_;  // A thread has left.
  std::deque<Share> queue_;
  std::vector<bool> departed_;  // By slot.
  bool stopping_ = false;

  void serve(std::uint32_t slot);
  bool wait_for_share(Slot& slot);
  Share next_share();
  Share steal();
  std::vector<Share> take_back(const Selection& selection, std::uint64_t count_max);
  std::vector<Share> cut_from_queue(const Selection& selection);
  void give_up(std::uint32_t slot, Slot::Overdue overdue, std::vector<RunnerEvent>& events);
  bool has_departed(std::size_t slot) const;
};

Runner::State::State(const RunnerOptions& options, RunnerCallback callback)
    : options_(options), callback_(std::move(callback)), departed_(options.slots) {
  for (std::uint32_t i = 0; i < options.slots; ++i) {
    RunOptions run = options.run;
    run.slot = i;
    slots_.push_back(std::make_unique<Slot>(run, callback_));
  }
}

// --- The slots' threads ------------------------------------------------------------------------------------------

void Runner::State::launch(const std::shared_ptr<State>& state) {
  const BlockedSignals blocked;
  for (std::uint32_t i = 0; i < state->slots_.size(); ++i) {
    state->threads_.emplace_back([state, i] { state->serve(i); });
    pthread_setname_np(state->threads_.back().native_handle(), ("slot-" + std::to_string(i)).c_str());
  }
}

void Runner::State::serve(std::uint32_t slot) {
  while (wait_for_share(*slots_[slot])) slots_[slot]->work();
  const std::lock_guard lock{mutex_};
  departed_[slot] = true;
  departure_.notify_all();
}

bool Runner::State::wait_for_share(Slot& slot) {
  std::unique_lock lock{mutex_};
  for (Share& left : slot.release()) queue_.push_front(std::move(left));
  while (!stopping_ && !slot.abandoned()) {
    if (Share share = next_share(); !share.empty()) {
      slot.assign(std::move(share));
      return true;
    }
    work_.wait(lock);
  }
  return false;
}

Share Runner::State::next_share() {
  if (queue_.empty()) return steal();
  Share share = std::move(queue_.front());
  queue_.pop_front();
  return share;
}

// From the slot with most left. It may have less by the time of stealing: then look again.
Share Runner::State::steal() {
  for (;;) {
    Slot* richest = nullptr;
    std::uint32_t most = 0;
    for (const auto& slot : slots_) {
      if (const std::uint32_t count = slot->stealable(); count > most) {
        richest = slot.get();
        most = count;
      }
    }
    if (richest == nullptr) return {};
    if (Share share = richest->steal(); !share.empty()) return share;
  }
}

// --- Any thread --------------------------------------------------------------------------------------------------

void Runner::State::start(Share share) {
  const std::uint32_t count = share.count();
  {
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(share));
  }
  if (count >= slots_.size()) return work_.notify_all();
  for (std::uint32_t i = 0; i < count; ++i) work_.notify_one();
}

std::vector<Retracted> Runner::State::retract(const Selection& selection, std::uint64_t count_max) {
  std::vector<Retracted> retracted;
  for (const Share& share : take_back(selection, count_max))
    retracted.push_back({share.batch->job().id, share.batch->lease(), share.range()});
  return retracted;
}

std::vector<Share> Runner::State::take_back(const Selection& selection, std::uint64_t count_max) {
  struct Candidate {
    Number end;
    Share* queued;  // Null: what the slot has.
    Slot* slot;
  };
  const std::lock_guard lock{mutex_};
  std::vector<Candidate> candidates;
  for (Share& share : queue_)
    if (selection.matches(*share.batch)) candidates.push_back({share.range().end(), &share, nullptr});
  for (const auto& slot : slots_) {
    slot->loosen(selection);
    if (const Share share = slot->selected(selection); !share.empty())
      candidates.push_back({share.range().end(), nullptr, slot.get()});
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) { return a.end > b.end; });

  std::vector<Share> taken;
  for (const Candidate& from : candidates) {
    const auto most = static_cast<std::uint32_t>(std::min<std::uint64_t>(count_max, UINT32_MAX));
    Share share = from.queued != nullptr ? from.queued->take_back(most) : from.slot->retract(selection, most);
    count_max -= share.count();
    if (!share.empty()) taken.push_back(std::move(share));
  }
  std::erase_if(queue_, [](const Share& share) { return share.empty(); });
  return taken;
}

std::vector<RunnerEvent> Runner::State::cancel(const Selection& selection) {
  std::vector<Share> dropped;
  std::vector<std::stop_source> stops;
  {
    const std::lock_guard lock{mutex_};
    dropped = cut_from_queue(selection);
    for (const auto& slot : slots_) {
      Slot::Cancelled cancelled = slot->cancel(selection);
      if (!cancelled.dropped.empty()) dropped.push_back(std::move(cancelled.dropped));
      if (!cancelled.moved.empty()) queue_.push_front(std::move(cancelled.moved));
      if (cancelled.stop) stops.push_back(std::move(*cancelled.stop));
    }
  }
  work_.notify_all();
  for (std::stop_source& stop : stops) stop.request_stop();
  std::vector<RunnerEvent> events;
  for (const Share& share : dropped)
    events.emplace_back(Returned{share.batch->job().id, share.batch->lease(), share.range()});
  return events;
}

std::vector<Share> Runner::State::cut_from_queue(const Selection& selection) {
  std::vector<Share> dropped;
  std::deque<Share> kept;
  for (const Share& share : queue_) {
    if (!selection.matches(*share.batch)) {
      kept.push_back(share);
      continue;
    }
    const Share part = selection.part_of(share);
    for (const Share& rest : {Share{share.batch, share.begin, part.begin}, Share{share.batch, part.end, share.end}})
      if (!rest.empty()) kept.push_back(rest);
    if (!part.empty()) dropped.push_back(part);
  }
  queue_ = std::move(kept);
  return dropped;
}

// Slots that found nothing to steal are woken when there is something after all: tasks that were short turned long.
std::vector<RunnerEvent> Runner::State::tick(TimePoint now) {
  std::vector<RunnerEvent> events;
  bool stealable = false;
  for (std::uint32_t i = 0; i < slots_.size(); ++i) {
    if (auto overdue = slots_[i]->abandon_if_overdue(now)) give_up(i, std::move(*overdue), events);
    slots_[i]->loosen_if_late(now);
    stealable |= slots_[i]->stealable() > 0;
  }
  if (stealable) work_.notify_all();
  return events;
}

void Runner::State::give_up(std::uint32_t slot, Slot::Overdue overdue, std::vector<RunnerEvent>& events) {
  {
    const std::lock_guard lock{mutex_};
    for (Share& rest : overdue.rest) queue_.push_front(std::move(rest));
  }
  work_.notify_all();
  overdue.stop.request_stop();
  const Batch& batch = *overdue.task.batch;
  const std::string message = "the task ran for " + seconds_text(overdue.ran) + ", longer than its time-out of " +
                              seconds_text(batch.job().timeout);
  events.push_back(
      failure_event(batch, overdue.task.begin, {"timeout", message, {}}, options_.run.limits, overdue.ran));
  const auto left = std::count_if(slots_.begin(), slots_.end(), [](const auto& other) { return !other->abandoned(); });
  events.emplace_back(SlotAbandoned{slot, batch.job().id, batch.lease(), batch.number(overdue.task.begin),
                                    static_cast<std::uint32_t>(left)});
}

std::vector<SlotStatus> Runner::State::status() const {
  std::vector<SlotStatus> all;
  all.reserve(slots_.size());
  for (const auto& slot : slots_) all.push_back(slot->status());
  return all;
}

std::uint32_t Runner::State::idle_slots() const {
  const std::lock_guard lock{mutex_};
  const auto idle = static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->idle(); }));
  return static_cast<std::uint32_t>(idle - std::min(idle, queue_.size()));
}

std::uint64_t Runner::State::unbegun() const {
  const std::lock_guard lock{mutex_};
  std::uint64_t count = 0;
  for (const Share& share : queue_) count += share.count();
  for (const auto& slot : slots_) count += slot->unbegun();
  return count;
}

void Runner::State::shut_down() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  static_cast<void>(cancel({}));
  {
    std::unique_lock lock{mutex_};
    departure_.wait_for(lock, options_.stop_grace, [this] {
      for (std::size_t i = 0; i < threads_.size(); ++i)
        if (!departed_[i] && !slots_[i]->abandoned()) return false;
      return true;
    });
  }
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    slots_[i]->abandon();
    if (has_departed(i)) {
      threads_[i].join();
    } else {
      threads_[i].detach();
    }
  }
}

bool Runner::State::has_departed(std::size_t slot) const {
  const std::lock_guard lock{mutex_};
  return departed_[slot];
}

Runner::Runner(const RunnerOptions& options, RunnerCallback callback)
    : state_(std::make_shared<State>(options, std::move(callback))) {
  try {
    State::launch(state_);
  } catch (...) {
    state_->shut_down();
    throw;
  }
}

Runner::~Runner() { state_->shut_down(); }

void Runner::start(std::shared_ptr<const Batch> batch) {
  const std::uint32_t count = batch->count();
  state_->start({std::move(batch), 0, count});
}

std::vector<Range> Runner::retract(LeaseId lease, std::uint64_t count_max) {
  std::vector<Range> ranges;
  for (const Retracted& retracted : state_->retract({.lease = lease}, count_max)) ranges.push_back(retracted.range);
  return ranges;
}

std::vector<Retracted> Runner::retract_all() { return state_->retract({}, UINT64_MAX); }

std::vector<RunnerEvent> Runner::cancel(LeaseId lease, Range range) {
  return state_->cancel({.lease = lease, .range = range});
}
std::vector<RunnerEvent> Runner::cancel(JobId job) { return state_->cancel({.job = job}); }
std::vector<RunnerEvent> Runner::tick(TimePoint now) { return state_->tick(now); }
std::vector<SlotStatus> Runner::status() const { return state_->status(); }
std::uint32_t Runner::idle_slots() const { return state_->idle_slots(); }
std::uint64_t Runner::queued() const { return state_->unbegun(); }

}  // namespace ventile
