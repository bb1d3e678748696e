#include <ventile/queue/job_journal.hpp>

#include <algorithm>

#include <ventile/base/interval_set.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

template <class T>
Buffer packed(const T& value) {
  Buffer bytes;
  Packer packer{bytes};
  pack_value(packer, value);
  return bytes;
}

template <class T>
Result<T> unpacked(Bytes payload) {
  T value{};
  Unpacker unpacker{payload};
  if (unpack_value(unpacker, value) && unpacker.at_end()) return value;
  return Error{Code::corrupt, "an entry of the job's journal cannot be read; use the release that wrote it"};
}

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string source_text(const JobSource& source) {
  if (source.name.empty()) return "a range";
  return source.reread ? source.name + " of " + std::to_string(source.bytes) + " bytes" : source.name;
}

std::string range_text(const JobSpecification& job) {
  return std::to_string(job.index_count) + " numbers from " + std::to_string(job.index.start);
}

}  // namespace

std::string difference(const JobSpecification& before, const JobSpecification& now) {
  if (before.name != now.name) return "it holds job " + quoted(before.name) + ", not " + quoted(now.name);
  if (before.function != now.function)
    return "it ran " + quoted(before.function) + ", and now it is to run " + quoted(now.function);
  if (before.constants != now.constants) return "it had other --args";
  if (before.index.enabled && now.index.enabled &&
      (!(before.index == now.index) || before.index_count != now.index_count))
    return "its range was " + range_text(before) + ", and now it is " + range_text(now);
  if (source_text(before.source) != source_text(now.source))
    return "its input was " + source_text(before.source) + ", and now it is " + source_text(now.source);
  if (before.source.format != now.source.format)
    return "its input was read as " + before.source.format + ", and now as " + now.source.format;
  if (before.source.checksum != now.source.checksum)
    return "its input " + before.source.name + " is as long as before and has other contents";
  return {};
}

Buffer pack_entry(const JobSpecification& specification) { return packed(specification); }
Buffer pack_entry(const JobBlock& block) { return packed(block); }
Buffer pack_entry(const InputMark& mark) { return packed(mark); }
Buffer pack_entry(std::uint64_t total) { return packed(total); }
Buffer pack_entry(Range range) { return packed(range); }
Buffer pack_entry(const JobMemory& state) { return packed(state); }

void JobMemory::on_leased(Range range) {
  if (!begun.empty() && begun.back().end() == range.first)
    begun.back().count += range.count;
  else
    begun.push_back(range);
}

void JobMemory::on_returned(Range range) {
  IntervalSet left;
  for (const Range one : begun) left.insert(one);
  left.erase(range);
  begun = left.ranges();
}

Status apply_entry(JobMemory& state, JobEntryKind kind, Bytes payload) {
  switch (kind) {
    case JobEntryKind::specification: {
      Result<JobSpecification> read = unpacked<JobSpecification>(payload);
      if (!read) return read.error();
      state = {.specification = std::move(*read)};
      return {};
    }
    case JobEntryKind::block: {
      Result<JobBlock> read = unpacked<JobBlock>(payload);
      if (!read) return read.error();
      state.submitted = std::max(state.submitted, read->first + read->payloads.size());
      state.blocks.push_back(std::move(*read));
      return {};
    }
    case JobEntryKind::mark: {
      const Result<InputMark> read = unpacked<InputMark>(payload);
      if (!read) return read.error();
      state.submitted = std::max(state.submitted, read->number);
      state.marks.push_back(*read);
      return {};
    }
    case JobEntryKind::ended: {
      const Result<std::uint64_t> read = unpacked<std::uint64_t>(payload);
      if (!read) return read.error();
      state.total = state.submitted = *read;
      return {};
    }
    case JobEntryKind::cancelled: {
      const Result<std::uint64_t> read = unpacked<std::uint64_t>(payload);
      if (!read) return read.error();
      state.submitted = *read;
      state.cancelled = true;
      return {};
    }
    case JobEntryKind::closed:
      state.closed = true;
      return {};
    case JobEntryKind::leased:
    case JobEntryKind::returned: {
      const Result<Range> read = unpacked<Range>(payload);
      if (!read) return read.error();
      kind == JobEntryKind::leased ? state.on_leased(*read) : state.on_returned(*read);
      return {};
    }
    case JobEntryKind::whole: {
      Result<JobMemory> read = unpacked<JobMemory>(payload);
      if (!read) return read.error();
      state = std::move(*read);
      return {};
    }
  }
  return Error{Code::corrupt, "the job's journal has an entry of a kind that this release does not know"};
}

}  // namespace ventile
