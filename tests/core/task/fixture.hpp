// Speaks of jobs, batches and what came out of them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ventile/base/interval_set.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/task/run.hpp>
#include <ventile/task/runner.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

inline constexpr ResultLimits test_limits{.headroom = 8, .section_bytes_max = 1 << 16, .result_bytes_max = 1 << 20};

// Payloads of tasks, in memory that a Batch can share.
class Payloads {
public:
  // One task whose input is these values.
  template <class... Values>
  Payloads& task(const Values&... values) {
    return raw(pack_to_buffer(values...).bytes());
  }
  Payloads& raw(Bytes bytes);

  std::shared_ptr<Batch> batch(std::shared_ptr<const TaskJob> job, Number first = 0, std::uint32_t tries = 0) const;

private:
  std::shared_ptr<PayloadWriter> writer_ = std::make_shared<PayloadWriter>(0);
};

// A job of a function; adjust what it should be besides.
template <class F>
std::shared_ptr<TaskJob> job_of(F&& function, TaskTraits traits = {}) {
  TaskRegistry registry;
  registry.add("function", std::forward<F>(function), traits);
  auto job = std::make_shared<TaskJob>();
  job->id = {1, 2};
  job->function = registry.find("function");
  return job;
}
template <class F>
std::shared_ptr<TaskJob> index_job_of(F&& function, TaskTraits traits = {}) {
  auto job = job_of(std::forward<F>(function), traits);
  job->index.enabled = true;
  return job;
}

inline LeaseId lease(std::uint64_t counter) { return {{7}, counter}; }
std::shared_ptr<Batch> index_batch(std::shared_ptr<const TaskJob> job, Range range, std::uint64_t lease_counter = 1,
                                   std::uint32_t tries = 0);

// Payload `index` of what has finished.
Bytes payload_of(const Finished& finished, std::uint32_t index);

// A failure as it was packed.
struct UnpackedError {
  std::string kind;
  std::string message;
  std::vector<std::byte> detail;
};
UnpackedError unpack_error(Bytes packed);

// Runs a batch on this thread, with claims of a given size.
class RunHere final : public RunOwner {
public:
  explicit RunHere(const ResultLimits& limits = test_limits, Duration claim = std::chrono::microseconds{5},
                   Duration hold = std::chrono::hours{1});

  std::vector<RunnerEvent>& run(std::shared_ptr<Batch> batch);

  // Runs the batch, which must come out as one Finished.
  Finished finished(std::shared_ptr<Batch> batch);
  // Runs the batch, whose only task must succeed with this type of value.
  template <class T>
  T value(std::shared_ptr<Batch> batch) {
    const Finished all = finished(std::move(batch));
    if (!all.failures.empty()) throw std::runtime_error("failed: " + unpack_error(payload_of(all, 0)).message);
    Result<T> unpacked = unpack_from<T>(payload_of(all, 0));
    if (!unpacked) throw std::runtime_error(unpacked.error().message);
    return *unpacked;
  }
  // Runs the batch, whose only task must fail for good.
  UnpackedError error(std::shared_ptr<Batch> batch);

  std::uint32_t claim_count_max = UINT32_MAX;
  std::uint32_t claims = 0;
  std::optional<std::uint32_t> unclaimed_from;
  std::function<void(TaskRun&)> before_claim;
  TaskRun task_run;

private:
  std::shared_ptr<Batch> batch_;
  std::uint32_t begin_ = 0;
  std::vector<RunnerEvent> events_;

  Claim claim(std::uint32_t next, std::uint32_t count, TimePoint now) override;
  void report(std::uint32_t count, RunnerEvent event) override;
  void unclaim(std::uint32_t begin) override;
};

// Takes a Runner's events from any thread, and waits for them. Waiting gives up after a minute: a hang fails.
class Events {
public:
  RunnerCallback callback();

  // Until `done` holds for what has come so far.
  bool wait(const std::function<bool(const std::vector<RunnerEvent>&)>& done);
  // Until so many tasks have been reported, in whatever event.
  bool wait_for_tasks(std::uint64_t count);

  // Adds what did not come through the callback.
  void take(std::vector<RunnerEvent>&& events);
  void take(const std::vector<Retracted>& retracted);

  // The events of this type so far; their payloads only the first time.
  template <class Event>
  std::vector<Event> all() {
    const std::lock_guard lock{mutex_};
    std::vector<Event> found;
    for (RunnerEvent& event : events_)
      if (auto* wanted = std::get_if<Event>(&event)) found.push_back(std::move(*wanted));
    return found;
  }
  static std::uint64_t tasks_in(const RunnerEvent& event);

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RunnerEvent> events_;
};

// Lets tasks wait until a test opens it.
class Gate {
public:
  void open();
  void wait();
  // Until `count` tasks wait at it.
  bool wait_for_visitors(std::uint32_t count);

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
  std::uint32_t visitors_ = 0;
};

}  // namespace ventile
