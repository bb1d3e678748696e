#include <ventile/wire/json.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include <ventile/wire/base64.hpp>

namespace ventile {

namespace {

// The position, from 1, of the bracket in `text` that opens level depth + 1.
std::size_t position_of_depth(std::string_view text, std::size_t depth) {
  std::size_t level = 0, position = 0;
  bool quoted = false;
  while (level <= depth) {
    const char c = text[position++];
    if (c == '"') quoted = !quoted;
    if (c == '\\') ++position;
    if (quoted) continue;
    if (c == '[' || c == '{') ++level;
    if (c == ']' || c == '}') --level;
  }
  return position;
}

// Packs what nlohmann's parser finds. The names are the parser's.
class JsonPacker {
public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  JsonPacker(std::string_view text, Packer& packer) : text_(text), packer_(packer) {}

  bool null() {
    packer_.pack_nil();
    return count_value();
  }
  bool boolean(bool value) {
    packer_.pack(value);
    return count_value();
  }
  bool number_integer(number_integer_t value) {
    packer_.pack_signed(value);
    return count_value();
  }
  bool number_unsigned(number_unsigned_t value) {
    packer_.pack_unsigned(value);
    return count_value();
  }
  bool number_float(number_float_t value, const string_t&) {
    packer_.pack(value);
    return count_value();
  }
  bool string(const string_t& value) {
    packer_.pack_string(value);
    return count_value();
  }
  bool binary(const binary_t&) { return false; }  // Never found in text.
  bool start_array(std::size_t) { return open(); }
  bool end_array() {
    return close([&](std::uint32_t count) { packer_.pack_array(count); });
  }
  bool start_object(std::size_t) { return open(); }
  bool key(const string_t& key) {
    packer_.pack_string(key);
    return count_value();
  }
  bool end_object();
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::json::exception& exception);

  Error error() const { return {Code::invalid, error_}; }

private:
  struct Open {
    std::size_t begin;    // Where its first value was packed.
    std::uint32_t count;  // Values so far; keys count too.
  };

  std::string_view text_;
  Packer& packer_;
  std::array<Open, unpack_depth_max> open_;
  std::size_t depth_ = 0;
  std::string error_;

  // True: parsing goes on.
  bool count_value() {
    if (depth_ > 0) ++open_[depth_ - 1].count;
    return true;
  }
  bool open();
  template <class PackHeader>
  bool close(PackHeader pack_header);
  bool replace_by_binary(const Open& object);
  void set_error(std::string_view why, std::size_t position);
};

// True if it was {"$bytes":"<base64>"}, and is binary now.
bool JsonPacker::replace_by_binary(const Open& object) {
  Unpacker unpacker{packer_.buffer().bytes().subspan(object.begin)};
  std::string_view key, text;
  PackKind kind = PackKind::nil;
  if (object.count != 2 || !unpacker.read_string(key) || key != "$bytes") return false;
  if (!unpacker.peek(kind) || kind != PackKind::string || !unpacker.read_string(text)) return false;
  const std::optional<Buffer> bytes = decode_base64(text);
  if (!bytes) return false;
  packer_.buffer().truncate(object.begin);
  packer_.pack_binary(*bytes);
  return true;
}

bool JsonPacker::end_object() {
  if (replace_by_binary(open_[depth_ - 1])) {
    --depth_;
    return true;
  }
  return close([&](std::uint32_t count) { packer_.pack_map(count / 2); });
}

bool JsonPacker::open() {
  if (depth_ == open_.size()) {
    set_error("nested more than " + std::to_string(depth_) + " deep", position_of_depth(text_, depth_));
    return false;
  }
  count_value();
  open_[depth_++] = {packer_.buffer().size(), 0};
  return true;
}

// How many values there are is known only now: the header is packed behind them, then moved before them.
template <class PackHeader>
bool JsonPacker::close(PackHeader pack_header) {
  const Open closed = open_[--depth_];
  Buffer& buffer = packer_.buffer();
  const std::size_t end = buffer.size();
  pack_header(closed.count);
  std::rotate(buffer.data() + closed.begin, buffer.data() + end, buffer.data() + buffer.size());
  return true;
}

bool JsonPacker::parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& exception) {
  // "[json.exception.parse_error.101] parse error at line 1, column 3: syntax error while parsing array - unexpected
  // '}'; expected ']'"; and before the last part there may be "; last read: '<all of the token>'".
  std::string_view why = exception.what();
  if (const auto start = why.find(" - "); start != std::string_view::npos) why.remove_prefix(start + 3);
  if (const auto start = why.find("] "); why.starts_with("[json.exception") && start != std::string_view::npos)
    why.remove_prefix(start + 2);
  const auto read = why.find("; last read: "), expected = why.rfind("; expected ");
  std::string shortened{why.substr(0, read)};
  if (read != std::string_view::npos && expected != std::string_view::npos && expected > read)
    shortened += why.substr(expected);
  set_error(shortened, position);
  return false;
}

void JsonPacker::set_error(std::string_view why, std::size_t position) {
  const std::string_view before = text_.substr(0, position == 0 ? 0 : position - 1);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const std::size_t column = before.size() - (line == 1 ? 0 : before.rfind('\n') + 1) + 1;
  error_.append(why).append(" at ");
  if (line > 1) error_.append("line ").append(std::to_string(line)).append(", ");
  error_.append("column ").append(std::to_string(column));
}

}  // namespace

Status pack_json(std::string_view text, Packer& packer) {
  const std::size_t start = packer.buffer().size();
  JsonPacker handler{text, packer};
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &handler)) return {};
  packer.buffer().truncate(start);
  return handler.error();
}

}  // namespace ventile
