#include <ventile/wire/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <string>
#include <utility>

#include <ventile/wire/base64.hpp>

namespace ventile {

namespace {

// True for what may stand in a JSON string as it is and needs no look at its neighbours.
constexpr auto plain_characters = [] {
  std::array<bool, 256> plain{};
  for (std::size_t c = 0x20; c < 0x80; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

std::size_t plain_length(std::string_view text) {
  const auto end =
      std::find_if(text.begin(), text.end(), [](char c) { return !plain_characters[static_cast<unsigned char>(c)]; });
  return static_cast<std::size_t>(end - text.begin());
}

// The length of the UTF-8 sequence that `text`, which is not empty, starts with; 0 if it is not one.
std::size_t sequence_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length == 0 || length > text.size()) return 0;
  // The second byte excludes overlong forms, surrogates and what lies beyond U+10FFFF.
  const unsigned least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (byte(1) < least || byte(1) > most) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  }
  return length;
}

void append_escape(char c, std::string& out) {
  static constexpr std::string_view hex = "0123456789abcdef";
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\b':
      out += "\\b";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  out += "\\u00";
  out += hex[static_cast<unsigned char>(c) >> 4];
  out += hex[static_cast<unsigned char>(c) & 15];
}

// `text` is UTF-8.
void append_quoted(std::string_view text, std::string& out) {
  out += '"';
  while (!text.empty()) {
    const std::size_t plain = plain_length(text);
    out.append(text, 0, plain);
    text.remove_prefix(plain);
    if (text.empty()) break;
    if (static_cast<unsigned char>(text[0]) < 0x80) {
      append_escape(text[0], out);
    } else {
      out += text[0];
    }
    text.remove_prefix(1);
  }
  out += '"';
}

void append_boolean(bool value, std::string& out) { out += value ? "true" : "false"; }

template <class Integer>
void append_integer(Integer value, std::string& out) {
  std::array<char, 24> text;
  out.append(text.data(), std::to_chars(text.begin(), text.end(), value).ptr);
}

void append_real(double value, std::string& out) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  std::array<char, 32> text;
  const std::string_view digits{text.data(), std::to_chars(text.begin(), text.end(), value).ptr};
  out += digits;
  if (digits.find_first_of(".e") == std::string_view::npos) out += ".0";
}

// Writes the values of one Unpacker. Each member reads one value, or fails as the Unpacker does.
class JsonWriter {
public:
  JsonWriter(Unpacker& unpacker, std::string& out) : unpacker_(unpacker), out_(out) {}

  bool append_value();

private:
  Unpacker& unpacker_;
  std::string& out_;
  bool within_key_ = false;

  // Reads with `read` and appends what it read with `append`.
  template <class Value>
  bool append_scalar(bool (Unpacker::*read)(Value&), void (*append)(Value, std::string&)) {
    Value value{};
    if (!(unpacker_.*read)(value)) return false;
    append(value, out_);
    return true;
  }
  bool append_nil();
  bool append_string();
  bool append_binary();
  bool append_array();
  bool append_map();
  bool append_key();
  bool append_extension();
  // {"$bytes":"<base64>"}, which is a level of its own.
  bool append_bytes(Bytes bytes);
};

bool JsonWriter::append_value() {
  PackKind kind = PackKind::nil;
  if (!unpacker_.peek(kind)) return false;
  switch (kind) {
    case PackKind::nil:
      return append_nil();
    case PackKind::boolean:
      return append_scalar<bool>(&Unpacker::read, append_boolean);
    case PackKind::unsigned_integer:
      return append_scalar(&Unpacker::read_unsigned, append_integer<std::uint64_t>);
    case PackKind::negative_integer:
      return append_scalar(&Unpacker::read_signed, append_integer<std::int64_t>);
    case PackKind::real:
      return append_scalar<double>(&Unpacker::read, append_real);
    case PackKind::string:
      return append_string();
    case PackKind::binary:
      return append_binary();
    case PackKind::array:
      return append_array();
    case PackKind::map:
      return append_map();
    case PackKind::extension:
      return append_extension();
  }
  return false;
}

bool JsonWriter::append_nil() {
  out_ += "null";
  return unpacker_.read_nil();
}

bool JsonWriter::append_string() {
  std::string_view text;
  if (!unpacker_.read_string(text)) return false;
  if (plain_length(text) < text.size() && !is_utf8(text)) return append_bytes(as_bytes(text));
  append_quoted(text, out_);
  return true;
}

bool JsonWriter::append_binary() {
  Bytes bytes;
  return unpacker_.read_binary(bytes) && append_bytes(bytes);
}

bool JsonWriter::append_bytes(Bytes bytes) {
  if (!unpacker_.enter()) return false;
  out_ += R"({"$bytes":")";
  append_base64(bytes, out_);
  out_ += "\"}";
  unpacker_.leave();
  return true;
}

bool JsonWriter::append_array() {
  std::uint32_t count = 0;
  if (!unpacker_.read_array(count) || !unpacker_.enter()) return false;
  out_ += '[';
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i > 0) out_ += ',';
    if (!append_value()) return false;
  }
  out_ += ']';
  unpacker_.leave();
  return true;
}

bool JsonWriter::append_map() {
  std::uint32_t count = 0;
  if (!unpacker_.read_map(count) || !unpacker_.enter()) return false;
  out_ += '{';
  for (std::uint32_t i = 0; i < count; ++i) {
    if (i > 0) out_ += ',';
    if (!append_key()) return false;
    out_ += ':';
    if (!append_value()) return false;
  }
  out_ += '}';
  unpacker_.leave();
  return true;
}

bool JsonWriter::append_key() {
  const std::size_t start = out_.size();
  const bool within_key = std::exchange(within_key_, true);
  if (!append_value()) return false;
  within_key_ = within_key;
  if (out_[start] == '"') return true;
  const std::string key = out_.substr(start);
  // Each key within a key would double the escapes: sixteen of them turn one quote into 64 KB.
  if (within_key && plain_length(key) < key.size())
    return unpacker_.fail("a key within a key is not a string or number");
  out_.resize(start);
  append_quoted(key, out_);
  return true;
}

bool JsonWriter::append_extension() {
  std::int8_t type = 0;
  Bytes bytes;
  if (!unpacker_.read_extension(type, bytes) || !unpacker_.enter() || !unpacker_.enter()) return false;
  out_ += R"({"$ext":[)";
  append_integer(std::int64_t{type}, out_);
  out_ += ",\"";
  append_base64(bytes, out_);
  out_ += "\"]}";
  unpacker_.leave();
  unpacker_.leave();
  return true;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

Status append_json(Unpacker& unpacker, std::string& out) {
  const std::size_t start = out.size();
  if (JsonWriter{unpacker, out}.append_value()) return {};
  out.resize(start);
  return unpacker.error();
}

}  // namespace ventile
