// The jobs that clients have at a broker: the payloads of their tasks, and what a durable broker writes down of them.
//
// What Dispatcher decides about clients' jobs is carried out here as far as memory goes; the driver sends and writes.
// It owns no file: entries go to the driver's journal, and come from it when the broker is started again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/broker_journal.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/payload_store.hpp>

namespace ventile {

// Not thread-safe.
class ClientJobs {
public:
  // To be written behind those before it. When all up to it are on the disk, tell the dispatcher of its token; 0 is for
  // nobody to hear of.
  struct Entry {
    std::uint64_t token = 0;
    BrokerEntryKind kind = BrokerEntryKind::opened;
    Buffer payload;
  };
  struct Resumed {
    std::size_t jobs = 0;
    std::uint64_t tasks = 0;  // That were submitted.
  };

  // --- What was ---

  // An entry that an earlier life has written; call for each, in order. Errors as of apply_entry().
  Status restore(BrokerEntryKind kind, Bytes payload);
  // Gives the dispatcher, which has none yet, the jobs that were open, in the order of their opening.
  Resumed resume(Dispatcher& dispatcher, TimePoint now);

  // --- What Dispatcher wants; what is held afterwards is to be told to it ---

  void keep(const Keep& keep, const PayloadView& payloads);
  void settle(const Settled& settled);
  // The entry that this asks for; none if the journal has it already.
  std::optional<Entry> record(const Persist& persist);
  // None if no job of that name is open in the journal.
  std::optional<Entry> forget(JobId job);

  // --- What is known ---

  bool has(JobId job) const { return jobs_.contains(job); }
  // None if the job's tasks have no payloads.
  const PayloadStore* payloads(JobId job) const;
  PayloadStore* payloads(JobId job);
  std::uint64_t held_bytes(JobId job) const;
  std::uint64_t held_bytes() const;  // Of all jobs, with their constants.
  // What was kept of a resumed job's results, in order; whoever asks first is given it.
  std::vector<KeptRecord> take_kept(JobId job);
  // Stands for all entries before it: open jobs, the payloads that are still needed and, as `kept_of` says, what is
  // kept of results.
  using KeptOf = std::function<std::optional<KeptRecord>(JobId job)>;
  Buffer snapshot(const KeptOf& kept_of = {}) const;

private:
  struct Job {
    PayloadStore store;
    bool has_payloads = false;
    bool recorded = false;  // In the journal,
    OpenJob memory;         // as this, but for the payloads.
  };

  std::unordered_map<JobId, Job> jobs_;
  std::uint64_t opened_ = 0;      // Jobs, ever.
  std::vector<Buffer> restored_;  // What memory_ points into.
  BrokerMemory memory_;           // Until resume().

  void resume_job(OpenJob&& open, Dispatcher& dispatcher, TimePoint now);
  static std::vector<OfferedTasks> held_tasks(JobId id, const Job& job);
  static Buffer offered_tasks(JobId id, const Job& job, Range range);
};

}  // namespace ventile
