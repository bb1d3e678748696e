#include <ventile/wire/codec.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string>
#include <type_traits>

#include <ventile/base/crc32c.hpp>
#include <ventile/wire/convert.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile {
namespace {

struct Header {
  std::array<char, 4> magic{'V', 'N', 'T', 'L'};
  std::uint16_t version = protocol_version;
  std::uint16_t zero = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint16_t header_length = frame_header_size;
  std::uint32_t body_length = 0;
  std::uint32_t payload_count = 0;
  std::uint32_t payload_length = 0;
  std::uint64_t job_high = 0;
  std::uint64_t job_low = 0;
  std::uint64_t incarnation = 0;
  std::uint64_t session = 0;
  std::uint64_t sequence = 0;
  std::uint32_t content_crc = 0;
  std::uint32_t header_crc = 0;
};
static_assert(std::is_trivially_copyable_v<Header>);
static_assert(sizeof(Header) == frame_header_size);

Header load_header(Bytes frame) {
  Header header;
  std::memcpy(&header, frame.data(), sizeof header);
  return header;
}

std::uint32_t crc_of_header(const Header& header) {
  std::array<std::byte, frame_header_size> bytes{};
  std::memcpy(bytes.data(), &header, sizeof header);
  return crc32c(Bytes{bytes}.first(frame_header_size - sizeof header.header_crc));
}

void store_header(Buffer& frame, Header header) {
  header.header_crc = crc_of_header(header);
  std::memcpy(frame.data(), &header, sizeof header);
}

Error invalid(std::string why) { return {Code::invalid, std::move(why)}; }

// --- What the fields of a message must satisfy beyond their types ---

template <class Enum>
bool at_most(Enum value, Enum last) {
  return static_cast<std::underlying_type_t<Enum>>(value) <= static_cast<std::underlying_type_t<Enum>>(last);
}

bool fits(Range range) { return range.count <= UINT64_MAX - range.first; }
bool fits(const std::vector<Range>& ranges) {
  return std::all_of(ranges.begin(), ranges.end(), [](Range r) { return fits(r); });
}

constexpr auto last_outcome = static_cast<Outcome>(outcome_count - 1);

template <class M>
const char* complaint(const M&) {
  return nullptr;
}
const char* complaint(const Hello& m) {
  if (!at_most(m.role, Role::client)) return "the role is unknown";
  for (const HeldRange& held : m.held)
    if (!fits(held.range) || !fits(held.seal.range)) return "a held range is too large";
  return nullptr;
}
const char* complaint(const Refused& m) {
  return at_most(m.reason, Refusal::unauthorized) ? nullptr : "the reason is unknown";
}
const char* complaint(const std::vector<RangeOutcome>& exceptions) {
  for (const RangeOutcome& exception : exceptions)
    if (!fits(exception.range) || exception.outcome == Outcome::done || !at_most(exception.outcome, last_outcome))
      return "an exception has no such outcome";
  return nullptr;
}
const char* complaint(const Opened& m) { return fits(m.have) ? complaint(m.exceptions) : "a range is too large"; }
const char* complaint(const Submit& m) { return fits(m.have) ? complaint(m.exceptions) : "a range is too large"; }
const char* complaint(const Fetch& m) { return fits(m.have) ? nullptr : "a range is too large"; }
const char* complaint(const Offer& m) {
  if (!fits(m.range) || m.range.empty()) return "the range is empty or too large";
  if (m.payloads.count() != 0 && m.payloads.count() != m.range.count)
    return "the number of payloads is not that of the range";
  return nullptr;
}
const char* complaint(const Tasks& m) {
  if (!fits(m.range) || !fits(m.seal.range)) return "the range is too large";
  if (m.payloads.count() != 0 && m.payloads.count() != m.range.count)
    return "the number of payloads is not that of the range";
  return nullptr;
}
const char* complaint(const Part& m) {
  if (m.payloads.count() != 1) return "a part has exactly one payload";
  if (m.payloads[0].empty()) return "a part is empty";
  if (m.offset > m.total || m.payloads[0].size() > m.total - m.offset) return "the part ends behind its message";
  return nullptr;
}
const char* complaint(const std::vector<Failure>& failures, Range range) {
  std::uint64_t next = 0;
  for (const Failure& failure : failures) {
    if (failure.offset < next || failure.offset >= range.count)
      return "the failures are not in order or not in the range";
    if (failure.outcome == Outcome::done || !at_most(failure.outcome, last_outcome))
      return "a failure has no such outcome";
    next = std::uint64_t{failure.offset} + 1;
  }
  return nullptr;
}
const char* complaint(const Results& m) {
  if (!fits(m.range) || m.range.empty() || !fits(m.seal.range)) return "the range is empty or too large";
  if (m.payloads.count() != (m.folded ? 1 : m.range.count)) return "the number of payloads is not that of the range";
  if (m.folded && !m.failures.empty()) return "a folded result contains failures";
  return complaint(m.failures, m.range);
}
const char* complaint(const Flow& m) {
  if (!fits(m.range) || m.range.empty() || m.range.count > Flow::tasks_max || !fits(m.seal.range))
    return "the range is empty or too large";
  if (m.payloads.count() != (m.index.enabled ? 0 : m.range.count))
    return "the number of payloads is not that of the range";
  if (m.index.enabled && !m.failures.empty()) return "tasks that have not run have failed";
  return complaint(m.failures, m.range);
}
const char* complaint(const Stored& m) {
  for (const Settlement& settlement : m.settlements) {
    if (!fits(settlement.range) || !at_most(settlement.verdict, Verdict::refused))
      return "a settlement is out of range";
    Number next = settlement.range.first;
    for (const FailureNote& note : settlement.failures) {
      if (!at_most(note.outcome, last_outcome) || note.outcome == Outcome::done) return "a failure has no such outcome";
      if (!fits(note.range) || note.range.empty() || note.range.first < next ||
          note.range.end() > settlement.range.end())
        return "the failures are not in order or not in the range";
      next = note.range.end();
    }
  }
  return nullptr;
}
const char* complaint(const Verdicts& m) {
  for (const VerdictNote& note : m.verdicts)
    if (!fits(note.range) || !at_most(note.verdict, Verdict::refused)) return "a verdict is out of range";
  return nullptr;
}
const char* complaint(const Return& m) {
  return fits(m.ranges) && at_most(m.reason, ReturnReason::stopped) ? nullptr : "a range or the reason is out of range";
}
const char* complaint(const Cancel& m) { return fits(m.range) ? nullptr : "the range is too large"; }
const char* complaint(const Propose& m) {
  return fits(m.ranges) && at_most(m.outcome, last_outcome) ? nullptr : "a range or the outcome is out of range";
}
const char* complaint(const Milestones& m) {
  for (const Milestone& milestone : m.milestones)
    if (milestone.permille > Milestone::permille_max || milestone.text.size() > Milestone::text_bytes_max ||
        std::any_of(milestone.text.begin(), milestone.text.end(), is_control))
      return "a milestone is out of range";
  return nullptr;
}
const char* complaint(const Bye& m) { return at_most(m.reason, ByeReason::failed) ? nullptr : "the reason is unknown"; }

template <class M>
concept CarriesPayloads = requires(M m) {
  m.payloads;
};

constexpr std::size_t memory_for_errors = 1024;  // Of what decoding may take.

template <class M>
Result<Received> decode_as(const Envelope& envelope, Bytes body, const PayloadView& payloads) {
  M message;
  if constexpr (CarriesPayloads<M>)
    message.payloads = payloads;
  else if (payloads.count() != 0)
    return invalid("this message carries no payloads");
  Unpacker unpacker{body};
  unpacker.limit_memory(decoding_memory_max(body.size()) - memory_for_errors);
  auto fields = M::fields(message);
  std::uint32_t count = 0;
  const bool read = unpacker.read_array(count) &&
                    (count == std::tuple_size_v<decltype(fields)> || unpacker.fail("wrong number of fields")) &&
                    std::apply([&](auto&... field) { return (unpack_value(unpacker, field) && ...); }, fields);
  if (!read) return unpacker.error();
  if (!unpacker.at_end()) return invalid("there are bytes behind the last field");
  if (const char* why = complaint(message); why != nullptr) return invalid(why);
  return Received{envelope, std::move(message)};
}

using Decode = Result<Received> (*)(const Envelope&, Bytes, const PayloadView&);
struct TypeInfo {
  Decode decode = nullptr;
  const char* name = "unknown";
};

constexpr std::array names{"HELLO",       "WELCOME", "REFUSED",   "HELLO-AGAIN", "OPEN",       "OPENED",  "ROUTE",
                           "TASKS",       "PART",    "RESULTS",   "STORED",      "VERDICTS",   "RETRACT", "RETURN",
                           "CANCEL",      "PROPOSE", "HEARTBEAT", "PROGRESS",    "MILESTONES", "PACE",    "END",
                           "CLOSED",      "CLOSE",   "BYE",       "SUBMIT",      "ACCEPTED",   "OFFER",   "COMPLETE",
                           "SERVED",      "WAITING", "FETCH",     "DISCARD",     "INQUIRE",    "REPORT",  "EXPLAIN",
                           "EXPLANATION", "DRAIN",   "SEEK",      "STREAM",      "FLOW"};
static_assert(names.size() == std::variant_size_v<Message>);

template <std::size_t... I>
constexpr std::array<TypeInfo, 256> make_types(std::index_sequence<I...>) {
  std::array<TypeInfo, 256> types{};
  ((types[std::variant_alternative_t<I, Message>::type] =
        TypeInfo{decode_as<std::variant_alternative_t<I, Message>>, names[I]}),
   ...);
  return types;
}
constexpr auto types = make_types(std::make_index_sequence<std::variant_size_v<Message>>{});

// --- The payload section (payloads.hpp) ---

constexpr std::uint8_t flag_one_size = 1;  // All payloads have the same size, and there is no table.

// If the payloads behind the headroom have one size, takes away the table behind them.
bool leave_out_table(Buffer& frame, std::uint32_t count) {
  const std::size_t size = frame.size() - frame_header_size - count * sizeof(std::uint32_t);
  const std::byte* payloads = frame.data() + frame_header_size;
  if (PayloadView{payloads, payloads + size, count}.one_size() == 0) return false;
  frame.truncate(frame_header_size + size);
  return true;
}

// Views the payload section of a frame by its header; `content` is what stands behind that. An error says why it cannot
// be one; whether the ends in the table are in order remains to be seen.
struct Section {
  PayloadView payloads;
  std::size_t bytes = 0;  // Of all payloads, without the table.
  const std::byte* table = nullptr;
};
Result<Section> section_of(const Header& header, Bytes content) {
  const std::uint32_t count = header.payload_count;
  if (header.flags == flag_one_size) {
    if (count == 0 || header.payload_length < count || header.payload_length % count != 0)
      return invalid("the payloads cannot have one size");
    return Section{PayloadView::of_one_size(content.data(), header.payload_length / count, count),
                   header.payload_length};
  }
  const std::uint64_t table = std::uint64_t{count} * sizeof(std::uint32_t);
  if (table > header.payload_length) return invalid("the table of payloads is longer than the payload section");
  const std::size_t bytes = header.payload_length - table;
  const std::byte* const ends = content.data() + bytes;
  return Section{{content.data(), ends, count}, bytes, ends};
}

}  // namespace

