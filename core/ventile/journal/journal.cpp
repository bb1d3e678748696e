#include <ventile/journal/journal.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

#include <ventile/base/ids.hpp>

namespace ventile {
namespace {

constexpr const char* reserve_name = "reserve";
constexpr const char* new_name = "new";
constexpr std::uint64_t zeros_at_once = std::uint64_t{1} << 20;

Status write_zeros(File& file, std::uint64_t begin, std::uint64_t end) {
  Buffer zeros;
  const auto size = static_cast<std::size_t>(std::min(zeros_at_once, end - begin));
  if (size > 0) std::memset(zeros.extend(size), 0, size);
  for (std::uint64_t at = begin; at < end; at += size) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(size, end - at));
    if (Status written = file.write(at, zeros.bytes().first(count)); !written) return written;
  }
  return {};
}

}  // namespace

Journal::Journal(Folder& folder, JournalOptions options) : folder_(folder), options_(std::move(options)) {}
Journal::~Journal() = default;

// A full disk is no damage, and a record that is refused has changed nothing.
Status Journal::remember(Status status) {
  if (!status && status.error().code != Code::overloaded && status.error().code != Code::invalid) health_ = status;
  return status;
}

// --- Opening -----------------------------------------------------------------------------------------------------

Result<std::unique_ptr<Journal>> Journal::open(Folder& folder, JournalOptions options, const RecordVisitor& visit) {
  std::unique_ptr<Journal> journal{new Journal{folder, std::move(options)}};
  if (Status recovered = journal->recover(visit); !recovered) return recovered.error();
  return journal;
}

Status Journal::recover(const RecordVisitor& visit) {
  Result<JournalContent> content = read_journal(folder_, [&](const RecordView& record) {
    if (record.role == RecordRole::snapshot) snapshot_ = record.position;
    return visit(record);
  });
  if (!content) return content.error();
  if (content->damage) return damage_error(folder_, *content->damage);
  const Result<std::vector<std::string>> names = folder_.list();
  if (!names) return names.error();
  for (const char* const leftover : {reserve_name, new_name})
    if (std::find(names->begin(), names->end(), leftover) != names->end())
      if (Status removed = folder_.remove(leftover); !removed) return removed;
  fresh_ = content->empty();
  if (fresh_) {
    id_ = random_u64();
    if (Status started = start_segment(0); !started) return started;
  } else {
    const SegmentHeader& header = content->segments.front().header;
    if (header.owner != owner_tag(options_.owner))
      return Error{Code::invalid, folder_.path() + " is the journal of a " + owner_name(header.owner) + ", not of a " +
                                      options_.owner + "; give each its own folder"};
    id_ = header.journal;
    first_ = header.first;
    end_ = durable_ = content->end();
    if (Status continued = continue_segment(content->segments.back(), content->torn_bytes); !continued)
      return continued;
    if (Status retired = retire_before(snapshot_); !retired) return retired;
  }
  static_cast<void>(make_reserve());  // has_room() tries again.
  return {};
}

Status Journal::continue_segment(const SegmentContent& segment, std::uint64_t torn_bytes) {
  Result<std::unique_ptr<File>> file = folder_.open(segment.name);
  if (!file) return file.error();
  segment_ = std::move(*file);
  segment_name_ = segment.name;
  segment_size_ = segment.bytes;
  segment_first_ = segment.header.first;
  sealed_ = false;
  cut_bytes_ = torn_bytes;
  const std::uint64_t offset = segment_header_size + (end_ - segment_first_);
  if (torn_bytes > 0)
    if (Status cut = write_zeros(*segment_, offset, offset + torn_bytes); !cut) return cut;
  return segment_->sync();  // The process before this one may have been killed between its write and its sync.
}

// --- Writing -----------------------------------------------------------------------------------------------------

Status Journal::append(std::uint16_t kind, Bytes payload) { return add(RecordRole::record, kind, payload); }

Status Journal::append_snapshot(std::uint16_t kind, Bytes payload) {
  if (batch_count_ > 0) return Error{Code::invalid, "a snapshot must stand alone in its batch"};
  Status added = add(RecordRole::snapshot, kind, payload);
  batch_is_snapshot_ = static_cast<bool>(added);
  return added;
}

Status Journal::add(RecordRole role, std::uint16_t kind, Bytes payload) {
  if (!health_) return health_;
  if (payload.size() > options_.record_bytes_max)
    return Error{Code::invalid, "a record of " + std::to_string(payload.size()) + " bytes is larger than " +
                                    std::to_string(options_.record_bytes_max)};
  if (batch_is_snapshot_) return Error{Code::invalid, "a snapshot must stand alone in its batch"};
  append_record(batch_, role, kind, end_ + batch_.size(), payload);
  ++batch_count_;
  return {};
}

