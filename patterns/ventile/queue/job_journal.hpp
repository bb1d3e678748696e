// How a durable ventilator's memory lies in its journal: which job it was, and what of it cannot be had again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>
#include <ventile/base/result.hpp>
#include <ventile/queue/suspects.hpp>
#include <ventile/wire/messages.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

inline constexpr const char* job_journal_owner = "feed";

// Where tasks come from, well enough to tell another input from the same one.
struct JobSource {
  std::string name;    // "tasks.jsonl"; "standard input".
  std::string format;  // In words, such as "lines".
  bool reread = true;  // It is a file, and can be read again from its beginning.
  std::uint64_t bytes = 0;
  std::uint32_t checksum = 0;  // Of its first megabyte.

  static auto fields(auto& self) { return std::tie(self.name, self.format, self.reread, self.bytes, self.checksum); }
  bool operator==(const JobSource&) const = default;
};

// What makes a job this one and no other.
struct JobSpecification {
  JobId id;
  std::string name;
  std::string function;
  std::vector<std::byte> constants;
  std::uint32_t constant_count = 0;
  IndexRule index;
  std::uint64_t index_count = 0;
  JobSource source;

  static auto fields(auto& self) {
    return std::tie(self.id, self.name, self.function, self.constants, self.constant_count, self.index,
                    self.index_count, self.source);
  }
  bool operator==(const JobSpecification&) const = default;
};

// In one clause what `now` asks for that `before` did not: "it ran 'square' and now runs 'cube'". Empty if they are the
// same job; the id does not count.
std::string difference(const JobSpecification& before, const JobSpecification& now);

// Tasks whose payloads cannot be read again.
struct JobBlock {
  Number first = 0;
  std::vector<Bytes> payloads;

  static auto fields(auto& self) { return std::tie(self.first, self.payloads); }
};

// The input was read up to this byte when this number was the next.
struct InputMark {
  Number number = 0;
  std::uint64_t bytes = 0;

  static auto fields(auto& self) { return std::tie(self.number, self.bytes); }
};

enum class JobEntryKind : std::uint16_t {
  specification = 1,
  block,
  mark,
  ended,
  cancelled,
  closed,
  whole,
  leased,
  returned,
  suspected
};

// All of it, as a snapshot has it.
struct JobMemory {
  JobSpecification specification;
  std::vector<Range> retired;  // Settled; their payloads are gone.
  std::vector<JobBlock> blocks;
  std::uint64_t submitted = 0;       // Numbers given out, as far as is known.
  std::uint64_t total = UINT64_MAX;  // Of tasks, once the input has ended.
  bool cancelled = false;
  bool closed = false;
  std::vector<InputMark> marks;
  IntervalSet begun;  // Leased, not returned, and not to begin twice.
  Suspects suspects;  // Not in fields(): journals of releases without them can be read.

  static auto fields(auto& self) {
    return std::tie(self.specification, self.retired, self.blocks, self.submitted, self.total, self.cancelled,
                    self.closed, self.marks, self.begun);
  }
  bool ended() const { return total != UINT64_MAX; }
};

// Adds an entry to what is known. Views in `state` point into `payload`, which must outlive them.
Status apply_entry(JobMemory& state, JobEntryKind kind, Bytes payload);

Buffer pack_entry(const JobSpecification& specification);
Buffer pack_entry(const JobBlock& block);
// The same of payloads that lie together: it looks at each once, for a pipe's are many.
Buffer pack_entry(Number first, const PayloadView& payloads);
Buffer pack_entry(const InputMark& mark);
Buffer pack_entry(std::uint64_t total);
Buffer pack_entry(Range range);
Buffer pack_entry(const Suspect& suspect);
Buffer pack_entry(const JobMemory& state);

}  // namespace ventile
