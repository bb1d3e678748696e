#include <ventile/queue/job_journal.hpp>

#include <algorithm>

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

struct WholeJob {
  JobMemory memory;
  std::vector<Suspect> suspects;

  static auto fields(auto& self) { return std::tie(self.memory, self.suspects); }
};

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
Buffer pack_entry(Number first, const PayloadView& payloads) {
  constexpr std::size_t headers_max = 32;
  constexpr std::size_t header_max = 5;  // Of one payload.
  const std::uint32_t count = payloads.count();
  Buffer bytes{headers_max + payloads.run(0, count).size() + header_max * count};
  Packer packer{bytes};
  packer.pack_array(2);
  packer.pack_unsigned(first);
  packer.pack_array(count);
  for (std::uint32_t i = 0; i < count; ++i) packer.pack_binary(payloads[i]);
  return bytes;
}
Buffer pack_entry(const InputMark& mark) { return packed(mark); }
Buffer pack_entry(std::uint64_t total) { return packed(total); }
Buffer pack_entry(Range range) { return packed(range); }
Buffer pack_entry(const Suspect& suspect) { return packed(suspect); }
Buffer pack_entry(const JobMemory& state) {
  Buffer bytes;
  Packer packer{bytes};
  packer.pack_array(2);
  pack_value(packer, state);
  pack_value(packer, state.suspects.all());
  return bytes;
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
      kind == JobEntryKind::leased ? state.begun.insert(*read) : state.begun.erase(*read);
      return {};
    }
    case JobEntryKind::suspected: {
      const Result<Suspect> read = unpacked<Suspect>(payload);
      if (!read) return read.error();
      state.suspects.note(*read);
      return {};
    }
    case JobEntryKind::whole: {
      if (Result<WholeJob> whole = unpacked<WholeJob>(payload)) {
        state = std::move(whole->memory);
        state.suspects = Suspects{std::move(whole->suspects)};
        return {};
      }
      Result<JobMemory> read = unpacked<JobMemory>(payload);  // Of a release that did not know suspects.
      if (!read) return read.error();
      state = std::move(*read);
      return {};
    }
  }
  return Error{Code::corrupt, "the job's journal has an entry of a kind that this release does not know"};
}

}  // namespace ventile
