#include <ventile/queue/client_jobs.hpp>

#include <algorithm>
#include <utility>

#include <ventile/base/interval_set.hpp>
#include <ventile/base/planted.hpp>

namespace ventile {

// --- What was ----------------------------------------------------------------------------------------------------

Status ClientJobs::restore(BrokerEntryKind kind, Bytes payload) {
  if (kind == BrokerEntryKind::whole) restored_.clear();
  restored_.emplace_back().append(payload);
  return apply_entry(memory_, kind, restored_.back().bytes());
}

ClientJobs::Resumed ClientJobs::resume(Dispatcher& dispatcher, TimePoint now) {
  opened_ = memory_.opened;
  std::vector<OpenJob*> in_order;
  for (auto& [id, job] : memory_.jobs) in_order.push_back(&job);
  std::sort(in_order.begin(), in_order.end(), [](const OpenJob* a, const OpenJob* b) { return a->order < b->order; });
  Resumed resumed;
  for (OpenJob* const job : in_order) {
    ++resumed.jobs;
    resumed.tasks += job->submitted;
    resume_job(std::move(*job), dispatcher, now);
  }
  memory_ = {};
  restored_.clear();
  return resumed;
}

// Tasks have the numbers that they had.
void ClientJobs::resume_job(OpenJob&& open, Dispatcher& dispatcher, TimePoint now) {
  const JobId id = open.job.id;
  IntervalSet retired{Range{0, open.job.specification.index.enabled ? 0 : open.submitted}};
  for (const OfferedTasks& tasks : open.payloads) retired.erase(tasks.range);
  dispatcher.resume_job(open.job, {retired.ranges(), open.suspects.all(), open.begun.ranges()}, now);
  Job& job = jobs_[id];
  job.has_payloads = !open.payloads.empty();
  job.recorded = true;
  Number next = 0;
  const auto offer_bare = [&](Number end) {
    if (end > next) (void)dispatcher.offer_again(id, end - next, 0, now);
    next = std::max(next, end);
  };
  for (const OfferedTasks& tasks : open.payloads) {
    offer_bare(tasks.range.first);
    PayloadWriter payloads{0};
    for (const Bytes payload : tasks.payloads) payloads.append(payload);
    (void)dispatcher.offer_again(id, tasks.range.count, payloads.size(), now);
    job.store.add(tasks.range, std::move(payloads));
    next = tasks.range.end();
  }
  offer_bare(open.submitted);
  dispatcher.on_held(id, job.store.bytes());
  if (open.ended) dispatcher.end_job(id, now);
  open.payloads.clear();
  job.memory = std::move(open);
}

// --- What Dispatcher wants ---------------------------------------------------------------------------------------

void ClientJobs::keep(const Keep& keep, const PayloadView& payloads) {
  Job& job = jobs_[keep.job];
  job.has_payloads = true;
  PayloadWriter kept{frame_header_size};
  kept.append(payloads, keep.skip, static_cast<std::uint32_t>(keep.range.count));
  job.store.add(keep.range, std::move(kept));
}

void ClientJobs::settle(const Settled& settled) {
  const auto it = jobs_.find(settled.job);
  if (it == jobs_.end()) return;
  it->second.store.release(settled.range);
  OpenJob& memory = it->second.memory;
  if (!memory.suspects.empty()) memory.suspects.forget(settled.range);
  if (!memory.begun.empty()) memory.begun.erase(settled.range);
}

std::optional<ClientJobs::Entry> ClientJobs::record(const Persist& persist) {
  const JobId id = persist.job;
  const Range range = persist.record.range;
  switch (persist.record.kind) {
    case JobRecord::Kind::opened: {
      Job& job = jobs_[id];
      job.recorded = true;
      job.memory.job = *persist.opened;
      job.memory.order = ++opened_;
      return Entry{persist.token, BrokerEntryKind::opened, pack_entry(job.memory.job)};
    }
    case JobRecord::Kind::offered: {
      const auto job = jobs_.find(id);
      if (job == jobs_.end()) break;  // It is closed, and that was written.
      job->second.memory.submitted = range.end();
      return Entry{persist.token, BrokerEntryKind::offered, offered_tasks(id, job->second, range)};
    }
    case JobRecord::Kind::ended:
      if (const auto job = jobs_.find(id); job == jobs_.end() || std::exchange(job->second.memory.ended, true)) break;
      return Entry{persist.token, BrokerEntryKind::ended, pack_entry(EndedJob{id, range.count})};
    case JobRecord::Kind::closed: {
      std::optional<Entry> closed = forget(id);
      if (closed) closed->token = persist.token;
      return closed;
    }
    case JobRecord::Kind::suspected: {
      const auto job = jobs_.find(id);
      if (job == jobs_.end()) break;
      const Suspect suspect{range, persist.record.suspicion, persist.record.deaths_alone};
      job->second.memory.suspects.note(suspect);
      return Entry{persist.token, BrokerEntryKind::suspected, pack_entry(SuspectedTasks{id, suspect})};
    }
    case JobRecord::Kind::leased:
    case JobRecord::Kind::returned: {
      const auto job = jobs_.find(id);
      if (job == jobs_.end()) break;
      const bool leased = persist.record.kind == JobRecord::Kind::leased;
      leased ? job->second.memory.begun.insert(range) : job->second.memory.begun.erase(range);
      return Entry{persist.token, leased ? BrokerEntryKind::leased : BrokerEntryKind::returned,
                   pack_entry(LeasedTasks{id, range})};
    }
    case JobRecord::Kind::cancelled:  // Not of clients' jobs.
      break;
  }
  return std::nullopt;
}

// Those that came without payloads have none, or need none any more.
Buffer ClientJobs::offered_tasks(JobId id, const Job& job, Range range) {
  OfferedTasks tasks{id, range, {}};
  if (!job.store.find(range.first)) return pack_entry(tasks);
  tasks.payloads.reserve(range.count);
  for (Number number = range.first; number < range.end(); ++number) tasks.payloads.push_back(*job.store.find(number));
  return pack_entry(tasks);
}

std::optional<ClientJobs::Entry> ClientJobs::forget(JobId id) {
  const auto it = jobs_.find(id);
  if (it == jobs_.end()) return std::nullopt;
  const bool recorded = it->second.recorded;
  jobs_.erase(it);
  if (!recorded) return std::nullopt;
  return Entry{0, BrokerEntryKind::closed, pack_entry(id)};
}

// --- What is known -----------------------------------------------------------------------------------------------

const PayloadStore* ClientJobs::payloads(JobId id) const {
  const auto it = jobs_.find(id);
  return it != jobs_.end() && it->second.has_payloads ? &it->second.store : nullptr;
}

PayloadStore* ClientJobs::payloads(JobId id) {
  const auto it = jobs_.find(id);
  return it != jobs_.end() && it->second.has_payloads ? &it->second.store : nullptr;
}

std::uint64_t ClientJobs::held_bytes(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? 0 : it->second.store.bytes();
}

std::uint64_t ClientJobs::held_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [id, job] : jobs_) bytes += job.store.bytes() + job.memory.job.specification.constants.size();
  return bytes;
}

std::vector<OfferedTasks> ClientJobs::held_tasks(JobId id, const Job& job) {
  std::vector<OfferedTasks> held;
  job.store.for_each([&](Range range, const PayloadView& view) {
    OfferedTasks tasks{id, range, {}};
    for (std::uint32_t i = 0; i < view.count(); ++i) tasks.payloads.push_back(view[i]);
    held.push_back(std::move(tasks));
  });
  return held;
}

std::vector<KeptRecord> ClientJobs::take_kept(JobId id) {
  const auto it = jobs_.find(id);
  return it == jobs_.end() ? std::vector<KeptRecord>{} : std::exchange(it->second.memory.kept, {});
}

Buffer ClientJobs::snapshot(const KeptOf& kept_of) const {
  BrokerMemory whole{opened_, {}};
  for (const auto& [id, job] : jobs_) {
    if (!job.recorded) continue;
    OpenJob& open = whole.jobs[id] = job.memory;
    if (!planted("a snapshot forgets what has not run")) open.payloads = held_tasks(id, job);
    if (std::optional<KeptRecord> kept = kept_of ? kept_of(id) : std::nullopt) open.kept = {*std::move(kept)};
  }
  return pack_entry(whole);
}

}  // namespace ventile
