#include <ventile/journal/reader.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace ventile {
namespace {

constexpr const char* aside = ".damaged";

// Reads one segment, batch by batch.
class SegmentReader {
public:
  SegmentReader(Bytes bytes, SegmentContent& content) : bytes_(bytes), content_(content) {}

  // Up to the first bytes that do not continue a committed batch.
  Status read(const RecordVisitor& visit) {
    content_.end = content_.header.first;
    while (true) {
      const std::optional<std::size_t> end = batch_end();
      if (!end) return {};
      for (const RecordView& record : batch_) {
        if (Status visited = visit(record); !visited) return visited;
        ++content_.records;
        content_.snapshots += record.role == RecordRole::snapshot ? 1 : 0;
      }
      ++content_.batches;
      offset_ = *end;
      content_.end = position(offset_);
    }
  }

  std::size_t offset() const { return offset_; }       // Of the end.
  std::size_t stopped_at() const { return stopped_; }  // Of the first record that is not one.

  // Whether some commit behind the end says that the bytes at the stop had been on the disk.
  bool was_durable() const {
    for (std::size_t at = offset_; at + commit_size <= bytes_.size(); at += record_alignment) {
      const std::optional<RecordView> record = record_at(bytes_, at, content_.header.first);
      if (!record) continue;
      if (const std::optional<Commit> commit = commit_of(*record); commit && commit->durable > position(stopped_))
        return true;
    }
    return false;
  }

  std::uint64_t torn_bytes() const {
    const Bytes rest = bytes_.subspan(std::min(offset_, bytes_.size()));
    std::size_t end = rest.size();
    while (end > 0 && rest[end - 1] == std::byte{0}) --end;
    return end;
  }

private:
  Bytes bytes_;
  SegmentContent& content_;
  std::size_t offset_ = segment_header_size;
  std::size_t stopped_ = segment_header_size;
  std::vector<RecordView> batch_;

  Position position(std::size_t offset) const { return content_.header.first + (offset - segment_header_size); }

  // Collects the batch at the offset; returns where it ends, or none if it is not there as a whole.
  std::optional<std::size_t> batch_end() {
    batch_.clear();
    for (stopped_ = offset_;;) {
      const std::optional<RecordView> record = record_at(bytes_, stopped_, content_.header.first);
      if (!record) return std::nullopt;
      if (record->role == RecordRole::commit) {
        const std::optional<Commit> commit = commit_of(*record);
        if (!commit || commit->start != position(offset_) || commit->count != batch_.size()) return std::nullopt;
        return stopped_ + record->size();
      }
      batch_.push_back(*record);
      stopped_ += record->size();
    }
  }
};

// Reads the segments in order and compares what one ends with with what the next begins with.
class Reading {
public:
  Reading(Folder& folder, const RecordVisitor& visit) : folder_(folder), visit_(visit) {}

  Result<JournalContent> read(const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size() && !content_.damage; ++i)
      if (Status read = read_segment(names[i], i + 1 < names.size() ? segment_position(names[i + 1]) : std::nullopt);
          !read)
        return read.error();
    if (!content_.damage && begun_ && !complete_)
      static_cast<void>(damaged(content_.segments.front().name, 0, "what was before it is missing"));
    return std::move(content_);
  }

private:
  Folder& folder_;
  const RecordVisitor& visit_;
  JournalContent content_;
  bool begun_ = false;     // A record was seen,
  bool complete_ = false;  // and nothing before it is missing.

  // Ends the reading, without an error: what was read so far counts.
  Status damaged(const std::string& name, std::uint64_t offset, std::string what) {
    content_.damage = Damage{name, offset, std::move(what)};
    return {};
  }

  Status read_segment(const std::string& name, std::optional<Position> next) {
    Result<std::unique_ptr<File>> file = folder_.open(name);
    if (!file) return file.error();
    const Result<Buffer> bytes = (*file)->read();
    if (!bytes) return bytes.error();
    SegmentContent segment;
    segment.name = name;
    segment.bytes = bytes->size();
    const Result<SegmentHeader> header = read_segment_header(*bytes);
    if (!header && header.error().code == Code::invalid)
      return Error{Code::invalid, folder_.path() + "/" + name + ": " + header.error().message};
    if (!header) return damaged(name, 0, header.error().message);
    segment.header = *header;
    if (const std::string wrong = misplaced(segment); !wrong.empty()) return damaged(name, 0, wrong);
    if (segment.header.first == 0) complete_ = true;
    SegmentReader reader{*bytes, segment};
    if (Status read = reader.read([this](const RecordView& record) { return take(record); }); !read) return read;
    check_end(reader, segment, next);
    content_.segments.push_back(std::move(segment));
    return {};
  }

  std::string misplaced(const SegmentContent& segment) const {
    if (segment.header.first != segment_position(segment.name)) return "its header names another position";
    if (content_.segments.empty()) return {};
    const SegmentContent& before = content_.segments.back();
    if (segment.header.journal != before.header.journal) return "it belongs to another journal";
    return {};
  }

