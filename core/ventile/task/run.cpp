#include <ventile/task/run.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <memory>
#include <string>

#include <ventile/task/barrier.hpp>

namespace ventile {
namespace {

// The most that one claim takes, however short its tasks are.
constexpr std::uint64_t claim_count_max = 1 << 16;

constexpr std::int64_t part_of_busy = 20;    // Of the time since the last pause results wait at most,
constexpr std::int64_t longest_of_hold = 5;  // and not longer than so many times RunOptions::hold; and no longer than
constexpr std::int64_t short_part = 4;       // hold if fewer tasks take as long: the next may be much longer still.

std::string readable_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name{abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                         std::free};
  return name ? name.get() : type.name();
}

std::uint64_t nanoseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::max(duration, Duration{0}).count());
}

Finished finished_of(const Batch& batch, std::uint32_t first, std::uint32_t count, Duration busy) {
  Finished finished;
  finished.job = batch.job().id;
  finished.lease = batch.lease();
  finished.range = {batch.number(first), count};
  finished.tries = batch.tries() + 1;
  finished.busy_nanoseconds = nanoseconds(busy);
  return finished;
}

std::string seconds_text(Duration duration) {
  std::string text = std::to_string(to_seconds(duration));  // Six decimals.
  text.resize(text.size() - 3);
  return text + " s";
}

bool has_tries_left(const Batch& batch) { return batch.tries() + 1 < batch.job().tries_max; }

}  // namespace

std::string overdue_text(Duration ran, Duration timeout) {
  return "the task ran for " + seconds_text(ran) + ", longer than its time-out of " + seconds_text(timeout);
}

RunnerEvent failure_event(const Batch& batch, std::uint32_t offset, const FailureText& error,
                          const ResultLimits& limits, Duration busy, Outcome outcome) {
  const FailureText shorter = shortened(error, limits.result_bytes_max);
  if (outcome == Outcome::failed && has_tries_left(batch))
    return Retry{batch.job().id,
                 batch.lease(),
                 batch.number(offset),
                 batch.tries() + 1,
                 std::string{shorter.kind},
                 std::string{shorter.message}};
  PayloadWriter writer{limits.headroom};
  Packer packer{writer.buffer()};
  pack_error(packer, shorter);
  writer.end_payload();
  Finished finished = finished_of(batch, offset, 1, busy);
  finished.failures.push_back({0, outcome});
  finished.payload_count = 1;
  finished.payloads = writer.take();
  return finished;
}

TaskRun::TaskRun(RunOwner& owner, const RunOptions& options)
    : results_(options.limits), owner_(owner), options_(options) {}

void TaskRun::pass(const Batch& batch, std::uint32_t begin, const std::stop_token& stop) {
  since_ = Clock::now();
  if (job_ != &batch.job() || since_ - ended_ > options_.hold) busy_since_ = since_;
  if (job_ != &batch.job()) claim_count_ = 1;
  batch_ = &batch;
  job_ = &batch.job();
  stop_ = stop;
  results_.begin(*job_);
  interrupted_.store(false, std::memory_order_relaxed);
  first_ = next_ = begin;
  claim_ = {begin, begin};
  for (bool ended = false; !ended;) {
    try {
      job_->function->run(*this);
      ended = true;
    } catch (const TaskFailure& failure) {
      fail({failure.kind(), failure.what(), failure.detail()});
    } catch (const std::exception& exception) {
      fail({readable_name(typeid(exception)), exception.what(), {}});
    } catch (...) {
      fail({"unknown", "the task threw something that is not a std::exception", {}});
    }
  }
}

// The thread says which task it goes on with, and then looks where its claim ends; here it is the other way round. So
// either it sees that the claim has ended, or its task is seen here.
std::optional<std::uint32_t> TaskRun::cut_claim() {
  if (offset_.load(std::memory_order_acquire) == no_task || !can_raise_barriers()) return {};
  end_.store(0, std::memory_order_relaxed);
  raise_barrier_everywhere();
  const std::uint32_t running = offset();
  return running == no_task ? std::nullopt : std::optional{running + 1};
}

void TaskRun::let_go() {
  end_.store(0, std::memory_order_relaxed);
  cut(Clock::now());
}

// `next` is the first task that has not begun.
bool TaskRun::claim_more(std::uint32_t next) noexcept {
  const TimePoint now = Clock::now();
  if (offset() != no_task) end_claim(next, now);
  const bool interrupted = interrupted_.load(std::memory_order_relaxed);
  if (!interrupted) {
    if (results_have_waited(now)) cut(now);
    claim_ = owner_.claim(next_, claim_count_, now);
    if (claim_.begin != claim_.end) {
      claimed_at_ = now;
      deadline_of_ = no_task;
      end_.store(claim_.end, std::memory_order_relaxed);
      offset_.store(claim_.begin, std::memory_order_release);  // Whoever sees it sees the end, too.
      return true;
    }
  }
  cut(now);
  ended_ = now;
  owner_.unclaim(next_);
  return false;
}

