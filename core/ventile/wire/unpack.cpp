#include <ventile/wire/pack.hpp>

#include <array>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>

// The Unpacker is our own: msgpack-cxx offers object trees, which allocate, and a visitor that pushes tokens, from
// which a function's parameters cannot be pulled one by one.
namespace ventile {

namespace {

// msgpack's numbers are big-endian.
constexpr std::uint8_t swap_bytes(std::uint8_t value) { return value; }
constexpr std::uint16_t swap_bytes(std::uint16_t value) { return __builtin_bswap16(value); }
constexpr std::uint32_t swap_bytes(std::uint32_t value) { return __builtin_bswap32(value); }
constexpr std::uint64_t swap_bytes(std::uint64_t value) { return __builtin_bswap64(value); }

template <class T>
T load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return swap_bytes(value);
}

// What the first byte of a value says about the rest.
struct Lead {
  enum class Form : std::uint8_t {
    plain,    // Nothing follows but the number, if there is one.
    sized,    // The number is a size; that many bytes follow (for an extension after one byte of type).
    counted,  // The number is a count; that many values (pairs, for a map) follow.
    invalid,
  };
  PackKind kind = PackKind::nil;
  Form form = Form::plain;
  std::uint8_t width = 0;  // Bytes of the number, which follows at once. 0: the number is `inside`.
  std::uint8_t inside = 0;

  std::size_t header() const { return std::size_t{1} + width + (kind == PackKind::extension ? 1 : 0); }
};

constexpr Lead lead_of(unsigned byte) {
  using enum PackKind;
  using enum Lead::Form;
  const auto inside = [&](unsigned mask) { return static_cast<std::uint8_t>(byte & mask); };
  const auto width = [&](unsigned first) { return static_cast<std::uint8_t>(1U << (byte - first)); };
  if (byte <= 0x7f) return {unsigned_integer, plain, 0, inside(0x7f)};
  if (byte <= 0x8f) return {map, counted, 0, inside(0x0f)};
  if (byte <= 0x9f) return {array, counted, 0, inside(0x0f)};
  if (byte <= 0xbf) return {string, sized, 0, inside(0x1f)};
  if (byte == 0xc0) return {nil};
  if (byte == 0xc1) return {nil, invalid};
  if (byte <= 0xc3) return {boolean, plain, 0, inside(0x01)};
  if (byte <= 0xc6) return {binary, sized, width(0xc4)};
  if (byte <= 0xc9) return {extension, sized, width(0xc7)};
  if (byte <= 0xcb) return {real, plain, width(0xc8)};
  if (byte <= 0xcf) return {unsigned_integer, plain, width(0xcc)};
  if (byte <= 0xd3) return {negative_integer, plain, width(0xd0)};
  if (byte <= 0xd8) return {extension, sized, 0, width(0xd4)};
  if (byte <= 0xdb) return {string, sized, width(0xd9)};
  if (byte <= 0xdd) return {array, counted, static_cast<std::uint8_t>(byte == 0xdc ? 2 : 4)};
  if (byte <= 0xdf) return {map, counted, static_cast<std::uint8_t>(byte == 0xde ? 2 : 4)};
  return {negative_integer, plain, 0, inside(0xff)};
}

constexpr auto leads = [] {
  std::array<Lead, 256> table;
  for (unsigned byte = 0; byte < table.size(); ++byte) table[byte] = lead_of(byte);
  return table;
}();

const Lead& lead_at(const std::byte* at) { return leads[std::to_integer<std::size_t>(*at)]; }

// The number of `width` bytes at `at`.
std::uint64_t load_unsigned(const std::byte* at, unsigned width) {
  switch (width) {
    case 1:
      return load<std::uint8_t>(at);
    case 2:
      return load<std::uint16_t>(at);
    case 4:
      return load<std::uint32_t>(at);
    default:
      return load<std::uint64_t>(at);
  }
}

std::int64_t load_signed(const std::byte* at, unsigned width) {
  switch (width) {
    case 1:
      return static_cast<std::int8_t>(load<std::uint8_t>(at));
    case 2:
      return static_cast<std::int16_t>(load<std::uint16_t>(at));
    case 4:
      return static_cast<std::int32_t>(load<std::uint32_t>(at));
    default:
      return static_cast<std::int64_t>(load<std::uint64_t>(at));
  }
}

// The number of a value whose lead byte is at `at` and whose bytes are all there.
std::uint64_t unsigned_at(const std::byte* at, const Lead& lead) {
  return lead.width == 0 ? lead.inside : load_unsigned(at + 1, lead.width);
}
std::int64_t signed_at(const std::byte* at, const Lead& lead) {
  return lead.width == 0 ? static_cast<std::int8_t>(lead.inside) : load_signed(at + 1, lead.width);
}
double real_at(const std::byte* at, const Lead& lead) {
  if (lead.width == 4) return std::bit_cast<float>(load<std::uint32_t>(at + 1));
  return std::bit_cast<double>(load<std::uint64_t>(at + 1));
}

// What is found at `at`, for an error message.
std::string describe(const std::byte* at, std::size_t left) {
  if (left == 0) return "the end";
  const Lead& lead = lead_at(at);
  if (lead.form == Lead::Form::invalid) return "the byte 0xc1";
  std::string kind{to_string(lead.kind)};
  if (left < lead.header()) return "a truncated " + kind;
  if (lead.kind == PackKind::unsigned_integer) return kind + ' ' + std::to_string(unsigned_at(at, lead));
  if (lead.kind == PackKind::negative_integer) return "integer " + std::to_string(signed_at(at, lead));
  if (lead.form == Lead::Form::plain) return kind;
  const std::uint64_t number = unsigned_at(at, lead);
  return (number > left - lead.header() ? "a truncated " : "") + kind + " of " + std::to_string(number);
}

}  // namespace