  // A journal begins with the segment at position 0 or, once what was before has been retired, with a snapshot. The
  // power may go in the middle of retiring: what is left before the snapshot is passed over.
  Status take(const RecordView& record) {
    if (record.role == RecordRole::snapshot) complete_ = true;
    begun_ = true;
    return complete_ ? visit_(record) : Status{};
  }

  void check_end(const SegmentReader& reader, const SegmentContent& segment, std::optional<Position> next) {
    if (next && segment.end != *next)
      static_cast<void>(damaged(segment.name, reader.stopped_at(), "a record is damaged or missing"));
    else if (!next && reader.was_durable())
      static_cast<void>(damaged(segment.name, reader.stopped_at(), "a record is damaged"));
    else if (!next)
      content_.torn_bytes = reader.torn_bytes();
  }
};

std::vector<std::string> segments_of(const std::vector<std::string>& names) {
  std::vector<std::string> segments;
  std::copy_if(names.begin(), names.end(), std::back_inserter(segments),
               [](const std::string& name) { return segment_position(name).has_value(); });
  return segments;
}

// Undamaged records in these bytes from `offset` on, whether or not they were committed.
std::uint64_t records_after(Bytes bytes, std::size_t offset, Position first) {
  std::uint64_t count = 0;
  while (offset + record_header_size <= bytes.size()) {
    const std::optional<RecordView> record = record_at(bytes, offset, first);
    count += record && record->role != RecordRole::commit ? 1 : 0;
    offset += record ? record->size() : record_alignment;
  }
  return count;
}

Status copy_file(Folder& folder, const std::string& from, const std::string& to) {
  Result<std::unique_ptr<File>> source = folder.open(from);
  if (!source) return source.error();
  const Result<Buffer> bytes = (*source)->read();
  if (!bytes) return bytes.error();
  Result<std::unique_ptr<File>> target = folder.create(to);
  if (!target) return target.error();
  if (Status written = (*target)->write(0, *bytes); !written) return written;
  return (*target)->sync();
}

Status clear_from(Folder& folder, const std::string& name, std::uint64_t offset) {
  Result<std::unique_ptr<File>> file = folder.open(name);
  if (!file) return file.error();
  const Result<Buffer> bytes = (*file)->read();
  if (!bytes) return bytes.error();
  Buffer zeros;
  const std::size_t count = bytes->size() - std::min<std::size_t>(offset, bytes->size());
  if (count == 0) return {};  // The damage is that more is missing.
  std::memset(zeros.extend(count), 0, count);
  if (Status written = (*file)->write(offset, zeros); !written) return written;
  return (*file)->sync();
}

}  // namespace

Result<JournalContent> read_journal(Folder& folder, const RecordVisitor& visit) {
  const Result<std::vector<std::string>> names = folder.list();
  if (!names) return names.error();
  return Reading{folder, visit}.read(segments_of(*names));
}

Error damage_error(const Folder& folder, const Damage& damage) {
  return {Code::corrupt, folder.path() + "/" + damage.segment + " is damaged at byte " + std::to_string(damage.offset) +
                             ": " + damage.what + "; see what is left with 'ventile journal verify " + folder.path() +
                             "', and go on without the rest with 'ventile journal repair " + folder.path() + "'"};
}

Result<Repair> repair_journal(Folder& folder) {
  Result<JournalContent> content = read_journal(folder, [](const RecordView&) { return Status{}; });
  if (!content) return content.error();
  Repair repair;
  for (const SegmentContent& segment : content->segments) repair.records_left += segment.records;
  if (!content->damage) return repair;
  const Result<std::vector<std::string>> names = folder.list();
  if (!names) return names.error();
  // The last segment that was read keeps its undamaged beginning; it may be the damaged one or the one before.
  const bool keeps_beginning = !content->segments.empty() && content->segments.back().name == content->damage->segment;
  for (const std::string& name : segments_of(*names)) {
    if (name < content->damage->segment) continue;
    Result<std::unique_ptr<File>> file = folder.open(name);
    if (!file) return file.error();
    const Result<Buffer> bytes = (*file)->read();
    if (!bytes) return bytes.error();
    const bool cut = keeps_beginning && name == content->damage->segment;
    const Position first = *segment_position(name);
    const std::size_t from = segment_header_size + (cut ? content->end() - first : 0);
    repair.records_lost += records_after(*bytes, from, first);
    const std::string kept = name + aside;
    if (Status copied = copy_file(folder, name, kept); !copied) return copied.error();
    repair.kept_aside.push_back(kept);
    if (Status synced = folder.sync(); !synced) return synced.error();
    if (Status done = cut ? clear_from(folder, name, from) : folder.remove(name); !done) return done.error();
  }
  if (Status synced = folder.sync(); !synced) return synced.error();
  return repair;
}

}  // namespace ventile