Status Journal::commit() {
  if (!health_) return health_;
  if (batch_count_ == 0) return {};
  const std::size_t without_commit = batch_.size();
  append_commit(batch_, end_ + batch_.size(), {end_, durable_, batch_count_});
  if (Status written = remember(write_batch()); !written) {
    batch_.truncate(without_commit);
    return written;
  }
  const Position start = end_;
  end_ += batch_.size();
  durable_ = end_;
  batch_.clear();
  batch_count_ = 0;
  sealed_ = false;
  if (!std::exchange(batch_is_snapshot_, false)) return {};
  snapshot_ = start;
  return remember(retire_before(start));
}

std::uint64_t Journal::room_in_segment() const {
  const std::uint64_t used = segment_header_size + (end_ - segment_first_) + commit_size;  // And a seal.
  return segment_size_ > used ? segment_size_ - used : 0;
}

Status Journal::write_batch() {
  // A snapshot begins a segment, so that those before it can go.
  if (batch_.size() > room_in_segment() || (batch_is_snapshot_ && end_ != segment_first_))
    if (Status started = start_segment(batch_.size()); !started) return started;
  if (Status written = segment_->write(segment_header_size + (end_ - segment_first_), batch_); !written) return written;
  return segment_->sync();
}

Status Journal::seal() {
  if (!health_) return health_;
  if (sealed_ || batch_count_ > 0 || room_in_segment() == 0) return {};
  Buffer seal;
  append_commit(seal, end_, {end_, durable_, 0});
  if (Status written = remember(segment_->write(segment_header_size + (end_ - segment_first_), seal)); !written)
    return written;
  end_ += seal.size();
  sealed_ = true;
  return {};
}

// --- Segments ----------------------------------------------------------------------------------------------------

// Its zeros are on the disk; its name may not be.
Result<std::unique_ptr<File>> Journal::make_file(const std::string& name, std::uint64_t size) {
  Result<std::unique_ptr<File>> file = folder_.create(name);
  if (!file) return file;
  Status made = write_zeros(**file, 0, size);
  if (made) made = (*file)->sync();
  if (made) return file;
  static_cast<void>(folder_.remove(name));  // Half a file is no use; what matters is why.
  return made.error();
}

Status Journal::make_reserve() {
  if (reserve_) return {};
  if (Result<std::unique_ptr<File>> file = make_file(reserve_name, options_.segment_bytes); !file) return file.error();
  reserve_ = true;
  return {};
}

bool Journal::has_room() {
  if (!health_) return false;
  return static_cast<bool>(remember(make_reserve()));
}

// The header is on the disk before the file has its name, so that a segment is never half a segment.
Status Journal::start_segment(std::uint64_t bytes_needed) {
  const std::uint64_t size = std::max(options_.segment_bytes, segment_header_size + bytes_needed + commit_size);
  const bool use_reserve = reserve_ && size == options_.segment_bytes;
  const char* const made = use_reserve ? reserve_name : new_name;
  Result<std::unique_ptr<File>> file = use_reserve ? folder_.open(reserve_name) : make_file(new_name, size);
  if (!file) return file.error();
  if (segment_ != nullptr)  // Its last seal, too, must be there for the next one to begin behind it.
    if (Status synced = segment_->sync(); !synced) return synced;
  durable_ = end_;
  Buffer header;
  append_segment_header(header, {id_, owner_tag(options_.owner), end_});
  if (Status written = (*file)->write(0, header); !written) return written;
  if (Status synced = (*file)->sync(); !synced) return synced;
  const std::string name = segment_name(end_);
  if (Status renamed = folder_.rename(made, name); !renamed) return renamed;
  if (use_reserve) reserve_ = false;
  if (Status synced = folder_.sync(); !synced) return synced;
  segment_ = std::move(*file);
  segment_name_ = name;
  segment_size_ = size;
  segment_first_ = end_;
  return {};
}

// Oldest first, so that what is left is always the end of a journal.
Status Journal::retire_before(Position position) {
  const Result<std::vector<std::string>> names = folder_.list();
  if (!names) return names.error();
  bool any = false;
  for (const std::string& name : *names) {
    const std::optional<Position> at = segment_position(name);
    if (!at || *at >= position || name == segment_name_) continue;
    if (Status removed = folder_.remove(name); !removed) return removed;
    if (Status synced = folder_.sync(); !synced) return synced;
    any = true;
  }
  if (any) first_ = position;
  return {};
}

}  // namespace ventile