// Learns from the claim that has ended how many tasks the next one should be.
void TaskRun::end_claim(std::uint32_t next, TimePoint now) {
  next_ = next;
  offset_.store(no_task, std::memory_order_relaxed);
  end_.store(0, std::memory_order_relaxed);
  const std::uint64_t done = next_ - claim_.begin;
  const std::uint64_t took = std::max<std::uint64_t>(nanoseconds(now - claimed_at_), 1);
  const TaskTraits& traits = job_->function->traits();
  const Duration claim = traits.claim == Duration::zero() ? options_.claim : traits.claim;
  const std::uint64_t wanted = done * nanoseconds(claim) / took;
  const std::uint64_t most = traits.repeatable ? std::min(done * 4, claim_count_max) : 1;
  claim_count_ = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(wanted, 1, most));
}

Duration TaskRun::hold(TimePoint now) const {
  if ((now - since_) * short_part > options_.hold * std::int64_t{results_.count()}) return options_.hold;
  return std::clamp((now - busy_since_) / part_of_busy, options_.hold, longest_of_hold * options_.hold);
}

// Results of a function that must not run twice are never risked.
bool TaskRun::results_have_waited(TimePoint now) const {
  return !results_.empty() &&
         ((claim_count_ == 1 && now - since_ >= hold(now)) || !job_->function->traits().repeatable);
}

void TaskRun::end_badly(const FailureText& error, Outcome outcome) noexcept {
  results_.discard_open();
  const bool is_last_try = outcome != Outcome::failed || !has_tries_left(*batch_);
  const bool joins_results = !results_.folding() && is_last_try;
  if (joins_results && results_.add_error(error, outcome) == ResultWriter::Added::yes) return;
  results_.discard_open();
  const TimePoint now = Clock::now();
  cut(now);
  owner_.report(1, failure_event(*batch_, offset(), error, options_.limits, now - since_, outcome));
  first_ = offset() + 1;
  since_ = now;
}

void TaskRun::finish_otherwise(ResultWriter::Added added) noexcept {
  if (added == ResultWriter::Added::unfoldable) {
    const std::string fold = "the fold '" + job_->fold->name() + "' cannot take this result: ";
    fail({"fold", fold + results_.fold_error(), {}});
  } else {
    finish_without_room();
  }
}

// The result does not fit behind those before it: they leave first. If it is too large even so, it leaves alone.
void TaskRun::finish_without_room() {
  const std::size_t bytes = results_.open_bytes();
  if (bytes > options_.limits.result_bytes_max) {
    const std::string message = "the result has " + std::to_string(bytes) + " bytes, more than the " +
                                std::to_string(options_.limits.result_bytes_max) + " that one result may have";
    return fail({"result", message, {}});
  }
  if (!results_.empty()) {
    const std::vector<std::byte> result = results_.take_open();
    cut(Clock::now());
    if (results_.add_packed(result) == ResultWriter::Added::yes) return;
  }
  results_.end_open();
  cut(Clock::now());
}

void TaskRun::cut(TimePoint now) {
  if (results_.empty()) return;
  assert(first_ + results_.count() <= batch_->count());
  const std::uint32_t count = results_.count();
  Finished finished = finished_of(*batch_, first_, count, now - since_);
  results_.take(finished);
  owner_.report(count, std::move(finished));
  first_ += count;
  since_ = now;
}

Bytes TaskRun::packed_index() {
  packed_index_.clear();
  Packer{packed_index_}.pack_signed(index());
  return packed_index_;
}

void TaskRun::say(double fraction, std::string_view text) {
  const double within = fraction > 0 ? std::min(fraction, 1.0) : 0;  // Not a number: 0.
  Milestone said{job_->id, number(), static_cast<std::uint32_t>(within * Milestone::permille_max),
                 std::string{text.substr(0, Milestone::text_bytes_max)}};
  std::replace_if(said.text.begin(), said.text.end(), is_control, ' ');
  const std::lock_guard lock(milestone_mutex_);
  milestone_ = std::move(said);
}

std::optional<Milestone> TaskRun::milestone_of(JobId job, Number number) const {
  const std::lock_guard lock(milestone_mutex_);
  if (!milestone_ || milestone_->job != job || milestone_->task != number) return std::nullopt;
  return milestone_;
}

TimePoint TaskRun::deadline() {
  if (job_->timeout == Duration::zero()) return never;
  if (deadline_of_ != offset()) {
    deadline_of_ = offset();
    deadline_ = (offset() == claim_.begin ? claimed_at_ : Clock::now()) + job_->timeout;
  }
  return deadline_;
}

}  // namespace ventile
