#include <ventile/journal/format.hpp>

#include <algorithm>
#include <bit>
#include <cstring>

#include <ventile/base/crc32c.hpp>
#include <ventile/base/ids.hpp>

namespace ventile {
namespace {

static_assert(std::endian::native == std::endian::little, "the journal is written as it lies in memory");

constexpr std::uint64_t magic = 0x4c4e524a4c544e56;  // "VNTLJRNL"
constexpr std::size_t header_checksum_at = segment_header_size - sizeof(std::uint32_t);
constexpr const char* suffix = ".segment";
constexpr std::size_t position_digits = 16;

template <class T>
void put(std::byte* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <class T>
T get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Where a record's header has what.
constexpr std::size_t length_at = 4;
constexpr std::size_t position_at = 8;
constexpr std::size_t role_at = 16;
constexpr std::size_t kind_at = 18;

}  // namespace

std::uint64_t owner_tag(const std::string& name) {
  std::uint64_t tag = 0;
  std::memcpy(&tag, name.data(), std::min(name.size(), sizeof tag));
  return tag;
}

std::string owner_name(std::uint64_t tag) {
  char text[sizeof tag + 1] = {};
  std::memcpy(text, &tag, sizeof tag);
  return text;
}

std::size_t RecordView::size() const { return record_size(payload.size()); }

void append_segment_header(Buffer& out, const SegmentHeader& header) {
  std::byte* at = out.extend(segment_header_size);
  std::memset(at, 0, segment_header_size);
  put(at, magic);
  put(at + 8, journal_version);
  put(at + 10, static_cast<std::uint16_t>(segment_header_size));
  put(at + 16, header.journal);
  put(at + 24, header.owner);
  put(at + 32, header.first);
  put(at + header_checksum_at, crc32c({at, header_checksum_at}));
}

Result<SegmentHeader> read_segment_header(Bytes segment) {
  if (segment.size() < segment_header_size) return Error{Code::corrupt, "it is shorter than a header"};
  const std::byte* at = segment.data();
  if (get<std::uint64_t>(at) != magic) return Error{Code::corrupt, "it does not begin as a journal does"};
  if (get<std::uint32_t>(at + header_checksum_at) != crc32c({at, header_checksum_at}))
    return Error{Code::corrupt, "the checksum of its header is wrong"};
  if (const auto version = get<std::uint16_t>(at + 8); version != journal_version)
    return Error{Code::invalid, "it has journal format " + std::to_string(version) + ", and this program knows " +
                                    std::to_string(journal_version) + "; use the release that wrote it"};
  return SegmentHeader{get<std::uint64_t>(at + 16), get<std::uint64_t>(at + 24), get<std::uint64_t>(at + 32)};
}

void append_record(Buffer& out, RecordRole role, std::uint16_t kind, Position position, Bytes payload) {
  const std::size_t size = record_size(payload.size());
  std::byte* at = out.extend(size);
  std::memset(at, 0, record_header_size);
  put(at + length_at, static_cast<std::uint32_t>(payload.size()));
  put(at + position_at, position);
  put(at + role_at, role);
  put(at + kind_at, kind);
  if (!payload.empty()) std::memcpy(at + record_header_size, payload.data(), payload.size());
  std::memset(at + record_header_size + payload.size(), 0, size - record_header_size - payload.size());
  put(at, crc32c({at + length_at, size - length_at}));
}

void append_commit(Buffer& out, Position position, const Commit& commit) {
  std::byte payload[commit_size - record_header_size] = {};
  put(payload, commit.start);
  put(payload + 8, commit.durable);
  put(payload + 16, commit.count);
  append_record(out, RecordRole::commit, 0, position, payload);
}

std::optional<RecordView> record_at(Bytes segment, std::size_t offset, Position first) {
  if (offset < segment_header_size || offset > segment.size() || segment.size() - offset < record_header_size)
    return std::nullopt;
  const std::byte* at = segment.data() + offset;
  const auto role = get<std::uint8_t>(at + role_at);
  const std::size_t size = record_size(get<std::uint32_t>(at + length_at));
  if (get<Position>(at + position_at) != first + (offset - segment_header_size) || role < 1 || role > 3 ||
      size > segment.size() - offset || get<std::uint32_t>(at) != crc32c({at + length_at, size - length_at}))
    return std::nullopt;
  return RecordView{RecordRole{role}, get<std::uint16_t>(at + kind_at), get<Position>(at + position_at),
                    segment.subspan(offset + record_header_size, get<std::uint32_t>(at + length_at))};
}

std::optional<Commit> commit_of(const RecordView& record) {
  if (record.role != RecordRole::commit || record_header_size + record.payload.size() != commit_size)
    return std::nullopt;
  const std::byte* at = record.payload.data();
  return Commit{get<Position>(at), get<Position>(at + 8), get<std::uint32_t>(at + 16)};
}

std::string segment_name(Position first) { return to_hex(first) + suffix; }

std::optional<Position> segment_position(const std::string& name) {
  if (name.size() != position_digits + std::strlen(suffix) || !name.ends_with(suffix)) return std::nullopt;
  Position position = 0;
  for (const char digit : name.substr(0, position_digits)) {
    const bool is_digit = digit >= '0' && digit <= '9';
    if (!is_digit && (digit < 'a' || digit > 'f')) return std::nullopt;
    position = position * 16 + static_cast<Position>(is_digit ? digit - '0' : digit - 'a' + 10);
  }
  return position;
}

}  // namespace ventile