Buffer encode(const Envelope& envelope, const Message& message) {
  return encode(envelope, message, PayloadWriter{frame_header_size});
}

Buffer encode(const Envelope& envelope, const Message& message, PayloadWriter&& payloads) {
  const std::uint32_t count = payloads.count();
  return encode(envelope, message, std::move(payloads).take(), count);
}

Buffer encode(const Envelope& envelope, const Message& message, Buffer&& section, std::uint32_t count) {
  Buffer frame = std::move(section);
  Header header;
  header.payload_count = count;
  header.flags = leave_out_table(frame, count) ? flag_one_size : 0;
  header.payload_length = static_cast<std::uint32_t>(frame.size() - frame_header_size);
  header.job_high = envelope.job.high;
  header.job_low = envelope.job.low;
  header.incarnation = envelope.incarnation.value;
  header.session = envelope.session.value;
  header.sequence = envelope.sequence;
  Packer packer{frame};
  std::visit(
      [&]<class M>(const M& m) {
        header.type = M::type;
        const auto fields = M::fields(m);
        packer.pack_array(std::tuple_size_v<decltype(fields)>);
        std::apply([&](const auto&... field) { (pack_value(packer, field), ...); }, fields);
      },
      message);
  header.body_length = static_cast<std::uint32_t>(frame.size() - frame_header_size - header.payload_length);
  header.content_crc = crc32c(frame.bytes().subspan(frame_header_size));
  store_header(frame, header);
  return frame;
}

