#include <ventile/wire/msgpack_define.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace ventile {
namespace {

struct Reading {
  std::string sensor;
  double value = 0;
  std::vector<int> samples;
  MSGPACK_DEFINE(sensor, value, samples)
  bool operator==(const Reading&) const = default;
};

struct Named {
  int width = 0;
  Reading inner;
  MSGPACK_DEFINE_MAP(width, inner)
  bool operator==(const Named&) const = default;
};

// Ventile's way and msgpack's, which differ in their order.
struct Both {
  int a = 0;
  int b = 0;
  static auto fields(auto& m) { return std::tie(m.a, m.b); }
  MSGPACK_DEFINE(b, a)
  bool operator==(const Both&) const = default;
};

const Reading reading{"t1", 2.5, {1, 2, 3}};

TEST(MsgpackDefineTest, a_value_comes_back_as_it_was) {
  EXPECT_EQ(*unpack_from<Reading>(pack_to_buffer(reading)), reading);
  const Named named{7, reading};
  EXPECT_EQ(*unpack_from<Named>(pack_to_buffer(named)), named);
}

TEST(MsgpackDefineTest, it_nests_in_what_ventile_packs) {
  const std::map<std::string, std::vector<Reading>> all{{"a", {reading, {}}}};
  EXPECT_EQ((*unpack_from<std::map<std::string, std::vector<Reading>>>(pack_to_buffer(all))), all);
  EXPECT_EQ(*unpack_from<std::optional<Reading>>(pack_to_buffer(std::optional{reading})), reading);
}

TEST(MsgpackDefineTest, the_bytes_are_those_of_msgpack) {
  msgpack::sbuffer theirs;
  msgpack::pack(theirs, reading);
  const Buffer ours = pack_to_buffer(reading);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(ours.bytes().data()), ours.size()),
            std::string(theirs.data(), theirs.size()));
}

TEST(MsgpackDefineTest, a_value_that_does_not_fit_is_an_error_and_no_exception) {
  const Result<Reading> read = unpack_from<Reading>(pack_to_buffer(std::vector<int>{1, 2, 3}));
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, testing::HasSubstr("fits its MSGPACK_DEFINE at byte 0"));
}

// msgpack's own reader reserves what a length asks for: 5 bytes, 100 GB.
TEST(MsgpackDefineTest, a_length_that_lies_reserves_nothing) {
  Buffer bytes;
  bytes.append(as_bytes(std::string_view{"\xdd\xff\xff\xff\xff", 5}));
  EXPECT_FALSE(unpack_from<Reading>(bytes));
}

TEST(MsgpackDefineTest, fields_come_first) {
  EXPECT_EQ(pack_to_buffer(Both{1, 2}).bytes()[1], std::byte{1});
  EXPECT_EQ(*unpack_from<Both>(pack_to_buffer(Both{1, 2})), (Both{1, 2}));
}

}  // namespace
}  // namespace ventile
