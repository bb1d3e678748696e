// Reads a journal back: what was committed, where it ends, and whether it is what was written.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/journal/file.hpp>
#include <ventile/journal/format.hpp>

namespace ventile {

// Called for every record and snapshot whose batch was committed, in order. A snapshot stands for all before it:
// forget what came earlier. The payload is valid during the call. An error ends the reading.
using RecordVisitor = std::function<Status(const RecordView&)>;

struct SegmentContent {
  std::string name;
  SegmentHeader header;
  std::uint64_t bytes = 0;    // Of the file.
  std::uint64_t records = 0;  // Committed ones, snapshots included.
  std::uint64_t snapshots = 0;
  std::uint64_t batches = 0;
  Position end = 0;  // Behind its last commit.
};

// Bytes that were on the disk, and are not what they were.
struct Damage {
  std::string segment;
  std::uint64_t offset = 0;  // In the file.
  std::string what;
};

struct JournalContent {
  std::vector<SegmentContent> segments;  // Up to the damage.
  std::uint64_t torn_bytes = 0;          // Behind the last commit: written and never acknowledged.
  std::optional<Damage> damage;

  bool empty() const { return segments.empty(); }
  Position end() const { return segments.empty() ? 0 : segments.back().end; }
};

// Damage is in the answer; an error is a folder that cannot be read, a format not known here (Code::invalid), or the
// visitor's.
//
// What stands behind the last commit is a torn tail (a batch that was being written when the power went) unless some
// later commit says that those bytes had been on the disk: then it is damage.
Result<JournalContent> read_journal(Folder& folder, const RecordVisitor& visit);

// What to tell a person about damage: file, offset, what is wrong, and what to do.
Error damage_error(const Folder& folder, const Damage& damage);

struct Repair {
  std::vector<std::string> kept_aside;  // Files that hold the damaged bytes from now on, unchanged.
  std::uint64_t records_left = 0;
  std::uint64_t records_lost = 0;  // Readable ones behind the damage; how many are unreadable nobody can know.
};

// Ends a damaged journal before the damage. What was behind it is kept in files named *.damaged.
Result<Repair> repair_journal(Folder& folder);

}  // namespace ventile
