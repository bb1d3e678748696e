#include <ventile/wire/json.hpp>

#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <ventile/wire/convert.hpp>

namespace ventile {
namespace {

using ::testing::HasSubstr;

template <class... T>
std::string json_of(const T&... value) {
  const Buffer bytes = pack_to_buffer(value...);
  Unpacker unpacker{bytes};
  std::string out;
  const Status status = append_json(unpacker, out);
  EXPECT_TRUE(status);
  EXPECT_TRUE(unpacker.at_end());
  return out;
}

Buffer packed(std::string_view text) {
  Buffer out;
  Packer packer{out};
  const Status status = pack_json(text, packer);
  EXPECT_TRUE(status) << status.error().message;
  return out;
}

std::string refusal(std::string_view text) {
  Buffer out;
  Packer packer{out};
  packer.pack(true);
  const Status status = pack_json(text, packer);
  EXPECT_FALSE(status) << text;
  EXPECT_EQ(out.size(), 1U) << "What was packed before stays, nothing is added.";
  return status ? "" : status.error().message;
}

std::string through_json(std::string_view text) {
  const Buffer bytes = packed(text);
  Unpacker unpacker{bytes};
  std::string out;
  EXPECT_TRUE(append_json(unpacker, out));
  return out;
}

TEST(Json, values_read_as_a_person_expects) {
  EXPECT_EQ(json_of(std::monostate{}), "null");
  EXPECT_EQ(json_of(true), "true");
  EXPECT_EQ(json_of(std::numeric_limits<std::uint64_t>::max()), "18446744073709551615");
  EXPECT_EQ(json_of(std::numeric_limits<std::int64_t>::min()), "-9223372036854775808");
  EXPECT_EQ(json_of("text"), "\"text\"");
  EXPECT_EQ(json_of(std::tuple{1, "a", std::vector<int>{}}), R"([1,"a",[]])");
  EXPECT_EQ(json_of(std::map<std::string, int>{{"a", 1}, {"b", 2}}), R"({"a":1,"b":2})");
}

TEST(Json, a_real_stays_a_real) {
  EXPECT_EQ(json_of(1.0), "1.0");
  EXPECT_EQ(json_of(-0.0), "-0.0");
  EXPECT_EQ(json_of(0.1), "0.1");
  EXPECT_EQ(json_of(1e300), "1e+300");
  EXPECT_EQ(json_of(std::nan("")), "null");
  EXPECT_EQ(json_of(-std::numeric_limits<double>::infinity()), "null");
}

TEST(Json, strings_are_escaped) {
  EXPECT_EQ(json_of("a\"b\\c\b\f\n\r\t\x01\x1f\x7f"), R"("a\"b\\c\b\f\n\r\t\u0001\u001f)"
                                                      "\x7f\"");
  EXPECT_EQ(json_of("grüße \xf0\x9f\x90\x9f"), "\"grüße \xf0\x9f\x90\x9f\"");
}

TEST(Json, what_is_not_utf8_is_base64) {
  EXPECT_EQ(json_of(std::vector<std::byte>{std::byte{0xff}}), R"({"$bytes":"/w=="})");
  // A lone continuation, a cut sequence, overlong forms, a surrogate, beyond U+10FFFF, bytes that never occur.
  for (const std::string_view text : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80",
                                      "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82", "\xe2\x28\xa1"}) {
    EXPECT_THAT(json_of(text), HasSubstr("$bytes")) << json_of(text);
  }
}

TEST(Json, utf8_is_judged_as_nlohmann_judges_it) {
  std::mt19937_64 random{5};
  constexpr std::string_view pieces[] = {"a",    "\xc3", "\xa9", "\xe2", "\x82", "\xac", "\xf0",
                                         "\x9f", "\x90", "\xed", "\xa0", "\xe0", "\xf4", "\x8f"};
  for (int round = 0; round < 50000; ++round) {
    std::string text;
    for (std::uint64_t i = random() % 6; i < 6; ++i) text += pieces[random() % std::size(pieces)];
    const bool valid = nlohmann::json::accept('"' + text + '"');
    ASSERT_EQ(json_of(text).starts_with('"'), valid) << ::testing::PrintToString(text);
  }
}

TEST(Json, extensions_show_their_type) {
  Buffer bytes;
  Packer packer{bytes};
  packer.pack_extension(-1, as_bytes("abcd"));
  Unpacker unpacker{bytes};
  std::string out;
  ASSERT_TRUE(append_json(unpacker, out));
  EXPECT_EQ(out, R"({"$ext":[-1,"YWJjZA=="]})");
}

TEST(Json, keys_that_are_not_strings_become_strings) {
  EXPECT_EQ(json_of(std::map<int, int>{{1, 2}}), R"({"1":2})");
  EXPECT_EQ(json_of(std::map<std::vector<std::string>, int>{{{"a"}, 2}}), R"({"[\"a\"]":2})");
  EXPECT_EQ(json_of(std::map<std::map<int, int>, int>{{{{1, 2}}, 3}}), R"({"{\"1\":2}":3})");
  EXPECT_EQ(json_of(std::map<std::string, int>{{"\xff", 2}}), R"({"{\"$bytes\":\"/w==\"}":2})");
}

TEST(Json, keys_within_keys_do_not_explode) {
  std::string nested(unpack_depth_max, '\x81');
  nested += "\xa1\"";
  nested += std::string(unpack_depth_max, '\x01');
  Unpacker unpacker{as_bytes(nested)};
  std::string out = "before";
  const Status status = append_json(unpacker, out);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message, "a key within a key is not a string or number");
  EXPECT_EQ(out, "before");
}

