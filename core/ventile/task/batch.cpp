#include <ventile/task/batch.hpp>

#include <cassert>
#include <utility>

namespace ventile {

std::int64_t index_value(const IndexRule& rule, Number number) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(rule.start) +
                                   static_cast<std::uint64_t>(rule.step) * number);
}

Batch::Batch(std::shared_ptr<const TaskJob> job, LeaseId lease, Range range, std::uint32_t tries)
    : Batch(std::move(job), lease, range, tries, {}, nullptr) {}

Batch::Batch(std::shared_ptr<const TaskJob> job, LeaseId lease, Range range, std::uint32_t tries, PayloadView payloads,
             std::shared_ptr<const void> memory)
    : job_(std::move(job)),
      lease_(lease),
      range_(range),
      tries_(tries),
      payloads_(payloads),
      memory_(std::move(memory)) {
  assert(range.count > 0 && range.count <= count_max);
  assert(job_->index.enabled || payloads.count() == range.count);
}

}  // namespace ventile
