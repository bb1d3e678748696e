// What is leased of a job, and to whom.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/flat_table.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/queue/backlog.hpp>

namespace ventile {

// Some tasks of a job, given to one worker to run.
struct Lease {
  LeaseId id;
  SessionId holder;
  History history;
  IntervalSet remaining;    // Without a verdict, not given back, not lost.
  std::uint64_t total = 0;  // Tasks it was granted and that were not taken back.
  std::uint64_t bytes = 0;  // Of their payloads.
  TimePoint granted;
  TimePoint renewed;           // Last sign of progress.
  std::uint64_t finished = 0;  // As the worker last said.
  bool begun = false;
  TimePoint moved;         // When it was first said to have begun, or a task of it was last said to have ended.
  std::uint64_t left = 0;  // Of its tasks, then.
  bool unsent = false;     // Until the disk knows of it.
  std::optional<TimePoint> finished_since;  // Everything ran; verdicts are missing.
  bool copy = false;                        // Speculative: somebody else had these numbers already.
  bool copied = false;                      // Has a copy.
  bool first = false;                       // Its holder had nothing else, and nothing of it has a verdict yet.
};

struct LeaseHolder;

struct alignas(64) LeaseEntry {
  LeaseHolder* holder = nullptr;
  Lease lease;
};

// Leases in the order in which they were granted. The first few, mostly all, are in the object itself.
class LeaseList {
public:
  void push_back(LeaseEntry* entry);
  void erase(const LeaseEntry* entry);
  std::size_t size() const { return count_; }
  const LeaseEntry* front() const { return few_[0]; }  // Null: there is none.
  std::vector<LeaseId> ids() const;

private:
  static constexpr std::size_t few = 5;

  std::size_t count_ = 0;
  std::array<LeaseEntry*, few> few_{};
  std::unique_ptr<std::vector<LeaseEntry*>> more_;
};

// What one session holds of a job. One cache line.
struct alignas(64) LeaseHolder {
  std::uint64_t tasks = 0;  // Sum of the leases' remaining.
  LeaseList leases;
};

// A dispatcher counts its leases, and its sessions.
struct CountedHash {
  std::size_t operator()(LeaseId id) const { return hash_of_counted(id.counter + id.dispatcher.value); }
  std::size_t operator()(SessionId id) const { return hash_of_counted(id.value); }
};

using LeaseTable = FlatTable<LeaseId, LeaseEntry, CountedHash>;
using LeaseHolders = FlatTable<SessionId, LeaseHolder, CountedHash>;

}  // namespace ventile
