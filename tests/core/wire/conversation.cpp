#include "tests/core/wire/conversation.hpp"

#include <algorithm>
#include <charconv>
#include <regex>
#include <sstream>
#include <utility>

#include <ventile/base/crc32c.hpp>
#include <ventile/wire/convert.hpp>
#include <ventile/wire/json.hpp>

namespace ventile::testing {
namespace {

// --- What is said ----------------------------------------------------------------------------------------------------

constexpr JobId job{0x0123456789abcdef, 0xfedcba9876543210};
constexpr IncarnationId dispatcher{209};
constexpr IncarnationId worker{62};
constexpr IncarnationId sink{81};
constexpr SessionId worker_session{208};
constexpr SessionId sink_session{211};
constexpr LeaseId lease{dispatcher, 1};
constexpr Range both{0, 2};
constexpr std::uint32_t mebibyte = 1 << 20;

class Conversation {
public:
  void say(std::string direction, const Envelope& envelope, const Message& message) {
    say(std::move(direction), envelope, message, std::vector<Buffer>{});
  }
  void say(std::string direction, const Envelope& envelope, const Message& message,
           const std::vector<Buffer>& payloads) {
    PayloadWriter writer{frame_header_size};
    for (const Buffer& payload : payloads) writer.append(payload);
    spoken.push_back({std::move(direction), encode(envelope, message, std::move(writer))});
  }