Result<std::uint16_t> peek_version(Bytes frame) {
  if (frame.size() < 8) return invalid("shorter than any frame of Ventile's");
  std::uint16_t version = 0;
  std::uint16_t zero = 0;
  std::memcpy(&version, frame.data() + 4, sizeof version);
  std::memcpy(&zero, frame.data() + 6, sizeof zero);
  if (as_text(frame.first(4)) != "VNTL" || zero != 0) return invalid("not a frame of Ventile's");
  return version;
}

namespace {

constexpr std::size_t checked_alone_min = 4096;  // Bytes of a payload, on average, for whose checksum somebody asks.

// The checksum of the content, by way of that of each payload.
std::uint32_t checksum(Bytes content, const PayloadView& payloads, std::vector<std::uint32_t>& each) {
  Crc32cJoin join;
  std::uint32_t all = 0;
  std::size_t end = 0;
  each.reserve(payloads.count());
  for (std::uint32_t i = 0; i < payloads.count(); ++i) {
    const Bytes payload = payloads[i];
    each.push_back(crc32c(payload));
    all = join(all, each.back(), payload.size());
    end += payload.size();
  }
  return crc32c(content.subspan(end), all);
}

}  // namespace

Result<Received> decode(Bytes frame) {
  const Result<std::uint16_t> version = peek_version(frame);
  if (!version) return version.error();
  if (*version != protocol_version)
    return invalid("protocol version " + std::to_string(*version) + ", expected " + std::to_string(protocol_version));
  if (frame.size() < frame_header_size) return invalid("shorter than its header");
  const Header header = load_header(frame);
  if (header.header_length != frame_header_size || header.flags > flag_one_size)
    return invalid("the header has another form");
  if (header.header_crc != crc_of_header(header)) return invalid("the header's checksum is wrong");
  const Bytes content = frame.subspan(frame_header_size);
  if (std::uint64_t{header.payload_length} + header.body_length != content.size())
    return invalid("the lengths do not add up");
  const Result<Section> section = section_of(header, content);
  if (!section) return section.error();
  const PayloadView& payloads = section->payloads;
  const bool well_formed =
      section->table == nullptr || PayloadView::check(section->table, header.payload_count, section->bytes);
  const bool alone = well_formed && header.type == Results::type && header.payload_count > 0 &&
                     section->bytes >= header.payload_count * checked_alone_min;
  std::vector<std::uint32_t> checksums;
  if (header.content_crc != (alone ? checksum(content, payloads, checksums) : crc32c(content)))
    return invalid("the checksum is wrong");
  if (!well_formed) return invalid("the table of payloads is wrong");
  const TypeInfo& type = types[header.type];
  if (type.decode == nullptr) return invalid("message type " + std::to_string(header.type) + " is unknown");
  const Envelope envelope{{header.job_high, header.job_low}, {header.incarnation}, {header.session}, header.sequence};
  Result<Received> received = type.decode(envelope, content.subspan(header.payload_length), payloads);
  if (alone && received) std::get<Results>(received->message).checksums = std::move(checksums);
  return received;
}

