// The journal's bytes, as FORMAT.md describes them: segments, records, commits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// Counts the bytes of all records of a journal from its beginning, across segments.
using Position = std::uint64_t;

inline constexpr std::uint16_t journal_version = 1;
inline constexpr std::size_t segment_header_size = 64;
inline constexpr std::size_t record_header_size = 24;
inline constexpr std::size_t record_alignment = 8;

struct SegmentHeader {
  std::uint64_t journal = 0;  // Random; the same in all segments of one journal.
  std::uint64_t owner = 0;    // What its records mean: see owner_tag().
  Position first = 0;         // Of its first record.

  bool operator==(const SegmentHeader&) const = default;
};

// Up to eight letters, such as "sink", as the number in a header, and back.
std::uint64_t owner_tag(const std::string& name);
std::string owner_name(std::uint64_t tag);

enum class RecordRole : std::uint8_t { record = 1, snapshot = 2, commit = 3 };

// A record in the bytes of its segment.
struct RecordView {
  RecordRole role = RecordRole::record;
  std::uint16_t kind = 0;  // The owner's.
  Position position = 0;
  Bytes payload;

  std::size_t size() const;  // In the segment, padding included.
};

// What a commit says.
struct Commit {
  Position start = 0;       // Of the first record of its batch; its own if the batch is empty.
  Position durable = 0;     // Everything before was on the disk when this was written.
  std::uint32_t count = 0;  // Records of the batch.

  bool operator==(const Commit&) const = default;
};

inline constexpr std::size_t commit_size = record_header_size + 24;

constexpr std::size_t padded(std::size_t size) {
  return (size + record_alignment - 1) / record_alignment * record_alignment;
}
constexpr std::size_t record_size(std::size_t payload) { return padded(record_header_size + payload); }

void append_segment_header(Buffer& out, const SegmentHeader& header);
// Code::corrupt if these are not the bytes of a header; Code::invalid if they are of a version that is not known here.
Result<SegmentHeader> read_segment_header(Bytes segment);

void append_record(Buffer& out, RecordRole role, std::uint16_t kind, Position position, Bytes payload);
void append_commit(Buffer& out, Position position, const Commit& commit);

// The record at `offset` of a segment that begins at `first`; none if there is no whole and undamaged one.
std::optional<RecordView> record_at(Bytes segment, std::size_t offset, Position first);
std::optional<Commit> commit_of(const RecordView& record);

// "00000000000a4c00.segment": by its first position, so that names sort as positions do.
std::string segment_name(Position first);
std::optional<Position> segment_position(const std::string& name);

}  // namespace ventile
