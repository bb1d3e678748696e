// The leases of a job, found by their ids.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <ventile/base/clock.hpp>
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

// What one session holds of a job.
struct LeaseHolder {
  std::vector<LeaseId> leases;  // Oldest first.
  std::uint64_t tasks = 0;      // Sum of their remaining.
};

// Leases stay where they are until they are erased. To find one among ten thousand costs what it costs among two, but
// for the cache: its place is looked up in one array by open addressing (linear probing; Knuth, TAOCP 3, 6.4, algorithm
// R for deletion), and the places of leases that have ended are used again, the last one first.
class LeaseTable {
public:
  struct Entry {
    Lease lease;
    LeaseHolder* holder = nullptr;
  };

  Entry* find(LeaseId id) { return size_ == 0 ? nullptr : slots_[slot_of(id)].entry; }  // Null: there is none.
  const Entry* find(LeaseId id) const { return size_ == 0 ? nullptr : slots_[slot_of(id)].entry; }
  // The lease of that name, and whether it is new.
  std::pair<Entry*, bool> emplace(LeaseId id);
  void erase(LeaseId id);
  std::size_t size() const { return size_; }

  // Calls call(entry) for each lease, in no order that means anything.
  template <class Call>
  void for_each(Call call) const {
    for (const Entry& entry : entries_)
      if (entry.lease.id) call(entry);
  }

private:
  static constexpr std::size_t smallest = 16;

  struct Slot {
    Entry* entry = nullptr;
    std::size_t hash = 0;  // Beside it, so that what stands in the way need not be looked at.
  };

  std::deque<Entry> entries_;  // Those that are not in use have no id.
  std::vector<Entry*> free_;   // These.
  std::vector<Slot> slots_;    // A power of two; at most half of it is in use.
  std::size_t size_ = 0;

  // Multiplication has mixed its upper half best.
  static std::size_t hash_of(LeaseId id) { return std::hash<LeaseId>{}(id) >> 32U; }
  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t slot_of(LeaseId id) const;
  void grow();
};

}  // namespace ventile
