#include <ventile/task/runner.hpp>

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include <ventile/base/turns.hpp>
#include <ventile/task/blocking.hpp>
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
  std::uint32_t slot_count() const { return slot_count_.load(); }
  std::uint64_t unbegun() const;

  // On a slot's thread, within a task.
  void on_waiting(std::uint32_t slot);
  void on_waited();
  void say_lent();

  // Of the calling thread; null if it is no slot's.
  static thread_local State* here;
  static thread_local std::uint32_t here_slot;

private:
  const RunnerOptions options_;
  const RunnerCallback callback_;
  std::vector<std::unique_ptr<Slot>> made_;  // Those from slot_count_ on are null. Never grows.
  std::atomic<std::uint32_t> slot_count_ = 0;
  std::weak_ptr<State> self_;

  std::mutex saying_;
  mutable std::mutex mutex_;
  std::condition_variable work_;       // There is something to run, or stopping_.
  std::condition_variable departure_;  // A thread has left.
  std::vector<std::thread> threads_;
  std::deque<Share> queue_;
  std::uint32_t busy_ = 0;      // Slots that work; those whose task waits do not, those that were given up always do.
  std::uint32_t lent_ = 0;      // Tasks that wait, and whose slots others use.
  std::uint32_t waiting_ = 0;   // Threads without work.
  std::vector<bool> departed_;  // By slot.
  bool stopping_ = false;

  std::span<const std::unique_ptr<Slot>> slots() const { return {made_.data(), slot_count_.load()}; }
  void add_slot();
  void add_spare_if_short();
  void serve(std::uint32_t slot);
  bool wait_for_share(Slot& slot, bool& works);
  Share next_share();
  Share steal();
  std::vector<Share> take_back(const Selection& selection, std::uint64_t count_max);
  std::vector<Share> cut_from_queue(const Selection& selection);
  void give_up(std::uint32_t slot, Slot::Overdue overdue, std::vector<RunnerEvent>& events);
  bool has_departed(std::size_t slot) const;
};

Runner::State::State(const RunnerOptions& options, RunnerCallback callback)
    : options_(options),
      callback_(std::move(callback)),
      made_(options.slots + options.spares_max),
      departed_(made_.size()) {}

thread_local Runner::State* Runner::State::here = nullptr;
thread_local std::uint32_t Runner::State::here_slot = 0;

// --- The slots' threads ------------------------------------------------------------------------------------------

void Runner::State::launch(const std::shared_ptr<State>& state) {
  state->self_ = state;
  const std::lock_guard lock{state->mutex_};
  for (std::uint32_t i = 0; i < state->options_.slots; ++i) state->add_slot();
}

void Runner::State::add_slot() {
  const std::uint32_t slot = slot_count_.load();
  RunOptions run = options_.run;
  run.slot = slot;
  made_[slot] = std::make_unique<Slot>(run, callback_);
  const BlockedSignals blocked;
  threads_.emplace_back([state = self_.lock(), slot] { state->serve(slot); });
  pthread_setname_np(threads_.back().native_handle(), ("slot-" + std::to_string(slot)).c_str());
  slot_count_.store(slot + 1);
}

void Runner::State::serve(std::uint32_t slot) {
  have_usual_turns();  // It was perhaps started by a reactor.
  here = this;
  here_slot = slot;
  bool works = false;
  while (wait_for_share(*made_[slot], works)) made_[slot]->work();
  const std::lock_guard lock{mutex_};
  departed_[slot] = true;
  departure_.notify_all();
}

bool Runner::State::wait_for_share(Slot& slot, bool& works) {
  std::unique_lock lock{mutex_};
  for (Share& left : slot.release()) queue_.push_front(std::move(left));
  while (!slot.abandoned()) {
    if (std::exchange(works, false)) --busy_;
    if (stopping_) return false;
    if (busy_ < options_.slots) {
      if (Share share = next_share(); !share.empty()) {
        slot.assign(std::move(share));
        ++busy_;
        return works = true;
      }
    }
    ++waiting_;
    work_.wait(lock);
    --waiting_;
  }
  return false;
}

