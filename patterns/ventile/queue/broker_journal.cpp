#include <ventile/queue/broker_journal.hpp>

#include <algorithm>
#include <utility>

#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

template <class T>
Buffer packed(const T& value) {
  Buffer bytes;
  Packer packer{bytes};
  pack_value(packer, value);
  return bytes;
}

template <class T>
bool read_whole(Bytes payload, T& value) {
  Unpacker unpacker{payload};
  return unpack_value(unpacker, value) && unpacker.at_end();
}

bool open_job(BrokerMemory& memory, Bytes payload) {
  OpenJob job;
  if (!read_whole(payload, job.job)) return false;
  job.order = ++memory.opened;
  const JobId id = job.job.id;
  return memory.jobs.emplace(id, std::move(job)).second;
}

bool offer(BrokerMemory& memory, Bytes payload) {
  OfferedTasks offered;
  if (!read_whole(payload, offered)) return false;
  const auto job = memory.jobs.find(offered.job);
  if (job == memory.jobs.end() || offered.range.first != job->second.submitted) return false;
  if (!offered.payloads.empty() && offered.payloads.size() != offered.range.count) return false;
  job->second.submitted = offered.range.end();
  if (!offered.payloads.empty()) job->second.payloads.push_back(std::move(offered));
  return true;
}

bool end(BrokerMemory& memory, Bytes payload) {
  EndedJob ended;
  if (!read_whole(payload, ended)) return false;
  const auto job = memory.jobs.find(ended.job);
  if (job == memory.jobs.end() || ended.total != job->second.submitted) return false;
  job->second.ended = true;
  return true;
}

bool close(BrokerMemory& memory, Bytes payload) {
  JobId id;
  return read_whole(payload, id) && memory.jobs.erase(id) == 1;
}

bool keep(BrokerMemory& memory, Bytes payload) {
  KeptRecord kept;
  if (!read_whole(payload, kept)) return false;
  const auto job = memory.jobs.find(kept.job);
  if (job == memory.jobs.end()) return false;
  if (kept.record.whole) job->second.kept.clear();
  job->second.kept.push_back(std::move(kept));
  return true;
}

bool suspect(BrokerMemory& memory, Bytes payload) {
  SuspectedTasks suspected;
  if (!read_whole(payload, suspected)) return false;
  const auto job = memory.jobs.find(suspected.job);
  if (job == memory.jobs.end()) return false;
  job->second.suspects.note(suspected.suspect);
  return true;
}

bool lease(BrokerMemory& memory, BrokerEntryKind kind, Bytes payload) {
  LeasedTasks tasks;
  if (!read_whole(payload, tasks)) return false;
  const auto job = memory.jobs.find(tasks.job);
  if (job == memory.jobs.end()) return false;
  IntervalSet& begun = job->second.begun;
  kind == BrokerEntryKind::leased ? begun.insert(tasks.range) : begun.erase(tasks.range);
  return true;
}

bool replace(BrokerMemory& memory, Bytes payload) {
  memory = {};
  return read_whole(payload, memory);
}

bool apply(BrokerMemory& memory, BrokerEntryKind kind, Bytes payload) {
  switch (kind) {
    case BrokerEntryKind::opened:
      return open_job(memory, payload);
    case BrokerEntryKind::offered:
      return offer(memory, payload);
    case BrokerEntryKind::ended:
      return end(memory, payload);
    case BrokerEntryKind::closed:
      return close(memory, payload);
    case BrokerEntryKind::whole:
      return replace(memory, payload);
    case BrokerEntryKind::kept:
      return keep(memory, payload);
    case BrokerEntryKind::suspected:
      return suspect(memory, payload);
    case BrokerEntryKind::leased:
    case BrokerEntryKind::returned:
      return lease(memory, kind, payload);
  }
  return false;
}

}  // namespace

Status apply_entry(BrokerMemory& memory, BrokerEntryKind kind, Bytes payload) {
  if (apply(memory, kind, payload)) return {};
  return Error{Code::corrupt, "an entry of the broker's journal cannot be read; use the release that wrote it"};
}

Buffer pack_entry(const ClientJob& opened) { return packed(opened); }
Buffer pack_entry(const OfferedTasks& offered) { return packed(offered); }
Buffer pack_entry(const EndedJob& ended) { return packed(ended); }
Buffer pack_entry(JobId closed) { return packed(closed); }
Buffer pack_entry(const KeptRecord& kept) { return packed(kept); }
Buffer pack_entry(const SuspectedTasks& suspected) { return packed(suspected); }
Buffer pack_entry(const LeasedTasks& tasks) { return packed(tasks); }
Buffer pack_entry(const BrokerMemory& whole) { return packed(whole); }

}  // namespace ventile
