#include <ventile/queue/sink_journal.hpp>

#include <filesystem>

#include <ventile/journal/reader.hpp>
#include <ventile/wire/convert.hpp>

namespace ventile {

Buffer pack_entry(const SinkEntry& entry) {
  Buffer bytes;
  Packer packer{bytes};
  pack_value(packer, entry);
  return bytes;
}

Result<SinkEntry> unpack_sink_entry(Bytes payload) {
  SinkEntry entry;
  Unpacker unpacker{payload};
  if (unpack_value(unpacker, entry) && unpacker.at_end()) return entry;
  return Error{Code::corrupt, "an entry of the sink's journal cannot be read; use the release that wrote it"};
}

Result<std::optional<std::uint64_t>> output_end_of(const std::string& path) {
  std::optional<std::uint64_t> end;
  if (!std::filesystem::exists(path)) return end;
  Result<std::unique_ptr<Folder>> folder = open_existing_folder(path, false);
  if (!folder) return folder.error();
  const Result<JournalContent> content = read_journal(**folder, [&end](const RecordView& record) {
    const Result<SinkEntry> entry = unpack_sink_entry(record.payload);
    if (!entry) return Status{entry.error()};
    end = entry->output_rewinds ? std::optional{entry->output_end} : std::nullopt;
    return Status{};
  });
  if (!content) return content.error();
  if (content->damage) return damage_error(**folder, *content->damage);
  return end;
}

}  // namespace ventile