bool Unpacker::peek(PackKind& kind) {
  if (at_ == end_) return fail_expected("a value");
  const Lead& lead = lead_at(at_);
  if (lead.form == Lead::Form::invalid || left() < lead.header()) return fail_expected("a value");
  const bool positive = lead.kind == PackKind::negative_integer && signed_at(at_, lead) >= 0;
  kind = positive ? PackKind::unsigned_integer : lead.kind;
  return true;
}

bool Unpacker::read_nil() {
  if (at_ == end_ || *at_ != std::byte{0xc0}) return fail_expected("nil");
  ++at_;
  return true;
}

bool Unpacker::read(bool& value) {
  if (at_ == end_ || (*at_ & std::byte{0xfe}) != std::byte{0xc2}) return fail_expected("boolean");
  value = *at_++ == std::byte{0xc3};
  return true;
}

bool Unpacker::read_unsigned(std::uint64_t& value) {
  if (at_ == end_) return fail_expected("unsigned integer");
  const Lead& lead = lead_at(at_);
  if (left() <= lead.width) return fail_expected("unsigned integer");
  if (lead.kind == PackKind::unsigned_integer) {
    value = unsigned_at(at_, lead);
  } else if (lead.kind == PackKind::negative_integer && signed_at(at_, lead) >= 0) {
    value = static_cast<std::uint64_t>(signed_at(at_, lead));
  } else {
    return fail_expected("unsigned integer");
  }
  at_ += 1 + lead.width;
  return true;
}

bool Unpacker::read_signed(std::int64_t& value) {
  constexpr std::uint64_t most = std::numeric_limits<std::int64_t>::max();
  if (at_ == end_) return fail_expected("signed integer");
  const Lead& lead = lead_at(at_);
  if (left() <= lead.width) return fail_expected("signed integer");
  if (lead.kind == PackKind::negative_integer) {
    value = signed_at(at_, lead);
  } else if (lead.kind == PackKind::unsigned_integer && unsigned_at(at_, lead) <= most) {
    value = static_cast<std::int64_t>(unsigned_at(at_, lead));
  } else {
    return fail_expected("signed integer");
  }
  at_ += 1 + lead.width;
  return true;
}

bool Unpacker::read(double& value) {
  if (at_ == end_) return fail_expected("number");
  const Lead& lead = lead_at(at_);
  if (left() <= lead.width) return fail_expected("number");
  switch (lead.kind) {
    case PackKind::real:
      value = real_at(at_, lead);
      break;
    case PackKind::unsigned_integer:
      value = static_cast<double>(unsigned_at(at_, lead));
      break;
    case PackKind::negative_integer:
      value = static_cast<double>(signed_at(at_, lead));
      break;
    default:
      return fail_expected("number");
  }
  at_ += 1 + lead.width;
  return true;
}

