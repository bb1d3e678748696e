#include <ventile/wire/pack.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <msgpack.hpp>

namespace ventile {
namespace {

using ::testing::HasSubstr;

Buffer packed(const std::function<void(Packer&)>& pack) {
  Buffer out;
  Packer packer{out};
  pack(packer);
  return out;
}

// A random value, packed; at most `depth` arrays and maps deep.
void pack_random(Packer& packer, std::mt19937_64& random, int depth) {
  const auto size = [&] { return std::size_t{1} << random() % 18 >> random() % 18; };
  const auto bits = [&] { return random() >> random() % 64; };
  switch (random() % (depth > 0 ? 11 : 9)) {
    case 0:
      return packer.pack_nil();
    case 1:
      return packer.pack(random() % 2 == 0);
    case 2:
      return packer.pack_unsigned(bits());
    case 3:
      return packer.pack_signed(static_cast<std::int64_t>(bits()));
    case 4:
      return packer.pack_signed(-static_cast<std::int64_t>(bits() >> 1) - 1);
    case 5:
      return packer.pack(static_cast<double>(bits()) / 8);
    case 6:
      return packer.pack_string(std::string(size(), 'x'));
    case 7:
      return packer.pack_binary(as_bytes(std::string(size(), '\xff')));
    case 8:
      return packer.pack_extension(static_cast<std::int8_t>(bits()), as_bytes(std::string(size(), 'e')));
    case 9: {
      const auto count = static_cast<std::uint32_t>(random() % 20);
      packer.pack_array(count);
      for (std::uint32_t i = 0; i < count; ++i) pack_random(packer, random, depth - 1);
      return;
    }
    default: {
      const auto count = static_cast<std::uint32_t>(random() % 20);
      packer.pack_map(count);
      for (std::uint32_t i = 0; i < 2 * count; ++i) pack_random(packer, random, depth - 1);
    }
  }
}

bool read_string_of(Unpacker& unpacker, const msgpack::object& object) {
  std::string_view text;
  return unpacker.read_string(text) && text == std::string_view(object.via.str.ptr, object.via.str.size);
}

bool read_binary_of(Unpacker& unpacker, const msgpack::object& object) {
  Bytes bytes;
  return unpacker.read_binary(bytes) && as_text(bytes) == std::string_view(object.via.bin.ptr, object.via.bin.size);
}

bool read_extension_of(Unpacker& unpacker, const msgpack::object& object) {
  std::int8_t type = 0;
  Bytes bytes;
  return unpacker.read_extension(type, bytes) && type == object.via.ext.type() &&
         as_text(bytes) == std::string_view(object.via.ext.data(), object.via.ext.size);
}

// True if `unpacker` reads exactly what msgpack-cxx saw.
bool reads_like(Unpacker& unpacker, const msgpack::object& object) {
  bool truth = false;
  std::uint64_t natural = 0;
  std::int64_t integer = 0;
  double real = 0;
  std::uint32_t count = 0;
  switch (object.type) {
    case msgpack::type::NIL:
      return unpacker.read_nil();
    case msgpack::type::BOOLEAN:
      return unpacker.read(truth) && truth == object.via.boolean;
    case msgpack::type::POSITIVE_INTEGER:
      return unpacker.read_unsigned(natural) && natural == object.via.u64;
    case msgpack::type::NEGATIVE_INTEGER:
      return unpacker.read_signed(integer) && integer == object.via.i64;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      return unpacker.read(real) && std::bit_cast<std::uint64_t>(real) == std::bit_cast<std::uint64_t>(object.via.f64);
    case msgpack::type::STR:
      return read_string_of(unpacker, object);
    case msgpack::type::BIN:
      return read_binary_of(unpacker, object);
    case msgpack::type::EXT:
      return read_extension_of(unpacker, object);
    case msgpack::type::ARRAY:
      if (!unpacker.read_array(count) || count != object.via.array.size) return false;
      for (const msgpack::object& value : object.via.array) {
        if (!reads_like(unpacker, value)) return false;
      }
      return true;
    case msgpack::type::MAP:
      if (!unpacker.read_map(count) || count != object.via.map.size) return false;
      for (const msgpack::object_kv& pair : object.via.map) {
        if (!reads_like(unpacker, pair.key) || !reads_like(unpacker, pair.val)) return false;
      }
      return true;
  }
  return false;
}

TEST(Pack, msgpack_cxx_reads_what_we_pack_and_we_read_the_same) {
  std::mt19937_64 random{20250101};
  for (int round = 0; round < 2000; ++round) {
    Buffer out;
    Packer packer{out};
    pack_random(packer, random, 3);
    const auto* text = reinterpret_cast<const char*>(out.data());
    std::size_t offset = 0;
    const msgpack::object_handle theirs = msgpack::unpack(text, out.size(), offset);
    ASSERT_EQ(offset, out.size());
    Unpacker ours{out};
    ASSERT_TRUE(reads_like(ours, theirs.get())) << "round " << round;
    ASSERT_TRUE(ours.at_end());
    Unpacker skipping{out};
    Bytes whole;
    ASSERT_TRUE(skipping.read_value(whole));
    ASSERT_EQ(whole.size(), out.size());
  }
}

TEST(Pack, we_read_what_msgpack_cxx_packs_in_any_width) {
  msgpack::sbuffer theirs;
  msgpack::packer<msgpack::sbuffer> packer{theirs};
  packer.pack_fix_uint8(5).pack_fix_uint16(5).pack_fix_uint32(5).pack_fix_uint64(5);
  packer.pack_fix_int8(5).pack_fix_int16(5).pack_fix_int32(5).pack_fix_int64(5);
  Unpacker unpacker{as_bytes({theirs.data(), theirs.size()})};
  for (int i = 0; i < 8; ++i) {
    PackKind kind = PackKind::nil;
    ASSERT_TRUE(unpacker.peek(kind));
    EXPECT_EQ(kind, PackKind::unsigned_integer);
    std::uint64_t natural = 0;
    std::int64_t integer = 0;
    Unpacker signed_reader = unpacker;
    ASSERT_TRUE(signed_reader.read_signed(integer));
    ASSERT_TRUE(unpacker.read_unsigned(natural));
    EXPECT_EQ(natural, 5U);
    EXPECT_EQ(integer, 5);
  }
  EXPECT_TRUE(unpacker.at_end());
}

TEST(Pack, integers_are_read_at_the_edges_of_every_width) {
  for (int shift = 0; shift < 64; ++shift) {
    for (const std::int64_t offset : {-1, 0, 1}) {
      const auto natural = (std::uint64_t{1} << shift) + static_cast<std::uint64_t>(offset);
      const auto integer = -static_cast<std::int64_t>(natural >> 1) - 1;
      const Buffer bytes = packed([&](Packer& packer) {
        packer.pack_unsigned(natural);
        packer.pack_signed(integer);
      });
      Unpacker unpacker{bytes};
      std::uint64_t natural_read = 0;
      std::int64_t integer_read = 0;
      ASSERT_TRUE(unpacker.read_unsigned(natural_read) && unpacker.read_signed(integer_read));
      EXPECT_EQ(natural_read, natural);
      EXPECT_EQ(integer_read, integer);
    }
  }
}

TEST(Pack, a_real_stays_a_real_to_the_bit) {
  for (const double value : {1.0, 0.0, -0.0, 0.1, 1e300, std::numeric_limits<double>::infinity(), std::nan("")}) {
    const Buffer bytes = packed([&](Packer& packer) { packer.pack(value); });
    Unpacker unpacker{bytes};
    PackKind kind = PackKind::nil;
    double read = 0;
    ASSERT_TRUE(unpacker.peek(kind) && unpacker.read(read));
    EXPECT_EQ(kind, PackKind::real);
    EXPECT_EQ(std::bit_cast<std::uint64_t>(read), std::bit_cast<std::uint64_t>(value));
  }
}

TEST(Pack, a_float_is_read_as_the_same_number) {
  const Buffer bytes = packed([](Packer& packer) { packer.pack(0.1F); });
  EXPECT_EQ(bytes.size(), 5U);
  Unpacker unpacker{bytes};
  double read = 0;
  ASSERT_TRUE(unpacker.read(read));
  EXPECT_EQ(read, static_cast<double>(0.1F));
}

TEST(Pack, integers_are_reals_too) {
  const Buffer bytes = packed([](Packer& packer) {
    packer.pack_unsigned(7);
    packer.pack_signed(-7);
  });
  Unpacker unpacker{bytes};
  double seven = 0, minus_seven = 0;
  ASSERT_TRUE(unpacker.read(seven) && unpacker.read(minus_seven));
  EXPECT_EQ(seven, 7.0);
  EXPECT_EQ(minus_seven, -7.0);
}

TEST(Pack, strings_and_binaries_accept_each_other) {
  const Buffer bytes = packed([](Packer& packer) {
    packer.pack_string("text");
    packer.pack_binary(as_bytes("bytes"));
  });
  Unpacker unpacker{bytes};
  Bytes first;
  std::string_view second;
  ASSERT_TRUE(unpacker.read_binary(first) && unpacker.read_string(second));
  EXPECT_EQ(as_text(first), "text");
  EXPECT_EQ(second, "bytes");
}

TEST(Pack, what_does_not_fit_is_refused) {
  const Buffer bytes = packed([](Packer& packer) {
    packer.pack_signed(-1);
    packer.pack_unsigned(std::numeric_limits<std::uint64_t>::max());
  });
  Unpacker negative{bytes};
  std::uint64_t natural = 0;
  EXPECT_FALSE(negative.read_unsigned(natural));
  EXPECT_EQ(negative.error().message, "expected unsigned integer, found integer -1 at byte 0");
  Unpacker large{bytes.bytes().subspan(1)};
  std::int64_t integer = 0;
  EXPECT_FALSE(large.read_signed(integer));
  EXPECT_EQ(large.error().message, "expected signed integer, found unsigned integer 18446744073709551615 at byte 0");
}

TEST(Pack, the_first_failure_stays_and_every_read_after_it_fails) {
  const Buffer bytes = packed([](Packer& packer) {
    packer.pack_nil();
    packer.pack(true);
    packer.pack_nil();
  });
  Unpacker unpacker{bytes};
  std::string_view text;
  EXPECT_TRUE(unpacker.read_nil());
  EXPECT_FALSE(unpacker.read_string(text));
  EXPECT_FALSE(unpacker.read_nil());
  EXPECT_FALSE(unpacker.skip());
  EXPECT_FALSE(unpacker.fail("later"));
  EXPECT_FALSE(unpacker.ok());
  EXPECT_EQ(unpacker.error(), (Error{Code::invalid, "expected string, found boolean at byte 1"}));
  EXPECT_EQ(unpacker.offset(), 1U);
  EXPECT_EQ(unpacker.left(), 0U);
}

TEST(Pack, bytes_cut_anywhere_are_refused) {
  Buffer out;
  Packer packer{out};
  packer.pack_array(8);
  packer.pack_unsigned(70000);
  packer.pack_signed(-70000);
  packer.pack(0.1);
  packer.pack_string(std::string(300, 's'));
  packer.pack_binary(as_bytes(std::string(300, 'b')));
  packer.pack_extension(1, as_bytes("e"));
  packer.pack_map(1);
  packer.pack_nil();
  packer.pack(true);
  packer.pack_extension(-1, as_bytes(std::string(300, 'e')));
  Bytes whole;
  ASSERT_TRUE(Unpacker{out}.read_value(whole));
  ASSERT_EQ(whole.size(), out.size());
  for (std::size_t size = 0; size < out.size(); ++size) {
    Unpacker unpacker{out.bytes().first(size)};
    EXPECT_FALSE(unpacker.skip()) << size;
    EXPECT_EQ(unpacker.error().code, Code::invalid);
  }
}

TEST(Pack, every_read_of_random_bytes_ends_within_them) {
  std::mt19937_64 random{7};
  for (int round = 0; round < 200000; ++round) {
    std::string text(random() % 24, '\0');
    for (char& c : text) c = static_cast<char>(random());
    Unpacker unpacker{as_bytes(text)};
    while (!unpacker.at_end()) {
      const std::size_t before = unpacker.offset();
      bool truth = false;
      std::uint64_t natural = 0;
      std::int64_t integer = 0;
      std::int8_t type = 0;
      double real = 0;
      std::string_view string;
      Bytes bytes;
      std::uint32_t count = 0;
      switch (random() % 10) {
        case 0:
          unpacker.read_nil();
          break;
        case 1:
          unpacker.read(truth);
          break;
        case 2:
          unpacker.read_unsigned(natural);
          break;
        case 3:
          unpacker.read_signed(integer);
          break;
        case 4:
          unpacker.read(real);
          break;
        case 5:
          unpacker.read_string(string);
          break;
        case 6:
          unpacker.read_extension(type, bytes);
          break;
        case 7:
          unpacker.read_array(count);
          break;
        case 8:
          unpacker.read_map(count);
          break;
        default:
          unpacker.skip();
      }
      ASSERT_TRUE(unpacker.offset() > before || !unpacker.ok());
      ASSERT_LE(unpacker.offset(), text.size());
      ASSERT_LE(string.size() + bytes.size(), text.size());
      ASSERT_LE(count, unpacker.left());
    }
  }
}

TEST(Pack, a_length_that_the_bytes_do_not_hold_is_refused) {
  for (const std::string_view bomb :
       {"\xdb\x7f\xff\xff\xff", "\xc6\x7f\xff\xff\xff", "\xc9\x7f\xff\xff\xff\x01", "\xdd\x7f\xff\xff\xff",
        "\xdf\x7f\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff"}) {
    Unpacker skipping{as_bytes(bomb)};
    EXPECT_FALSE(skipping.skip());
    std::string_view text;
    std::uint32_t count = 0;
    EXPECT_FALSE(Unpacker{as_bytes(bomb)}.read_string(text));
    EXPECT_FALSE(Unpacker{as_bytes(bomb)}.read_array(count));
    EXPECT_FALSE(Unpacker{as_bytes(bomb)}.read_map(count));
    EXPECT_EQ(count, 0U);
  }
}

TEST(Pack, a_map_needs_two_bytes_for_each_pair) {
  std::uint32_t count = 0;
  EXPECT_FALSE(Unpacker{as_bytes("\x82\x01\x02\x03")}.read_map(count));
  EXPECT_TRUE(Unpacker{as_bytes("\x82\x01\x02\x03\x04")}.read_map(count));
}

TEST(Pack, nesting_is_refused_beyond_the_limit) {
  const auto nested = [](int depth) { return std::string(static_cast<std::size_t>(depth) - 1, '\x91') + '\x90'; };
  EXPECT_TRUE(Unpacker{as_bytes(nested(unpack_depth_max))}.skip());
  const std::string deeper = nested(unpack_depth_max + 1);
  Unpacker unpacker{as_bytes(deeper)};
  EXPECT_FALSE(unpacker.skip());
  EXPECT_THAT(unpacker.error().message, HasSubstr("nested too deep"));
  EXPECT_FALSE(Unpacker{as_bytes(std::string(1 << 20, '\x91'))}.skip());
  EXPECT_TRUE(Unpacker{as_bytes("\x01")}.skip(0));
  EXPECT_FALSE(Unpacker{as_bytes("\x90")}.skip(0));
}

TEST(Pack, a_value_is_skipped_with_its_siblings_left) {
  const std::string_view bytes = "\x92\x91\x01\x81\x02\x90\x03";  // [[1], {2: []}], 3
  Unpacker unpacker{as_bytes(bytes)};
  Bytes value;
  ASSERT_TRUE(unpacker.read_value(value));
  EXPECT_EQ(as_text(value), bytes.substr(0, 6));
  std::uint64_t three = 0;
  EXPECT_TRUE(unpacker.read_unsigned(three));
  EXPECT_EQ(three, 3U);
}

TEST(Pack, a_value_that_arrives_byte_by_byte_ends_where_it_ends) {
  std::mt19937_64 random{3};
  for (int round = 0; round < 200; ++round) {
    Buffer out;
    Packer packer{out};
    pack_random(packer, random, 3);
    const std::size_t size = out.size();
    const std::size_t step = 1 + size / 50;
    packer.pack_string("the next value");
    ValueScanner scanner;
    for (std::size_t there = 0; there < size; there += step) {
      ASSERT_EQ(scanner.scan(out.bytes().first(there)), ValueScanner::State::incomplete);
      ASSERT_LE(scanner.offset(), there);
    }
    ASSERT_EQ(scanner.scan(out), ValueScanner::State::complete);
    ASSERT_EQ(scanner.offset(), size);
  }
}

TEST(Pack, a_scan_tells_what_can_never_become_a_value) {
  EXPECT_EQ(ValueScanner{}.scan(as_bytes("\x92\x01\xc1")), ValueScanner::State::malformed);
  EXPECT_EQ(ValueScanner{}.scan(as_bytes(std::string(unpack_depth_max + 1, '\x91'))), ValueScanner::State::too_deep);
  EXPECT_EQ(ValueScanner{}.scan(as_bytes(std::string(unpack_depth_max, '\x91'))), ValueScanner::State::incomplete);
}

TEST(Pack, the_byte_c1_is_no_value) {
  Unpacker unpacker{as_bytes("\xc1")};
  PackKind kind = PackKind::nil;
  EXPECT_FALSE(unpacker.peek(kind));
  EXPECT_EQ(unpacker.error().message, "expected a value, found the byte 0xc1 at byte 0");
  EXPECT_FALSE(Unpacker{as_bytes("\xc1")}.skip());
  EXPECT_FALSE(Unpacker{as_bytes("\xc1")}.read_nil());
}

}  // namespace
}  // namespace ventile
