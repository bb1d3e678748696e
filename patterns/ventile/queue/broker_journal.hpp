// How a durable broker's memory lies in its journal: which jobs of clients are open, and what their clients have
// brought.
//
//    opened          offered, offered, …        ended                              closed
//   --------> [open] ------------------> [open] -----> [open, all tasks are known] ------> forgotten
//
// That a task has an outcome is not written down: its client says so when it takes its job up again. Its payload is
// gone with the next snapshot, which holds the open jobs and the payloads that are still needed, and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/client_job.hpp>

namespace ventile {

inline constexpr const char* broker_journal_owner = "broker";

enum class BrokerEntryKind : std::uint16_t { opened = 1, offered, ended, closed, whole };

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

struct OpenJob {
  ClientJob job;
  std::uint64_t order = 0;             // In which jobs were opened.
  std::uint64_t submitted = 0;         // Numbers below have been given out.
  bool ended = false;                  // And there will be no others.
  std::vector<OfferedTasks> payloads;  // By number. What is missing has an outcome at the client, or needs no payload.

  static auto fields(auto& self) { return std::tie(self.job, self.order, self.submitted, self.ended, self.payloads); }
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
Buffer pack_entry(const BrokerMemory& whole);

}  // namespace ventile
