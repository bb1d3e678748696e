// How a durable sink's memory lies in its journal.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>
#include <ventile/journal/format.hpp>
#include <ventile/queue/sink_record.hpp>

namespace ventile {

inline constexpr const char* sink_journal_owner = "sink";

// A result that is not in the output: its RESULTS as a whole frame, of which the numbers in `range` count.
struct KeptResult {
  Range range;
  Bytes frame;

  static auto fields(auto& self) { return std::tie(self.range, self.frame); }
};

// One entry of the journal; views point into whatever it was read from or is made of.
struct SinkEntry {
  SinkRecord record;
  std::uint64_t output_end = 0;  // Bytes of the output that belong to this and all before it.
  bool output_rewinds = false;   // It is a file, which can be cut there.
  std::vector<KeptResult> kept;
  Bytes folded;  // In a snapshot of a fold: its value so far.

  static auto fields(auto& self) {
    return std::tie(self.record, self.output_end, self.output_rewinds, self.kept, self.folded);
  }
};

Buffer pack_entry(const SinkEntry& entry);
// Code::corrupt if these bytes are no entry: they were written by another release, for their checksum is right.
Result<SinkEntry> unpack_sink_entry(Bytes payload);

// Where the output of the job in this journal ends, without opening it for writing; none if there is no journal, no job
// in it, or an output that cannot be cut.
Result<std::optional<std::uint64_t>> output_end_of(const std::string& path);

}  // namespace ventile
