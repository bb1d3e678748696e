// An append log in a folder: what was committed is there after a crash, whole and in order. FORMAT.md has the bytes.
//
//    append, append, …            commit()                          sync succeeded
//   [gathering a batch] ----------------------> [being written] ----------------------> [durable]
//            ^                                        |  disk full: the batch waits, and commit() may be tried again
//            '----------------------------------------'
//
// A batch is there as a whole or not at all. Segments are made whole and filled with zeros before they are used, so
// that a commit is one write and one sync of data. One segment is kept in reserve: when the disk is full, has_room()
// says so while what was begun can still be finished.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>
#include <ventile/journal/file.hpp>
#include <ventile/journal/format.hpp>
#include <ventile/journal/reader.hpp>

namespace ventile {

struct JournalOptions {
  std::string owner;                                        // Up to eight letters; a journal of another is refused.
  std::uint64_t segment_bytes = std::uint64_t{16} << 20;    // Of a file. A larger batch gets one of its own size.
  std::uint64_t record_bytes_max = std::uint64_t{1} << 30;  // append() refuses a larger payload: Code::invalid.
};

// For one thread. After an error other than Code::overloaded or Code::invalid nothing is known about the disk: every
// later call fails the same way, and the process should stop; what was committed is found when it starts again.
class Journal {
public:
  // Visits what was committed before. A torn tail is cut; damage is Code::corrupt, with the file, the offset and what
  // to do; an unknown format or another's journal is Code::invalid. The folder must outlive the journal.
  static Result<std::unique_ptr<Journal>> open(Folder& folder, JournalOptions options, const RecordVisitor& visit);
  ~Journal();  // What was not committed is gone.
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;

  // Adds to the batch.
  Status append(std::uint16_t kind, Bytes payload);
  // A record that stands for everything before it, which is removed once it is committed. Nothing else may be in its
  // batch.
  Status append_snapshot(std::uint16_t kind, Bytes payload);
  // The batch is on the disk when this returns without an error. Code::overloaded: the disk is full, try again later.
  Status commit();
  // Says on the disk that what is durable is so, for whoever reads it after a crash and wonders what may be missing.
  // Call when no commit follows soon; costs a small write and no sync.
  Status seal();

  bool has_room();  // False while the disk has no place for the reserve: accept nothing new, finish what there is.
  std::uint64_t batch_bytes() const { return batch_.size(); }
  Position end() const { return end_; }                   // Behind what is durable.
  Position first() const { return first_; }               // Of what is kept.
  std::uint64_t cut_bytes() const { return cut_bytes_; }  // The torn tail that was found by open().
  bool fresh() const { return fresh_; }                   // There was no journal before open().
  // Bytes since the last snapshot; a reason to take one.
  std::uint64_t bytes_since_snapshot() const { return end_ - snapshot_; }

private:
  Journal(Folder& folder, JournalOptions options);

  Folder& folder_;
  JournalOptions options_;
  std::uint64_t id_ = 0;
  std::unique_ptr<File> segment_;
  std::string segment_name_;
  std::uint64_t segment_size_ = 0;
  Position segment_first_ = 0;
  Position first_ = 0;
  Position end_ = 0;  // Behind what is written: durable, and perhaps a seal.
  Position durable_ = 0;
  Position snapshot_ = 0;
  Buffer batch_;
  std::uint32_t batch_count_ = 0;
  bool batch_is_snapshot_ = false;
  bool sealed_ = true;
  bool fresh_ = false;
  bool reserve_ = false;  // The file is there.
  std::uint64_t cut_bytes_ = 0;
  Status health_;

  Status recover(const RecordVisitor& visit);
  Status continue_segment(const SegmentContent& segment, std::uint64_t torn_bytes);
  Status add(RecordRole role, std::uint16_t kind, Bytes payload);
  Status write_batch();
  Status start_segment(std::uint64_t bytes_needed);
  Result<std::unique_ptr<File>> make_file(const std::string& name, std::uint64_t size);
  Status make_reserve();
  Status retire_before(Position position);
  Status remember(Status status);
  std::uint64_t room_in_segment() const;
};

}  // namespace ventile