TEST(Json, malformed_bytes_add_nothing) {
  for (const std::string_view bytes :
       {"", "\xc1", "\x92\x01", "\x81\xa1\x61", "\xdb\x7f\xff\xff\xff", "\xdd\x7f\xff\xff\xff"}) {
    Unpacker unpacker{as_bytes(bytes)};
    std::string out = "before";
    EXPECT_FALSE(append_json(unpacker, out));
    EXPECT_EQ(out, "before");
  }
  const std::string deep(1 << 20, '\x91');
  Unpacker unpacker{as_bytes(deep)};
  std::string out;
  EXPECT_FALSE(append_json(unpacker, out));
}

TEST(Json, text_goes_in_and_comes_out_the_same) {
  for (const std::string_view text :
       {"null", "true", "[]", "{}", "0", "-1", "1.5", "\"\"", R"(["a",{"b":[1,2,{"c":null}]},-2.5])",
        "18446744073709551615", "-9223372036854775808", R"({"$bytes":"AAH/"})", R"({"$bytes":5})",
        R"({"$bytes":"not base64"})", R"({"$bytes":"AAH/","more":1})"}) {
    EXPECT_EQ(through_json(text), text);
  }
  EXPECT_EQ(through_json(" [ 1 , \"\\u00e9\" ] "), "[1,\"é\"]");
}

TEST(Json, integers_beyond_64_bits_become_reals) {
  EXPECT_EQ(*unpack_from<double>(packed("18446744073709551616")), 18446744073709551616.0);
  EXPECT_EQ(*unpack_from<double>(packed("-9223372036854775809")), -9223372036854775809.0);
}

TEST(Json, the_bytes_form_comes_back_as_binary) {
  const Buffer bytes = packed(R"([{"$bytes":"AAH/"}])");
  EXPECT_EQ(as_text(bytes), std::string_view("\x91\xc4\x03\x00\x01\xff", 6));
}

TEST(Json, arrays_and_maps_of_every_size_get_the_shortest_header) {
  for (const std::size_t count : {0, 1, 15, 16, 17, 65535, 65536}) {
    nlohmann::json array = std::vector<int>(count, 1000);
    nlohmann::json object = nlohmann::json::object();
    for (std::size_t i = 0; i < count; ++i) object[std::to_string(i)] = "x";
    for (const nlohmann::json& value : {array, object}) {
      const std::vector<std::uint8_t> expected = nlohmann::json::to_msgpack(value);
      const Buffer bytes = packed(value.dump());
      ASSERT_EQ(as_text(bytes), as_text(std::as_bytes(std::span{expected}))) << count;
    }
  }
}

