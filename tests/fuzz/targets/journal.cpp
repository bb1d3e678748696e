// The files of a journal, as a disk may have left them. The first byte says how many there are and whether their
// checksums are put right, the bytes after it where each ends.
#include <cstring>
#include <vector>

#include <tests/core/journal/memory_folder.hpp>
#include <tests/fuzz/fuzz.hpp>
#include <ventile/base/crc32c.hpp>
#include <ventile/journal/reader.hpp>

using namespace ventile;

namespace {

void store_checksum(std::vector<std::byte>& bytes, std::size_t at, std::size_t begin, std::size_t end) {
  const std::uint32_t checksum = crc32c(Bytes{bytes}.subspan(begin, end - begin));
  std::memcpy(bytes.data() + at, &checksum, sizeof checksum);
}

// Checksums that are right, for as far as the lengths lead.
void put_right(std::vector<std::byte>& segment) {
  if (segment.size() < segment_header_size) return;
  store_checksum(segment, 60, 0, 60);
  for (std::size_t at = segment_header_size; at + record_header_size <= segment.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, segment.data() + at + 4, sizeof length);
    const std::size_t size = record_size(length);
    if (size > segment.size() - at) return;
    store_checksum(segment, at, at + 4, at + size);
    at += size;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Feed feed{fuzz::bytes_of(data, size)};
  MemoryDisk disk;
  const std::uint64_t choice = feed.below(6);
  const std::uint64_t segments = 1 + choice % 3;
  for (std::uint64_t i = 0; i < segments; ++i) {
    const std::size_t length = i + 1 == segments ? size : std::size_t{feed.byte()} * 8;
    const Bytes taken = feed.take(length);
    std::vector<std::byte> bytes{taken.begin(), taken.end()};
    if (choice >= 3) put_right(bytes);
    // Its name is what its header says, where there is one: else all would end at the first name.
    const Result<SegmentHeader> header = read_segment_header(bytes);
    disk.put(segment_name(header ? header->first : i * 4096), std::move(bytes));
  }
  std::uint64_t records = 0;
  const auto count = [&](const RecordView& record) -> Status {
    ++records;
    std::uint8_t all = 0;
    for (const std::byte byte : record.payload) all ^= static_cast<std::uint8_t>(byte);
    return all == 0 ? Status{} : Status{};
  };
  const auto folder = disk.folder();
  const Result<JournalContent> content = read_journal(*folder, count);
  if (!content) return 0;
  std::uint64_t said = 0;
  for (const SegmentContent& segment : content->segments) said += segment.records;
  fuzz::hold(said == records || content->damage.has_value(), "every record that is counted was shown");
  if (!content->damage) return 0;
  const Result<Repair> repaired = repair_journal(*folder);
  if (!repaired) return 0;
  const Result<JournalContent> after = read_journal(*folder, count);
  fuzz::hold(after && !after->damage, "a repaired journal is sound");
  return 0;
}
