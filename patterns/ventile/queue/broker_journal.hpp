// How a durable broker's memory lies in its journal: which jobs of clients are open, and what their clients have
// brought.
//
//    opened          offered, offered, …        ended                              closed
//   --------> [open] ------------------> [open] -----> [open, all tasks are known] ------> forgotten
//
// With which tasks workers died is written when they do; and of what must not begin twice, that it is about to. That a
// task has an outcome is not written down, unless the job's results are kept here: its client says so when it takes its
// job up again. Its payload is gone with the next snapshot, which holds the open jobs and the payloads that are still
// needed, and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/client_job.hpp>
#include <ventile/queue/sink_record.hpp>
#include <ventile/queue/suspects.hpp>

namespace ventile {

inline constexpr const char* broker_journal_owner = "broker";

enum class BrokerEntryKind : std::uint16_t {
  opened = 1,
  offered,
  ended,
  closed,
  whole,
  kept,
  suspected,
  leased,
  returned
};

// Tasks of a job, with one payload each; or without any, if the job has none or the client had their outcomes already.
struct OfferedTasks {
  JobId job;
  Range range;
  std::vector<Bytes> payloads;

  static auto fields(auto& self) { return std::tie(self.job, self.range, self.payloads); }
};

// There will be no more tasks than these.
struct EndedJob {
  JobId job;
  std::uint64_t total = 0;

  static auto fields(auto& self) { return std::tie(self.job, self.total); }
};

// Results of a job that are kept since the record before, and where its file ends with them.
struct KeptRecord {
  JobId job;
  SinkRecord record;
  std::uint64_t end = 0;

  static auto fields(auto& self) { return std::tie(self.job, self.record, self.end); }
};

// Workers have died with these tasks; or they were found innocent.
struct SuspectedTasks {
  JobId job;
  Suspect suspect;

  static auto fields(auto& self) { return std::tie(self.job, self.suspect); }
};

// About to be sent to a worker, and must not begin twice; or returned by it, and may begin after all.
struct LeasedTasks {
  JobId job;
  Range range;

  static auto fields(auto& self) { return std::tie(self.job, self.range); }
};

struct OpenJob {
  ClientJob job;
  std::uint64_t order = 0;             // In which jobs were opened.
  std::uint64_t submitted = 0;         // Numbers below have been given out.
  bool ended = false;                  // And there will be no others.
  std::vector<OfferedTasks> payloads;  // By number. What is missing has an outcome at the client, or needs no payload.
  std::vector<KeptRecord> kept;        // Of results.
  Suspects suspects;                   // Tasks that workers have died with.
  IntervalSet begun;                   // Leased, not returned, and not to begin twice.

  static auto fields(auto& self) {
    return std::tie(self.job, self.order, self.submitted, self.ended, self.payloads, self.kept, self.suspects,
                    self.begun);
  }
};

// All of it, as a snapshot has it.
struct BrokerMemory {
  std::uint64_t opened = 0;  // Jobs, ever.
  std::map<JobId, OpenJob> jobs;

  static auto fields(auto& self) { return std::tie(self.opened, self.jobs); }
};

// Adds an entry to what is known. Views in `memory` point into `payload`, which must outlive them. Code::corrupt if the
// entry cannot be read, or is of a job that is not open: its checksum is right, so another release has written it.
Status apply_entry(BrokerMemory& memory, BrokerEntryKind kind, Bytes payload);

Buffer pack_entry(const ClientJob& opened);
Buffer pack_entry(const OfferedTasks& offered);
Buffer pack_entry(const EndedJob& ended);
Buffer pack_entry(JobId closed);
Buffer pack_entry(const KeptRecord& kept);
Buffer pack_entry(const SuspectedTasks& suspected);
Buffer pack_entry(const LeasedTasks& tasks);  // Leased or returned.
Buffer pack_entry(const BrokerMemory& whole);

}  // namespace ventile