// --- Tasks that wait ---------------------------------------------------------------------------------------------

void Runner::State::on_waiting(std::uint32_t slot) {
  made_[slot]->let_go();
  {
    const std::lock_guard lock{mutex_};
    if (Share rest = made_[slot]->take_unbegun(); !rest.empty()) queue_.push_front(std::move(rest));
    --busy_;
    ++lent_;
    add_spare_if_short();
  }
  work_.notify_one();
  say_lent();
}

// For a moment more slots may work than there should be.
void Runner::State::on_waited() {
  {
    const std::lock_guard lock{mutex_};
    ++busy_;
    --lent_;
  }
  say_lent();
}

// The last one said is right, whoever says it.
void Runner::State::say_lent() {
  const std::lock_guard order{saying_};
  std::uint32_t lent = 0;
  {
    const std::lock_guard lock{mutex_};
    if (stopping_) return;
    lent = lent_;
  }
  callback_(TasksWait{lent});
}

void Runner::State::add_spare_if_short() {
  if (!stopping_ && lent_ > 0 && waiting_ == 0 && busy_ < options_.slots && slot_count_.load() < made_.size())
    add_slot();
}

BlockingScope::BlockingScope() : waits_(Runner::State::here != nullptr) {
  if (waits_) Runner::State::here->on_waiting(Runner::State::here_slot);
}
BlockingScope::~BlockingScope() {
  if (waits_) Runner::State::here->on_waited();
}
bool BlockingScope::in_task() { return Runner::State::here != nullptr; }

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
    for (const auto& slot : slots()) {
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
    add_spare_if_short();
  }
  if (count >= options_.slots) return work_.notify_all();
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
  for (const auto& slot : slots()) {
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
    for (const auto& slot : slots()) {
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
  for (std::uint32_t i = 0; i < slots().size(); ++i) {
    if (auto overdue = made_[i]->abandon_if_overdue(now)) give_up(i, std::move(*overdue), events);
    made_[i]->loosen_if_late(now);
    stealable |= made_[i]->stealable() > 0;
  }
  if (!stealable) return events;
  { const std::lock_guard lock{mutex_}; }  // Whoever has just looked, and found nothing yet, waits from here on.
  work_.notify_all();
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
  const std::string message = overdue_text(overdue.ran, batch.job().timeout);
  events.push_back(
      failure_event(batch, overdue.task.begin, {"timeout", message, {}}, options_.run.limits, overdue.ran));
  const auto lost = std::count_if(slots().begin(), slots().end(), [](const auto& other) { return other->abandoned(); });
  const auto left = std::max<std::ptrdiff_t>(options_.slots - lost, 0);
  events.emplace_back(SlotAbandoned{slot, batch.job().id, batch.lease(), batch.number(overdue.task.begin),
                                    static_cast<std::uint32_t>(left)});
}

std::vector<SlotStatus> Runner::State::status() const {
  std::vector<SlotStatus> all;
  all.reserve(slots().size());
  for (const auto& slot : slots()) all.push_back(slot->status());
  return all;
}

std::uint32_t Runner::State::idle_slots() const {
  const std::lock_guard lock{mutex_};
  const auto idle = static_cast<std::size_t>(
      std::count_if(slots().begin(), slots().end(), [](const auto& slot) { return slot->idle(); }));
  const std::size_t free = std::min<std::size_t>(idle, options_.slots - std::min(busy_, options_.slots));
  return static_cast<std::uint32_t>(free - std::min(free, queue_.size()));
}

std::uint64_t Runner::State::unbegun() const {
  const std::lock_guard lock{mutex_};
  std::uint64_t count = 0;
  for (const Share& share : queue_) count += share.count();
  for (const auto& slot : slots()) count += slot->unbegun();
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
        if (!departed_[i] && !made_[i]->abandoned()) return false;
      return true;
    });
  }
  for (std::size_t i = 0; i < threads_.size(); ++i) {
    made_[i]->abandon();
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
std::uint32_t Runner::slot_count() const { return state_->slot_count(); }
std::uint64_t Runner::queued() const { return state_->unbegun(); }

}  // namespace ventile