  std::vector<Spoken> spoken;
};

template <class... T>
std::vector<Buffer> packed_each(const T&... values) {
  std::vector<Buffer> packed;
  (packed.push_back(pack_to_buffer(values)), ...);
  return packed;
}

// As PROTOCOL.md defines it.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}
std::uint64_t digest(Number number, Outcome outcome, Bytes payload) {
  return mixed(mixed(number) + (std::uint64_t{static_cast<std::uint8_t>(outcome)} << 32) + crc32c(payload));
}

// --- How it is written
// -------------------------------------------------------------------------------------------------

constexpr std::size_t line_bytes = 16;

class Page {
public:
  // Lines of the next `count` bytes; `meaning` stands behind the first.
  void write(Bytes bytes, const std::string& meaning) {
    for (std::size_t at = 0; at < bytes.size(); at += line_bytes) {
      std::string line;
      for (const std::byte byte : bytes.subspan(at, std::min(line_bytes, bytes.size() - at))) {
        const std::string digits = to_hex(std::to_integer<std::uint64_t>(byte)).substr(14);
        line += line.empty() ? digits : ' ' + digits;
      }
      if (at == 0) line.append(3 * line_bytes + 1 - line.size(), ' ').append(meaning);
      text_ += line + '\n';
    }
  }
  std::string text() && { return std::move(text_); }

private:
  std::string text_;
};

// Each value of a sequence, as JSON.
std::vector<std::string> values_in(Bytes packed, std::vector<Bytes>& bytes) {
  std::vector<std::string> values;
  Unpacker unpacker{packed};
  while (!unpacker.at_end()) {
    Bytes value;
    std::string text;
    if (!unpacker.read_value(value)) return {"not msgpack"};
    Unpacker inner{value};
    if (!append_json(inner, text)) return {"not JSON"};
    bytes.push_back(value);
    values.push_back(std::move(text));
  }
  return values;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

PayloadView payloads_of(const Message& message) {
  return std::visit(
      [](const auto& m) {
        if constexpr (requires { m.payloads; })
          return m.payloads;
        else
          return PayloadView{};
      },
      message);
}

void write_payloads(Page& page, const PayloadView& payloads, Bytes section) {
  std::vector<std::string> ends;
  for (std::uint32_t i = 0; i < payloads.count(); ++i) {
    std::vector<Bytes> ignored;
    page.write(payloads[i], "payload " + std::to_string(i) + ": " + joined(values_in(payloads[i], ignored)));
    ends.push_back(std::to_string(payloads.end_of(i)));
  }
  page.write(section.subspan(payloads.run(0, payloads.count()).size()), "the payloads' ends: " + joined(ends));
}

void write_body(Page& page, Bytes body, const std::vector<std::string>& names) {
  Unpacker unpacker{body};
  std::uint32_t count = 0;
  unpacker.read_array(count);
  page.write(body.first(unpacker.offset()), "body: an array of " + std::to_string(count));
  std::vector<Bytes> bytes;
  const std::vector<std::string> values = values_in(body.subspan(unpacker.offset()), bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) page.write(bytes[i], names.at(i) + ": " + values[i]);
}

}  // namespace

std::vector<Spoken> conversation() {
  const std::string worker_speaks = "worker → dispatcher";
  const std::string sink_speaks = "sink → dispatcher";
  const std::string to_worker = "dispatcher → worker";
  const std::string to_sink = "dispatcher → sink";
  const SinkCredit credit{1000, mebibyte, UINT64_MAX};
  const Buffer failure = [] {
    Buffer packed;
    Packer packer{packed};
    packer.pack_map(2);
    for (const char* word : {"kind", "arguments", "message", "not a string"}) packer.pack_string(word);
    return packed;
  }();

  Conversation c;
  c.say(worker_speaks, {{}, worker, {}, 1},
        Hello{Role::worker, {17, 18}, "pc:1", "py", 1, {{"upper", true}}, "", {100, mebibyte}, {}, 1});
  c.say(to_worker, {{}, dispatcher, worker_session, 1}, Welcome{500, 2000, 1});
  c.say(sink_speaks, {{}, sink, {}, 1},
        Hello{Role::sink, {33, 34}, "pc:2", "0.1", 0, {}, "tcp://127.0.0.1:5571", {}, {}, 1});
  c.say(to_sink, {{}, dispatcher, sink_session, 1}, Welcome{500, 2000, 1});
  c.say(to_sink, {job, dispatcher, sink_session, 2}, Open{.name = "demo", .function = "upper"});
  c.say(sink_speaks, {job, sink, sink_session, 2}, Opened{"", "", false, {}, {}, credit});
  c.say(to_worker, {job, dispatcher, worker_session, 2}, Open{.name = "demo", .function = "upper"});
  c.say(to_worker, {job, dispatcher, worker_session, 3}, Route{sink, "tcp://127.0.0.1:5571"});
  c.say(to_worker, {job, dispatcher, worker_session, 4}, Tasks{lease, both, 0, {}}, packed_each("hello", 7));
  c.say(worker_speaks, {{}, worker, worker_session, 2}, Progress{{100, mebibyte}, 1, 1, {{job, lease, 1, 41'000'000}}});
  std::vector<Buffer> results = packed_each("HELLO");
  Buffer& failed = results.emplace_back();
  failed.append(failure);
  c.say("worker → sink", {job, worker, {}, 1}, Results{lease, both, false, 1, 52'000, {{1, Outcome::failed}}, {}},
        results);
  c.say(sink_speaks, {job, sink, sink_session, 3},
        Stored{{{worker,
                 lease,
                 both,
                 Verdict::stored,
                 52'000,
                 6 + failure.size(),
                 {{{1, 1}, Outcome::failed, "arguments", "not a string"}}}},
               {1002, mebibyte + 6 + failure.size(), UINT64_MAX}});
  c.say(to_worker, {job, dispatcher, worker_session, 5}, Verdicts{{{lease, both, Verdict::stored}}});
  c.say(to_sink, {job, dispatcher, sink_session, 3}, End{2});
  c.say(
      sink_speaks, {job, sink, sink_session, 4},
      Closed{{1, 1, 0, 0, 0, 0}, 0, digest(0, Outcome::done, results[0]) + digest(1, Outcome::failed, results[1]), ""});
  c.say(to_worker, {job, dispatcher, worker_session, 6}, Close{});
  c.say(to_sink, {job, dispatcher, sink_session, 4}, Close{});
  c.say(to_worker, {{}, dispatcher, worker_session, 7}, Bye{ByeReason::done, ""});
  return std::move(c.spoken);
}

std::string annotated(Bytes frame, const FieldNames& names) {
  const Result<Received> received = decode(frame);
  if (!received) return received.error().message;
  const Envelope& envelope = received->envelope;
  const PayloadView payloads = payloads_of(received->message);
  std::uint32_t section = 0;  // Its length stands in the header.
  std::memcpy(&section, frame.data() + 20, sizeof section);
  const Bytes content = frame.subspan(frame_header_size);
  const auto number = [](std::size_t value) { return std::to_string(value); };

  Page page;
  page.write(frame.first(12),
             std::string("\"VNTL\", version 1, ") + name_of(received->message) + ", header of 72 bytes");
  page.write(frame.subspan(12, 12), "body of " + number(content.size() - section) + " bytes, " +
                                        number(payloads.count()) + " payloads in " + number(section));
  page.write(frame.subspan(24, 16), envelope.job ? "job " + to_string(envelope.job) : "no job");
  page.write(frame.subspan(40, 16),
             "incarnation " + number(envelope.incarnation.value) + ", session " + number(envelope.session.value));
  page.write(frame.subspan(56, 16), "sequence " + number(envelope.sequence) + ", checksums");
  if (section > 0) write_payloads(page, payloads, content.first(section));
  write_body(page, content.subspan(section), names.at(name_of(received->message)));
  return std::move(page).text();
}

Buffer bytes_of_annotated(const std::string& text) {
  Buffer bytes;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    for (std::size_t at = 0; at + 1 < line.size() && at < 3 * line_bytes && line[at] != ' '; at += 3) {
      unsigned value = 0;
      std::from_chars(line.data() + at, line.data() + at + 2, value, 16);
      bytes.append(static_cast<std::byte>(value));
    }
  }
  return bytes;
}

}  // namespace ventile::testing
