// One slot's pass over a share of a batch: the loop that everything else exists for.
//
// Per task it costs two compares, an increment and one relaxed store (the number, for the watcher): no lock, no system
// call, no fence, no look at the clock. Those happen once per claim, of as many tasks as take about five microseconds.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <ventile/base/buffer.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/task/batch.hpp>
#include <ventile/task/event.hpp>
#include <ventile/task/function.hpp>
#include <ventile/task/result_writer.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct RunOptions {
  std::uint32_t slot = 0;
  ResultLimits limits;
  Duration claim = std::chrono::microseconds{5};  // What one claim should last.
  // Finished results wait no longer for tasks that exceed a claim; where short ones have run for long without a pause,
  // a twentieth of that, up to five times as long: as their batches are larger then, results leave with the last of
  // one.
  Duration hold = std::chrono::milliseconds{10};
};

// What is said of a task that ran for too long.
std::string overdue_text(Duration ran, Duration timeout);

// The event for one failed task by itself: Retry if it has tries left, else Finished. A dead one is not tried again.
RunnerEvent failure_event(const Batch& batch, std::uint32_t offset, const FailureText& error,
                          const ResultLimits& limits, Duration busy, Outcome outcome = Outcome::failed);

// Whose tasks these are. Called by the run's thread.
class RunOwner {
public:
  struct Claim {
    std::uint32_t begin = 0;
    std::uint32_t end = 0;
  };
  // Gives out at most `count` more tasks, from `next` on, the first one that has not begun; none (begin == end) ends
  // the pass.
  virtual Claim claim(std::uint32_t next, std::uint32_t count, TimePoint now) = 0;

  // `event` reports the next `count` tasks, in order: Finished or Retry.
  virtual void report(std::uint32_t count, RunnerEvent event) = 0;

  // At the end of a pass: claimed tasks from `begin` on, if there are any, shall not begin in it. Only after an
  // interrupt() are there any.
  virtual void unclaim(std::uint32_t begin) = 0;

protected:
  ~RunOwner() = default;
};

// A slot has one for its life. Everything but offset() and interrupt() is for the slot's thread only.
class TaskRun {
public:
  static constexpr std::uint32_t no_task = UINT32_MAX;

  TaskRun(RunOwner& owner, const RunOptions& options);

  // Runs what the owner's claims give out of `batch`, from offset `begin` on, and reports all of it. The one place
  // where what a task throws is caught.
  void pass(const Batch& batch, std::uint32_t begin, const std::stop_token& stop);

  // The task that runs now, or no_task. From any thread.
  std::uint32_t offset() const { return offset_.load(std::memory_order_relaxed); }
  // What is claimed and has not begun shall not: it is unclaimed, and the pass ends. From any thread.
  void interrupt() {
    interrupted_.store(true, std::memory_order_relaxed);
    end_.store(0, std::memory_order_relaxed);
  }
  // Ends the claim behind the running task, and returns where: what comes from there on does not begin before it is
  // claimed anew. None if nothing runs or if it cannot be done here. From any thread, but not while the owner's claim()
  // is called.
  std::optional<std::uint32_t> cut_claim();
  // What this task has said of itself, if it was the last to say something. From any thread.
  std::optional<Milestone> milestone_of(JobId job, Number number) const;

  // On the slot's thread, within a task: reports the results before it, and ends the claim behind it.
  void let_go();

  // For TaskFunction::run() ------------------------------------------------------------------------------------

  // Moves on to the next task. False: there is none, return.
  bool next() {
    const std::uint32_t next = offset() + 1;
    if (next < end_.load(std::memory_order_relaxed)) [[likely]] {
      offset_.store(next, std::memory_order_relaxed);
      std::atomic_signal_fence(std::memory_order_seq_cst);  // Said first, then looked: cut_claim() has the rest.
      if (next < end_.load(std::memory_order_relaxed)) [[likely]]
        return true;
    }
    return claim_more(next);
  }

  // The current task's input. An index job whose task has no other arguments can take the integer as it is.
  bool only_index() const { return job_->index.enabled && job_->constants.empty(); }
  std::int64_t index() const { return index_value(job_->index, number()); }
  PackedArguments arguments() {
    return {job_->constants, job_->index.enabled ? packed_index() : batch_->payloads()[offset()]};
  }

  // The current task's end, exactly once: a result of any type that can be packed, or a failure.
  template <class R>
  void finish(R&& value) {
    if (const auto added = results_.add(std::forward<R>(value)); added != ResultWriter::Added::yes) [[unlikely]]
      finish_otherwise(added);
  }
  void fail(const FailureText& error) noexcept { end_badly(error, Outcome::failed); }
  // It kills whatever runs it, and is not to be tried again.
  void give_up(const FailureText& error) noexcept { end_badly(error, Outcome::dead); }

  // For who runs the tasks elsewhere: where the claim ends now, and whose tasks they are.
  std::uint32_t claim_end() const { return end_.load(std::memory_order_relaxed); }
  const Batch& batch() const { return *batch_; }

  // For TaskContext --------------------------------------------------------------------------------------------

  const TaskJob& job() const { return *job_; }
  Number number() const { return batch_->number(offset()); }
  std::uint32_t attempt() const { return batch_->tries() + 1; }
  std::uint32_t slot() const { return options_.slot; }
  const std::stop_token& stop_token() const { return stop_; }
  TimePoint deadline();
  void say(double fraction, std::string_view text);

private:
  // What the hot path touches lies together.
  alignas(64) std::atomic<std::uint32_t> offset_{no_task};
  std::atomic<std::uint32_t> end_{0};  // Of the claim; 0: look before going on.
  std::atomic<bool> interrupted_{false};
  const Batch* batch_ = nullptr;
  const TaskJob* job_ = nullptr;
  ResultWriter results_;

  RunOwner& owner_;
  RunOptions options_;
  std::stop_token stop_;
  RunOwner::Claim claim_;
  TimePoint claimed_at_;
  std::uint32_t claim_count_ = 1;  // What the next claim asks for.
  std::uint32_t next_ = 0;         // Between claims: the offset to go on with.
  std::uint32_t first_ = 0;        // The results gathered so far begin here ...
  TimePoint since_;                // ... and now.
  TimePoint busy_since_;           // With this job, without a pause.
  TimePoint ended_;                // The last pass.
  TimePoint deadline_ = never;     // Of the task deadline_of_.
  std::uint32_t deadline_of_ = no_task;
  Buffer packed_index_;

  mutable std::mutex milestone_mutex_;  // Guards what follows.
  std::optional<Milestone> milestone_;

  bool claim_more(std::uint32_t next) noexcept;
  void end_claim(std::uint32_t next, TimePoint now);
  Duration hold(TimePoint now) const;
  bool results_have_waited(TimePoint now) const;
  Bytes packed_index();
  void finish_otherwise(ResultWriter::Added added) noexcept;
  void finish_without_room();
  void end_badly(const FailureText& error, Outcome outcome) noexcept;
  void cut(TimePoint now);
};

}  // namespace ventile