std::optional<JobId> results_job(Bytes frame) {
  const Result<std::uint16_t> version = peek_version(frame);
  if (!version || *version != protocol_version || frame.size() < frame_header_size) return std::nullopt;
  const Header header = load_header(frame);
  if (header.type != Results::type || header.header_crc != crc_of_header(header)) return std::nullopt;
  return JobId{header.job_high, header.job_low};
}

std::optional<std::uint64_t> frame_size(Bytes beginning) {
  const Result<std::uint16_t> version = peek_version(beginning);
  if (!version || *version != protocol_version || beginning.size() < frame_header_size) return std::nullopt;
  const Header header = load_header(beginning);
  if (header.header_crc != crc_of_header(header)) return std::nullopt;
  return std::uint64_t{frame_header_size} + header.payload_length + header.body_length;
}

std::uint8_t type_of(Bytes frame) { return load_header(frame).type; }

PayloadView payloads_of(Bytes frame) {
  return section_of(load_header(frame), frame.subspan(frame_header_size))->payloads;
}

const char* name_of_type(std::uint8_t type) { return types[type].name; }

const char* name_of(const Message& message) { return names[message.index()]; }

std::vector<Buffer> split(Buffer frame, const Envelope& envelope, std::uint64_t transfer, std::size_t frame_bytes_max) {
  std::vector<Buffer> frames;
  if (frame.size() <= frame_bytes_max) {
    frames.push_back(std::move(frame));
    return frames;
  }
  constexpr std::size_t overhead = frame_header_size + 64;  // Header, table and the body of a Part.
  const std::size_t piece = frame_bytes_max > 2 * overhead ? frame_bytes_max - overhead : overhead;
  const Bytes whole = frame;
  for (std::size_t offset = 0; offset < whole.size(); offset += piece) {
    PayloadWriter payload{frame_header_size};
    payload.append(whole.subspan(offset, std::min(piece, whole.size() - offset)));
    frames.push_back(encode(envelope, Part{transfer, offset, whole.size(), {}}, std::move(payload)));
  }
  return frames;
}