nlohmann::json random_json(std::mt19937_64& random, int depth) {
  nlohmann::json value;
  switch (random() % (depth > 0 ? 7 : 5)) {
    case 0:
      return value;
    case 1:
      return random() % 2 == 0;
    case 2:
      return random() >> random() % 64;
    case 3:
      return -static_cast<std::int64_t>(random() >> (1 + random() % 63)) - 1;
    case 4:
      return std::string(random() % 40, static_cast<char>(random() % 128));
    case 5:
      value = nlohmann::json::array();
      for (std::uint64_t i = random() % 20; i > 0; --i) value.push_back(random_json(random, depth - 1));
      return value;
    default:
      value = nlohmann::json::object();
      for (std::uint64_t i = random() % 20; i > 0; --i)
        value[std::to_string(random())] = random_json(random, depth - 1);
      return value;
  }
}

TEST(Json, agrees_with_nlohmann_both_ways) {
  std::mt19937_64 random{20250102};
  for (int round = 0; round < 1000; ++round) {
    const nlohmann::json value = random_json(random, 3);
    const std::vector<std::uint8_t> theirs = nlohmann::json::to_msgpack(value);
    const Buffer ours = packed(value.dump());
    ASSERT_EQ(as_text(ours), as_text(std::as_bytes(std::span{theirs}))) << value.dump();
    Unpacker unpacker{ours};
    std::string text;
    ASSERT_TRUE(append_json(unpacker, text));
    ASSERT_EQ(nlohmann::json::parse(text), value);
  }
}

TEST(Json, a_refusal_says_what_was_expected_and_where) {
  EXPECT_EQ(refusal(R"({"a" 1})"), "unexpected number literal; expected ':' at column 6");
  EXPECT_EQ(refusal("[1 2]"), "unexpected number literal; expected ']' at column 4");
  EXPECT_EQ(refusal(""), "unexpected end of input; expected '[', '{', or a literal at column 1");
  EXPECT_EQ(refusal("[1,\n 2,\n x]"), "invalid literal at line 3, column 2");
  EXPECT_EQ(refusal("1 2"), "unexpected number literal; expected end of input at column 3");
  EXPECT_THAT(refusal("1e999"), HasSubstr("number overflow"));
  EXPECT_THAT(refusal("\"\xff\""), HasSubstr("ill-formed UTF-8"));
  EXPECT_THAT(refusal("[nul]"), HasSubstr("invalid literal"));
}

TEST(Json, a_refusal_does_not_repeat_a_huge_token) { EXPECT_LT(refusal('"' + std::string(1 << 20, 'x')).size(), 200U); }

TEST(Json, text_nested_too_deep_is_refused_where_it_is) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(through_json(nested(unpack_depth_max)), nested(unpack_depth_max));
  EXPECT_EQ(refusal("[\"[[\\\"[\"," + nested(unpack_depth_max) + "]"), "nested more than 16 deep at column 25");
  EXPECT_EQ(refusal(std::string(1 << 20, '[')), "nested more than 16 deep at column 17");
}

TEST(Json, what_would_nest_too_deep_as_json_is_not_written) {
  const auto written = [](std::size_t depth, std::string_view innermost) {
    const std::string nested = std::string(depth, '\x91').append(innermost);
    Unpacker unpacker{as_bytes(nested)};
    std::string out;
    if (const Status status = append_json(unpacker, out); !status) return status.error().message;
    Buffer packed;
    Packer packer{packed};
    EXPECT_TRUE(pack_json(out, packer)) << out;
    return std::string("readable");
  };
  const std::string_view binary{"\xc4\x01x"}, no_utf8{"\xa1\xff"}, extension{"\xd4\x05x"};
  EXPECT_EQ(written(unpack_depth_max, "\x01"), "readable");
  for (const std::string_view bytes : {binary, no_utf8}) {
    EXPECT_EQ(written(unpack_depth_max - 1, bytes), "readable");
    EXPECT_THAT(written(unpack_depth_max, bytes), HasSubstr("nested too deep"));
  }
  EXPECT_EQ(written(unpack_depth_max - 2, extension), "readable");
  EXPECT_THAT(written(unpack_depth_max - 1, extension), HasSubstr("nested too deep"));
}

}  // namespace
}  // namespace ventile
