// What a Dispatcher remembers of a peer and of a job. Private to dispatcher.cpp and the other sources of it:
// greeting.cpp, settling.cpp, returning.cpp, suspecting.cpp, leasing.cpp, balancing.cpp, serving.cpp, sharing.cpp,
// keeping.cpp and explaining.cpp.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include <ventile/base/little_map.hpp>
#include <ventile/queue/dispatcher.hpp>

namespace ventile {

inline std::string tasks_text(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " task" : " tasks"); }
inline std::string seconds_text(Duration duration) {
  std::string text = std::to_string(to_seconds(duration));  // Six decimals.
  text.resize(text.size() - 5);
  return text + " s";
}

// What every decision on a worker looks at stands together: ten thousand of them are not in any cache.
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
struct Dispatcher::Peer {
  PeerId id;
  SessionId session;
  IncarnationId incarnation;
  Role role = Role::worker;

  // A worker's.
  std::uint32_t slots = 0;
  Credit credit;
  std::uint64_t sent_tasks = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t waiting = 0;     // Tasks that wait for others and need no slot.
  std::optional<double> hunger;  // Its key in hungry_.
  bool leaving = false;
  bool proven = false;                           // A result of its was stored, in this session.
  bool quarantined = false;                      // Runs a suspect, and nothing else until that has ended.
  bool nothing_to_retract = false;               // Since its last lease.
  std::uint32_t retracts_open = 0;               // RETRACTs without an answer.
  std::size_t leases_kept = 0;                   // That it had when it came, and may keep.
  std::size_t verdicts_at = 0;                   // Where those for it are, of the message that is being dealt with.
  std::shared_ptr<const FunctionSet> functions;  // None of a sink or client.
  LittleMap<JobId, IncarnationId> opened;        // Jobs it knows, and the sink it was routed to.
  std::vector<HeldRange> undecided;              // What it held when it came, of jobs that have no sink yet.
  std::uint64_t finished = 0;                    // Tasks, as it last said.
  std::vector<Milestone> milestones;             // The same.

  TimePoint heard;
  TimePoint spoken;            // When it was last sent a heartbeat.
  Duration heartbeat{0};       // As it was told.
  Duration heartbeat_kept{0};  // The longest that it may still keep: told to speak more often, it has not spoken since.
  NodeId node;
  std::string name;
  PeerIdentity identity;

  // Where a sink or client takes results, or where a worker that is the source of a stream gives them to stages.
  std::string results_address;

  // A sink's or client's.
  MachineId machine;
  JobId serves;
  JobId claims;  // The job it says that it has results of.

  // A client's.
  std::set<IncarnationId> introduced;  // Workers whose names it was told.
  bool has_submitted = false;          // One that only asks, as a health check does, is not worth a line.
};

// A lease that waits for the disk.
struct Dispatcher::Unsent {
  std::uint64_t token = 0;
  LeaseId lease;
  SessionId holder;
  std::uint64_t tasks = 0;  // For which its holder's credit was taken,
  std::uint64_t bytes = 0;  // and these.
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding)
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
  Duration late_batch{0};  // Nine of ten verdicts come sooner after the lease: found in steps, up by an eighth for each
                           // that does not, down by a ninth of that for each that does.
  std::vector<Propose> proposals;    // Without a verdict, perhaps: for a sink that comes back.
  std::size_t proposals_limit = 64;  // When to look which of them have one.

  // A client's job.
  NodeId owner;  // None: the dispatcher's own.
  std::string owner_name;
  std::string key;  // Of its client, if there are keys.
  LifeId life;
  Peer* source = nullptr;  // Who brings its tasks. The sink, too, unless the job is kept.
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
  std::uint64_t ended_token = 0;  // That there will be no more tasks.

  // A kept job, whose sink is the keeper.
  bool kept = false;
  std::string input;             // What its tasks come from, as its client said.
  Peer* fetcher = nullptr;       // Who is given the results.
  TimePoint wanted;              // When a client last had to do with it.
  std::uint64_t kept_bytes = 0;  // Of results.
  bool is_full = false;          // The keeper has no room for more.
  std::optional<Closed> whole;   // The keeper has every result.

  std::string discarded;  // Why it is given up, when that is on the disk; empty: it is not.
  struct Asker {
    PeerId peer;
    SessionId session;
  };
  std::vector<Asker> askers;  // Who wanted that, and waits for an answer.

  std::uint64_t accepted = 0;           // Tasks that have a number; those that wait are not submitted yet.
  std::deque<Unpersisted> unpersisted;  // Offers.
  std::deque<Unsent> unsent;            // Leases of what must not begin twice, or has been with a worker that died.
  std::uint64_t suspected_token = 0;    // The last that was noted of the latter.
  std::optional<Closed> report;         // The sink's, until
  std::uint64_t closed_token = 0;       // this is on the disk.

  std::uint64_t fed = 0;   // The counter of its last lease.
  bool ended = false;      // No more offers.
  bool cancelled = false;  // Nothing that waits is to run.
  bool ending = false;     // END is sent.
  bool closed = false;     // CLOSED has come, or the job has failed.

  // What was learned of its durations is forgotten: it has a sink, perhaps anew and after hours.
  void learn_anew(const GranularityOptions& sizes) {
    granularity = Granularity{sizes, !fold.empty()};
    slowest_batch = late_batch = Duration{0};
  }
  void note_batch(Duration taken) {
    slowest_batch = std::max(slowest_batch, taken);
    late_batch += taken > late_batch ? late_batch / 8 + std::chrono::milliseconds{1} : -late_batch / 72;
  }

  // Whether the worker has the function, and if so, whether it may run a task again that had begun.
  std::optional<bool> repeatable_by(const Peer& worker) const {
    if (worker.functions == asked_) return answer_;
    asked_ = worker.functions;
    answer_.reset();
    if (asked_ != nullptr)
      if (const auto function = asked_->find(options.function); function != asked_->end()) answer_ = function->second;
    return answer_;
  }
  bool serves(const Peer& worker) const { return repeatable_by(worker).has_value(); }

private:
  // Whoever was asked last mostly has what the next one has.
  mutable std::shared_ptr<const FunctionSet> asked_;
  mutable std::optional<bool> answer_;
};

}  // namespace ventile