void Assembler::forget(std::map<std::uint64_t, Open>::iterator it) {
  held_ -= it->second.so_far.size();
  open_.erase(it);
}

Result<Buffer> Assembler::add(const Part& part) {
  const Bytes piece = part.payloads[0];
  auto it = open_.find(part.transfer);
  if (it != open_.end() && part.offset == 0) {
    forget(it);
    it = open_.end();
  }
  const std::size_t so_far = it == open_.end() ? 0 : it->second.so_far.size();
  const char* why = nullptr;
  if (part.offset != so_far) why = "a part is missing";
  if (it != open_.end() && part.total != it->second.total) why = "a part contradicts those before it";
  if (part.total > message_bytes_max_) why = "the message is too large";
  if (why != nullptr) {
    if (it != open_.end()) forget(it);
    return invalid(why);
  }
  if (it == open_.end()) it = open_.emplace(part.transfer, Open{part.total, {}}).first;
  while (open_.size() > transfers_max || held_ + piece.size() > message_bytes_max_)
    forget(open_.begin() == it ? std::next(it) : open_.begin());
  it->second.so_far.append(piece);
  held_ += piece.size();
  if (it->second.so_far.size() < part.total) return Buffer{};
  Buffer whole = std::move(it->second.so_far);
  held_ -= whole.size();
  open_.erase(it);
  // A message that unfolds into another, and that into another, would cost the square of its size, and the stack.
  if (whole.size() >= frame_header_size && type_of(whole) == Part::type) return invalid("a part contains a part");
  return whole;
}

}  // namespace ventile