bool Unpacker::read_sized(PackKind kind, PackKind also, Bytes& bytes) {
  if (at_ == end_) return fail_expected(to_string(kind));
  const Lead& lead = lead_at(at_);
  if ((lead.kind != kind && lead.kind != also) || left() < lead.header()) return fail_expected(to_string(kind));
  const std::uint64_t size = unsigned_at(at_, lead);
  if (size > left() - lead.header()) return fail_expected(to_string(kind));
  bytes = {at_ + lead.header(), size};
  at_ += lead.header() + size;
  return true;
}

bool Unpacker::read_string(std::string_view& text) {
  Bytes bytes;
  if (!read_sized(PackKind::string, PackKind::binary, bytes)) return false;
  text = as_text(bytes);
  return true;
}

bool Unpacker::read_binary(Bytes& bytes) { return read_sized(PackKind::binary, PackKind::string, bytes); }

bool Unpacker::read_extension(std::int8_t& type, Bytes& bytes) {
  if (!read_sized(PackKind::extension, PackKind::extension, bytes)) return false;
  type = static_cast<std::int8_t>(*(bytes.data() - 1));
  return true;
}

bool Unpacker::read_count(PackKind kind, std::uint32_t values_each, std::uint32_t& count) {
  if (at_ == end_) return fail_expected(to_string(kind));
  const Lead& lead = lead_at(at_);
  if (lead.kind != kind || left() < lead.header()) return fail_expected(to_string(kind));
  const std::uint64_t claimed = unsigned_at(at_, lead);
  if (claimed * values_each > left() - lead.header()) return fail_expected(to_string(kind));
  count = static_cast<std::uint32_t>(claimed);
  at_ += lead.header();
  return true;
}

bool Unpacker::read_array(std::uint32_t& count) { return read_count(PackKind::array, 1, count); }
bool Unpacker::read_map(std::uint32_t& count) { return read_count(PackKind::map, 2, count); }

bool Unpacker::read_value(Bytes& packed, int depth) {
  const Bytes rest{at_, end_};
  ValueScanner scanner{depth};
  const ValueScanner::State state = scanner.scan(rest);
  at_ += scanner.offset();
  if (state == ValueScanner::State::too_deep) return fail_depth();
  if (state != ValueScanner::State::complete) return fail_expected("a value");
  packed = rest.first(scanner.offset());
  return true;
}

bool Unpacker::fail_memory() { return fail("it would take more memory than its size allows"); }

bool Unpacker::fail(std::string why) {
  assert(!why.empty());
  if (ok()) error_ = std::move(why);
  end_ = at_;
  return false;
}

bool Unpacker::fail_expected(std::string_view expected) {
  if (!ok()) return false;
  std::string why = "expected ";
  why.append(expected).append(", found ").append(describe(at_, left())).append(" at byte ");
  return fail(why + std::to_string(offset()));
}

bool Unpacker::fail_depth() { return fail("nested too deep at byte " + std::to_string(offset())); }

ValueScanner::State ValueScanner::scan(Bytes bytes) {
  while (true) {
    if (unread_[level_] == 0) {
      if (level_ == 0) return State::complete;
      --level_;
      continue;
    }
    const std::size_t left = bytes.size() - offset_;
    if (left == 0) return State::incomplete;
    const std::byte* at = bytes.data() + offset_;
    const Lead& lead = lead_at(at);
    if (lead.form == Lead::Form::invalid) return State::malformed;
    if (lead.form == Lead::Form::counted && level_ == depth_) return State::too_deep;
    if (left < lead.header()) return State::incomplete;
    const std::uint64_t number = lead.form == Lead::Form::plain ? 0 : unsigned_at(at, lead);
    const std::uint64_t values =
        lead.kind == PackKind::map ? 2 * number : number;  // Or bytes: a value has at least one.
    if (values > left - lead.header()) return State::incomplete;
    offset_ += lead.header();
    --unread_[level_];
    if (lead.form == Lead::Form::counted) {
      unread_[++level_] = values;
    } else {
      offset_ += values;
    }
  }
}

}  // namespace ventile
