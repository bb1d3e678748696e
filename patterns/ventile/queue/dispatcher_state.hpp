// What a Dispatcher remembers of a peer and of a job. Private to dispatcher.cpp and leasing.cpp.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include <ventile/queue/dispatcher.hpp>

namespace ventile {

struct Dispatcher::Peer {
  PeerId id;
  SessionId session;
  Role role = Role::worker;
  NodeId node;
  IncarnationId incarnation;
  std::string name;
  TimePoint heard;
  TimePoint spoken;       // When it was last sent a heartbeat.
  Duration heartbeat{0};  // As it was told.

  // Where a sink or client takes results, or where a worker that is the source of a stream gives them to stages.
  std::string results_address;

  // A client's. One that only asks, as a health check does every few seconds, is not worth a line.
  bool has_submitted = false;

  // A worker's.
  std::uint32_t slots = 0;
  std::map<std::string, bool, std::less<>> functions;  // Name -> repeatable.
  std::uint64_t finished = 0;                          // Tasks, as it last said.
  std::vector<Milestone> milestones;                   // The same.
  Credit credit;
  std::uint64_t waiting = 0;  // Tasks that wait for others and need no slot.
  std::uint64_t sent_tasks = 0;
  std::uint64_t sent_bytes = 0;
  std::map<JobId, IncarnationId> opened;  // Jobs it knows, and the sink it was routed to.
  std::vector<HeldRange> undecided;       // What it held when it came, of jobs that have no sink yet.
  bool leaving = false;
  bool quarantined = false;         // Runs a suspect, and nothing else until that has ended.
  std::uint32_t retracts_open = 0;  // RETRACTs without an answer.
  bool nothing_to_retract = false;  // Since its last lease.
  std::optional<double> hunger;     // Its key in hungry_.

  // A sink's or client's.
  JobId serves;
  JobId claims;  // The job it says that it has results of.

  // A client's.
  std::set<IncarnationId> introduced;  // Workers whose names it was told.
};

struct Dispatcher::Job {
  JobId id;
  JobOptions options;
  Account account;
  Granularity granularity;
  JobCounters counters;

  Peer* sink = nullptr;
  TimePoint sink_lost;      // When the last one was.
  bool sink_ready = false;  // It has said OPENED.
  IntervalSet sink_has;     // What the sink had when it opened the job, perhaps beyond what is submitted.
  std::vector<RangeOutcome> sink_exceptions;
  std::string fold;
  SinkCredit credit;
  std::uint64_t stored_bytes = 0;  // Of results, since the sink opened the job.
  double result_bytes = 0;         // Of one task, averaged.
  TimePoint last_settled = TimePoint::min();
  Duration slowest_batch{0};
  std::vector<Propose> proposals;    // Without a verdict, perhaps: for a sink that comes back.
  std::size_t proposals_limit = 64;  // When to look which of them have one.

  // A client's job.
  NodeId owner;  // None: the dispatcher's own.
  std::string owner_name;
  Duration keep{0};
  std::uint64_t offered_bytes = 0;  // In this session.
  std::uint64_t held_bytes = 0;     // By the driver.
  Credit room;                      // What the client was told.
  std::uint64_t answer_token = 0;   // Durable: SUBMIT is answered when this is on the disk.
  // Durable: what waits for the disk.
  struct Unpersisted {
    std::uint64_t token = 0;
    Range range;
    std::uint64_t bytes = 0;
  };
  bool resume_said = false;
  std::uint64_t accepted = 0;           // Tasks that have a number; those that wait are not submitted yet.
  std::deque<Unpersisted> unpersisted;  // Offers.
  struct Unsent {
    std::uint64_t token = 0;
    LeaseId lease;
  };
  std::deque<Unsent> unsent;       // Leases of what must not begin twice.
  std::optional<Closed> report;    // The sink's, until
  std::uint64_t closed_token = 0;  // this is on the disk.

  std::uint64_t fed = 0;   // The counter of its last lease.
  bool ended = false;      // No more offers.
  bool cancelled = false;  // Nothing that waits is to run.
  bool ending = false;     // END is sent.
  bool closed = false;     // CLOSED has come, or the job has failed.

  bool serves(const Peer& worker) const { return worker.functions.contains(options.function); }
};

}  // namespace ventile
