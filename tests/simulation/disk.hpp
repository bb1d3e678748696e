// What a durable role has on its disk: it outlives the process, and a crash takes the tail that was not synced.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/queue/client_jobs.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/sink_record.hpp>

#include "tests/core/journal/memory_folder.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

// Grows at its end, and is safe up to some entry.
template <class Entry>
struct DiskLog {
  std::vector<Entry> entries;
  std::size_t written = 0;  // Handed to the disk; what is behind is in the process.
  std::size_t durable = 0;

  // Of what was not synced some is left, and always the beginning of it.
  void crash(Random& random) {
    entries.resize(durable + random.below(written - durable + 1));
    written = durable = entries.size();
  }
};

// One result in an output, as text() of its value or empty.
struct OutputItem {
  Number number = 0;
  Outcome outcome = Outcome::done;
  std::string payload;
};

struct KeptFrame {
  Range range;
  std::shared_ptr<const Buffer> frame;
};

struct SinkDisk {
  struct Entry {
    std::uint64_t token = 0;
    SinkRecord record;
    std::size_t output_end = 0;
    std::vector<KeptFrame> kept;
  };
  DiskLog<Entry> journal;
  DiskLog<OutputItem> output;

  void crash(Random& random) {
    journal.crash(random);
    output.crash(random);
  }
  // Numbers that will have their outcome after any crash.
  const IntervalSet& safe() {
    for (; counted_ < journal.durable; ++counted_) {
      if (journal.entries[counted_].record.whole) safe_.clear();
      for (const Range range : journal.entries[counted_].record.settled) safe_.insert(range);
    }
    return safe_;
  }

private:
  IntervalSet safe_;
  std::size_t counted_ = 0;  // Entries that safe_ knows.
};

struct JobDisk {
  struct Entry {
    std::uint64_t token = 0;
    JobRecord record;
  };
  DiskLog<Entry> journal;
  bool opened = false;  // There was a life before.

  // Tasks that will have a number after any crash.
  std::uint64_t offered() {
    for (; offers_counted_ < journal.durable; ++offers_counted_)
      offered_ = std::max(offered_, offered_by(journal.entries[offers_counted_]));
    return offered_;
  }
  // Leased and not returned, as it will be after any crash.
  const IntervalSet& begun() {
    for (; counted_ < journal.durable; ++counted_) {
      const JobRecord& record = journal.entries[counted_].record;
      if (record.kind == JobRecord::Kind::leased) begun_.insert(record.range);
      if (record.kind == JobRecord::Kind::returned) begun_.erase(record.range);
    }
    return begun_;
  }
  // Tasks that workers have died with, as it will be after any crash.
  const Suspects& suspects() {
    for (; suspects_counted_ < journal.durable; ++suspects_counted_)
      if (const JobRecord& record = journal.entries[suspects_counted_].record;
          record.kind == JobRecord::Kind::suspected)
        suspects_.note({record.range, record.suspicion, record.deaths_alone});
    return suspects_;
  }
  // Tasks that had a number when the job was cancelled; none if it was not.
  std::optional<std::uint64_t> cancelled_at() const {
    for (const Entry& entry : journal.entries)
      if (entry.record.kind == JobRecord::Kind::cancelled) return entry.record.range.count;
    return std::nullopt;
  }
  bool has(JobRecord::Kind kind) const {
    return std::any_of(journal.entries.begin(), journal.entries.end(),
                       [kind](const Entry& entry) { return entry.record.kind == kind; });
  }

private:
  IntervalSet begun_;
  Suspects suspects_;
  std::uint64_t offered_ = 0;
  std::size_t offers_counted_ = 0;    // Entries that offered_ knows.
  std::size_t suspects_counted_ = 0;  // Entries that suspects_ knows.
  std::size_t counted_ = 0;           // Entries that begun_ knows.

  static std::uint64_t offered_by(const Entry& entry) {
    return entry.record.kind == JobRecord::Kind::offered ? entry.record.range.end() : 0;
  }
};

struct BrokerDisk {
  DiskLog<ClientJobs::Entry> journal;
  MemoryDisk results;  // Kept ones.

  void crash(Random& random) {
    journal.crash(random);
    results.restart(Unsynced::chance, random.next());
  }

  // What will be there after any crash.
  const BrokerMemory& safe() {
    for (; counted_ < journal.durable; ++counted_) {
      const ClientJobs::Entry& entry = journal.entries[counted_];
      require(static_cast<bool>(apply_entry(safe_, entry.kind, entry.payload.bytes())),
              "an entry of the journal cannot be read");
    }
    return safe_;
  }

private:
  BrokerMemory safe_;
  std::size_t counted_ = 0;  // Entries that safe_ knows.
};

}  // namespace ventile::simulation
