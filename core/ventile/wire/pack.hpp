// Values to msgpack and back, one token at a time, straight into and out of place: no object tree is built.
//
// A Packer appends to a Buffer. An Unpacker walks bytes that it does not own and never trusts: every read checks
// what is there, nothing is allocated from a length that the bytes themselves claim, nesting is limited, and after
// the first failure every read fails (so that a chain of reads needs one check). Typed conversions for the
// standard types and for structs with `fields()` are in convert.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// Deeper nesting is refused wherever Ventile reads msgpack.
inline constexpr int unpack_depth_max = 16;

// The kinds of msgpack value. `extension` covers time stamps too.
enum class PackKind : std::uint8_t {
  nil,
  boolean,
  unsigned_integer,
  negative_integer,
  real,
  string,
  binary,
  array,
  map,
  extension
};

std::string_view to_string(PackKind kind);

// Appends msgpack to `out`, which must outlive the Packer. Not thread-safe. Throws only std::bad_alloc and, for more
// than 4 GiB in one string, binary or extension (msgpack has no way to say it), std::length_error.
class Packer {
public:
  explicit Packer(Buffer& out) : out_(&out) {}

  void pack_nil();
  void pack(bool value);
  void pack_unsigned(std::uint64_t value);
  void pack_signed(std::int64_t value);
  void pack(float value);
  void pack(double value);
  void pack_string(std::string_view text);  // Any bytes; by convention UTF-8.
  void pack_binary(Bytes bytes);
  void pack_array(std::uint32_t count);  // Then `count` values.
  void pack_map(std::uint32_t count);    // Then `count` keys, each followed by its value.
  void pack_extension(std::int8_t type, Bytes bytes);
  void append_packed(Bytes packed) { out_->append(packed); }  // One or more values that are msgpack already.

  Buffer& buffer() { return *out_; }  // What it appends to.

private:
  Buffer* out_;
};

class Unpacker {
public:
  explicit Unpacker(Bytes bytes) : begin_(bytes.data()), at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return error_.empty(); }
  bool at_end() const { return at_ == end_; }
  std::size_t offset() const { return static_cast<std::size_t>(at_ - begin_); }
  std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }

  // The kind of the next value without consuming it; fails at the end of the bytes and on the byte 0xc1.
  bool peek(PackKind& kind);

  // Each consumes one token, or fails with a sentence that says what was expected, what was found and at which
  // byte. Integers of any width and sign are accepted where the value fits; reals also accept integers.
  // Strings and binaries are views into the bytes and accept each other.
  bool read_nil();
  bool read(bool& value);
  bool read_unsigned(std::uint64_t& value);
  bool read_signed(std::int64_t& value);
  bool read(double& value);
  bool read_string(std::string_view& text);
  bool read_binary(Bytes& bytes);
  bool read_array(std::uint32_t& count);  // Fails if fewer than `count` bytes are left: each value takes one.
  bool read_map(std::uint32_t& count);    // Fails if fewer than 2 × `count` bytes are left.
  bool read_extension(std::int8_t& type, Bytes& bytes);

  // Consumes one whole value, however nested (at most `depth` deep), and returns its bytes.
  bool read_value(Bytes& packed, int depth = unpack_depth_max);
  bool skip(int depth = unpack_depth_max) {
    Bytes ignored;
    return read_value(ignored, depth);
  }

  // Conversions that may call themselves (a tree's children are trees) call enter() for each array or map that they
  // open and leave() when it is read; enter() fails beyond unpack_depth_max.
  bool enter() { return ++depth_ <= unpack_depth_max || fail_depth(); }
  void leave() { --depth_; }

  // From here on the conversions of convert.hpp fail before what they read takes more memory than this, and lists take
  // no more than they need. Without a limit a list grows with what is read.
  void limit_memory(std::size_t bytes) {
    memory_left_ = bytes;
    limited_ = true;
  }
  bool limited() const { return limited_; }
  // The caller takes so many bytes. False, and the Unpacker has failed, if that is beyond the limit.
  bool claim(std::uint64_t bytes) {
    if (!limited_) return true;
    if (bytes > memory_left_) return fail_memory();
    memory_left_ -= static_cast<std::size_t>(bytes);
    return true;
  }

  // Marks the Unpacker as failed, for conversions that find a token well formed but unacceptable. Returns false.
  bool fail(std::string why);

  // The first failure; offset() then is where the refused token starts, and nothing is left. The code is
  // always `invalid`. Must not be called while ok().
  Error error() const { return {Code::invalid, error_}; }

private:
  const std::byte* begin_;
  const std::byte* at_;
  const std::byte* end_;
  std::size_t memory_left_ = 0;
  bool limited_ = false;
  int depth_ = 0;
  std::string error_;

  bool read_sized(PackKind kind, PackKind also, Bytes& bytes);
  bool read_count(PackKind kind, std::uint32_t values_each, std::uint32_t& count);
  bool fail_expected(std::string_view expected);
  bool fail_depth();
  bool fail_memory();
};

// Finds where a value ends in bytes that arrive piece by piece.
class ValueScanner {
public:
  enum class State : std::uint8_t { complete, incomplete, malformed, too_deep };

  explicit ValueScanner(int depth = unpack_depth_max) : depth_(static_cast<std::size_t>(depth)) {}

  // `bytes` begin where the value does, and each time hold at least what they held the time before. What was
  // scanned is not scanned again.
  State scan(Bytes bytes);

  // How far the scan has come: to the end of the value once complete, else to the start of a token.
  std::size_t offset() const { return offset_; }

private:
  std::size_t depth_;  // At most unpack_depth_max.
  std::size_t level_ = 0;
  std::size_t offset_ = 0;
  std::array<std::uint64_t, unpack_depth_max + 1> unread_{1};  // How many values each level still lacks.
};

}  // namespace ventile
