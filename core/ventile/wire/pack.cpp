#include <ventile/wire/pack.hpp>

#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <stdexcept>

#include <msgpack.hpp>

namespace ventile {

std::string_view to_string(PackKind kind) {
  static constexpr std::array<std::string_view, 10> names = {"nil",  "boolean",  "unsigned integer", "negative integer",
                                                             "real", "string",   "binary",           "array",
                                                             "map",  "extension"};
  return names[static_cast<std::size_t>(kind)];
}

namespace {

// msgpack::packer, writing to a Buffer.
class BufferStream {
public:
  explicit BufferStream(Buffer& out) : out_(out) {}
  // NOLINTNEXTLINE(readability-make-member-function-const): msgpack-cxx does not find it if it is const.
  void write(const char* bytes, std::size_t count) { std::memcpy(out_.extend(count), bytes, count); }

private:
  Buffer& out_;
};
class Writer : private BufferStream, public msgpack::packer<BufferStream> {
public:
  explicit Writer(Buffer& out) : BufferStream(out), msgpack::packer<BufferStream>(static_cast<BufferStream*>(this)) {}
};

std::uint32_t length_of(Bytes bytes) {
  if (bytes.size() > std::numeric_limits<std::uint32_t>::max())
    throw std::length_error("more than 4 GiB in one msgpack value");
  return static_cast<std::uint32_t>(bytes.size());
}

std::uint32_t big_endian(std::uint32_t value) { return __builtin_bswap32(value); }
std::uint64_t big_endian(std::uint64_t value) { return __builtin_bswap64(value); }

// msgpack::packer writes the real 1.0 as the integer 1 (and -0.0 as 0); a real shall stay one.
template <class Bits>
void append_real(Buffer& out, std::byte lead, Bits bits) {
  std::byte* at = out.extend(1 + sizeof bits);
  const Bits swapped = big_endian(bits);
  *at = lead;
  std::memcpy(at + 1, &swapped, sizeof swapped);
}

}  // namespace

void Packer::pack_nil() { Writer{*out_}.pack_nil(); }
void Packer::pack(bool value) { out_->append(value ? std::byte{0xc3} : std::byte{0xc2}); }
void Packer::pack_unsigned(std::uint64_t value) { Writer{*out_}.pack_uint64(value); }
void Packer::pack_signed(std::int64_t value) { Writer{*out_}.pack_int64(value); }
void Packer::pack(float value) { append_real(*out_, std::byte{0xca}, std::bit_cast<std::uint32_t>(value)); }
void Packer::pack(double value) { append_real(*out_, std::byte{0xcb}, std::bit_cast<std::uint64_t>(value)); }
void Packer::pack_array(std::uint32_t count) { Writer{*out_}.pack_array(count); }
void Packer::pack_map(std::uint32_t count) { Writer{*out_}.pack_map(count); }

void Packer::pack_string(std::string_view text) {
  Writer{*out_}.pack_str(length_of(as_bytes(text)));
  out_->append(as_bytes(text));
}

void Packer::pack_binary(Bytes bytes) {
  Writer{*out_}.pack_bin(length_of(bytes));
  out_->append(bytes);
}

void Packer::pack_extension(std::int8_t type, Bytes bytes) {
  Writer{*out_}.pack_ext(length_of(bytes), type);
  out_->append(bytes);
}

}  // namespace ventile
