// What a Runner is given to run: a job, and batches of its tasks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/task/fold.hpp>
#include <ventile/task/function.hpp>
#include <ventile/wire/messages.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

// What all batches of a job share. Never changes once a Batch refers to it.
struct TaskJob {
  JobId id;
  std::shared_ptr<const TaskFunction> function;
  std::shared_ptr<const FoldFunction> fold;  // Null: every result travels by itself.
  std::vector<std::byte> constants;          // Packed values that come before the input of every task.
  IndexRule index;                           // If enabled, batches have no payloads.
  Duration timeout = Duration::zero();       // Of one task; zero: none.
  std::uint32_t tries_max = 1;               // In all: 1 means that a failed task is not tried again.
};

// start + step × number, the input of a task of an index job. Wraps around.
std::int64_t index_value(const IndexRule& rule, Number number);

// A run of consecutive tasks of one job under one lease, with its payloads where they arrived. Never changes; slots
// share it and take shares of it.
class Batch {
public:
  static constexpr std::uint64_t count_max = UINT32_MAX;  // Tasks; at least one.

  // The tasks of an index job.
  Batch(std::shared_ptr<const TaskJob> job, LeaseId lease, Range range, std::uint32_t tries);
  // `payloads` holds one payload per number and lies in memory that `memory` keeps alive.
  Batch(std::shared_ptr<const TaskJob> job, LeaseId lease, Range range, std::uint32_t tries, PayloadView payloads,
        std::shared_ptr<const void> memory);

  const TaskJob& job() const { return *job_; }
  LeaseId lease() const { return lease_; }
  Range range() const { return range_; }
  std::uint32_t count() const { return static_cast<std::uint32_t>(range_.count); }
  std::uint32_t tries() const { return tries_; }  // How often these tasks were tried and failed.
  Number number(std::uint32_t offset) const { return range_.first + offset; }
  Range slice(std::uint32_t begin, std::uint32_t end) const { return {number(begin), end - begin}; }
  const PayloadView& payloads() const { return payloads_; }

private:
  std::shared_ptr<const TaskJob> job_;
  LeaseId lease_;
  Range range_;
  std::uint32_t tries_;
  PayloadView payloads_;
  std::shared_ptr<const void> memory_;
};

// Offsets [begin, end) of a batch: what is queued, owned by a slot, or stolen.
struct Share {
  std::shared_ptr<const Batch> batch;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  std::uint32_t count() const { return end - begin; }
  bool empty() const { return begin == end; }
  Range range() const { return batch->slice(begin, end); }

  // Takes at most `count_max` tasks from the back.
  Share take_back(std::uint32_t count_max) {
    const std::uint32_t old_end = end;
    end -= std::min(count_max, count());
    return {batch, end, old_end};
  }
};

}  // namespace ventile
