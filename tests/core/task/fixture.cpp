#include "tests/core/task/fixture.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>

namespace ventile {

using namespace std::chrono_literals;

Payloads& Payloads::raw(Bytes bytes) {
  writer_->append(bytes);
  return *this;
}

std::shared_ptr<Batch> Payloads::batch(std::shared_ptr<const TaskJob> job, Number first, std::uint32_t tries) const {
  const PayloadView view = writer_->view();
  return std::make_shared<Batch>(std::move(job), lease(1), Range{first, view.count()}, tries, view, writer_);
}

std::shared_ptr<Batch> index_batch(std::shared_ptr<const TaskJob> job, Range range, std::uint64_t lease_counter,
                                   std::uint32_t tries) {
  return std::make_shared<Batch>(std::move(job), lease(lease_counter), range, tries);
}

Bytes payload_of(const Finished& finished, std::uint32_t index) {
  const Bytes section = finished.payloads.bytes().subspan(test_limits.headroom);
  const std::size_t table = finished.payload_count * sizeof(std::uint32_t);
  const std::byte* ends = section.data() + section.size() - table;
  if (!PayloadView::check(ends, finished.payload_count, section.size() - table))
    throw std::runtime_error("the payload section is malformed");
  return PayloadView{section.data(), ends, finished.payload_count}[index];
}

UnpackedError unpack_error(Bytes packed) {
  Unpacker unpacker{packed};
  UnpackedError error;
  std::uint32_t count = 0;
  unpacker.read_map(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::string_view key;
    Bytes value;
    if (!unpacker.read_string(key)) break;
    if (key == "kind") unpack_value(unpacker, error.kind);
    if (key == "message") unpack_value(unpacker, error.message);
    if (key == "detail" && unpacker.read_value(value)) error.detail.assign(value.begin(), value.end());
  }
  if (!unpacker.ok() || !unpacker.at_end()) throw std::runtime_error("the error is malformed");
  return error;
}

RunHere::RunHere(const ResultLimits& limits, Duration claim, Duration hold)
    : task_run(*this, RunOptions{.slot = 5, .limits = limits, .claim = claim, .hold = hold}) {}

std::vector<RunnerEvent>& RunHere::run(std::shared_ptr<Batch> batch) {
  batch_ = std::move(batch);
  begin_ = 0;
  events_.clear();
  task_run.pass(*batch_, 0, {});
  return events_;
}

Finished RunHere::finished(std::shared_ptr<Batch> batch) {
  run(std::move(batch));
  if (events_.size() != 1) throw std::runtime_error("expected one event, got " + std::to_string(events_.size()));
  return std::get<Finished>(std::move(events_.front()));
}

UnpackedError RunHere::error(std::shared_ptr<Batch> batch) {
  const Finished all = finished(std::move(batch));
  if (all.failures.size() != 1) throw std::runtime_error("the task has not failed");
  return unpack_error(payload_of(all, 0));
}

RunHere::Claim RunHere::claim(std::uint32_t, std::uint32_t count, TimePoint) {
  if (before_claim) before_claim(task_run);
  ++claims;
  const Claim given{begin_, begin_ + std::min({count, claim_count_max, batch_->count() - begin_})};
  begin_ = given.end;
  return given;
}

void RunHere::report(std::uint32_t, RunnerEvent event) { events_.push_back(std::move(event)); }
void RunHere::unclaim(std::uint32_t begin) { unclaimed_from = begin; }

RunnerCallback Events::callback() {
  return [this](RunnerEvent event) {
    const std::lock_guard lock{mutex_};
    events_.push_back(std::move(event));
    changed_.notify_all();
  };
}

bool Events::wait(const std::function<bool(const std::vector<RunnerEvent>&)>& done) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, 60s, [&] { return done(events_); });
}

bool Events::wait_for_tasks(std::uint64_t count) {
  return wait([count](const auto& events) {
    std::uint64_t reported = 0;
    for (const RunnerEvent& event : events) reported += tasks_in(event);
    return reported >= count;
  });
}

void Events::take(std::vector<RunnerEvent>&& events) {
  for (RunnerEvent& event : events) callback()(std::move(event));
}

void Events::take(const std::vector<Retracted>& retracted) {
  for (const Retracted& each : retracted) callback()(Returned{each.job, each.lease, each.range});
}

std::uint64_t Events::tasks_in(const RunnerEvent& event) {
  if (const auto* finished = std::get_if<Finished>(&event)) return finished->range.count;
  if (const auto* returned = std::get_if<Returned>(&event)) return returned->range.count;
  return std::holds_alternative<Retry>(event) ? 1 : 0;
}

void Gate::open() {
  const std::lock_guard lock{mutex_};
  open_ = true;
  changed_.notify_all();
}

void Gate::wait() {
  std::unique_lock lock{mutex_};
  ++visitors_;
  changed_.notify_all();
  changed_.wait(lock, [this] { return open_; });
}

bool Gate::wait_for_visitors(std::uint32_t count) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, 60s, [&] { return visitors_ >= count; });
}

}  // namespace ventile
