#include <ventile/wire/convert.hpp>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace ventile {
namespace {

struct Rectangle {
  std::uint32_t width = 0;
  std::uint32_t height = 0;
  static auto fields(auto& self) { return std::tie(self.width, self.height); }
  bool operator==(const Rectangle&) const = default;
};

struct Tree {
  int value = 0;
  std::vector<Tree> children;
  static auto fields(auto& self) { return std::tie(self.value, self.children); }
  bool operator==(const Tree&) const = default;
};

struct Named {
  std::string name;
  Rectangle shape;
  auto fields() { return std::tie(name, shape); }
  auto fields() const { return std::tie(name, shape); }
  bool operator==(const Named&) const = default;
};

struct WrittenOnly {
  int value = 0;
  auto fields() const { return std::tie(value); }
};

struct Celsius {
  double degrees = 0;
  bool operator==(const Celsius&) const = default;
};

struct Opaque {};

enum class Colour : std::uint8_t { red, green };

}  // namespace

template <>
struct Convert<Celsius> {
  static void pack(Packer& packer, const Celsius& value) { packer.pack(value.degrees); }
  static bool unpack(Unpacker& unpacker, Celsius& value) { return unpacker.read(value.degrees); }
};

namespace {

static_assert(Packable<Tree> && Unpackable<Tree>);
static_assert(Packable<char[4]> && Packable<const char*> && !Unpackable<const char*>);
static_assert(Packable<WrittenOnly> && !Unpackable<WrittenOnly>);
static_assert(!Packable<Opaque> && !Unpackable<Opaque>);
static_assert(!Packable<std::vector<Opaque>> && !Unpackable<std::map<int, std::optional<Opaque>>>);
static_assert(!Packable<std::variant<int, Opaque>> && !Unpackable<std::tuple<int, Opaque>> && !Packable<int*>);

// Packs, cuts at every byte, and reads back.
template <class T>
void expect_round_trip(const T& value) {
  const Buffer bytes = pack_to_buffer(value);
  const Result<T> read = unpack_from<T>(bytes);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, value);
  Unpacker skipping{bytes};
  EXPECT_TRUE(skipping.skip() && skipping.at_end());
  for (std::size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(unpack_from<T>(bytes.bytes().first(size)));
}

template <class T>
std::string failure(Bytes bytes) {
  const Result<T> read = unpack_from<T>(bytes);
  return read ? "" : read.error().message;
}

template <class T>
void expect_limits_round_trip() {
  expect_round_trip(std::numeric_limits<T>::min());
  expect_round_trip(std::numeric_limits<T>::max());
  expect_round_trip(T{0});
}

TEST(Convert, every_integer_type_keeps_its_limits) {
  expect_limits_round_trip<char>();
  expect_limits_round_trip<std::int8_t>();
  expect_limits_round_trip<std::int16_t>();
  expect_limits_round_trip<std::int32_t>();
  expect_limits_round_trip<std::int64_t>();
  expect_limits_round_trip<std::uint8_t>();
  expect_limits_round_trip<std::uint16_t>();
  expect_limits_round_trip<std::uint32_t>();
  expect_limits_round_trip<std::uint64_t>();
  expect_limits_round_trip<long long>();
}

TEST(Convert, an_integer_that_does_not_fit_is_refused) {
  EXPECT_EQ(failure<std::uint8_t>(pack_to_buffer(256)), "expected an integer from 0 to 255 at byte 0");
  EXPECT_EQ(failure<std::int8_t>(pack_to_buffer(128)), "expected an integer from -128 to 127 at byte 0");
  EXPECT_EQ(failure<std::int8_t>(pack_to_buffer(-129)), "expected an integer from -128 to 127 at byte 0");
  EXPECT_EQ(failure<std::uint32_t>(pack_to_buffer(-1)), "expected unsigned integer, found integer -1 at byte 0");
  EXPECT_EQ(failure<int>(pack_to_buffer(1.0)), "expected signed integer, found real at byte 0");
}

TEST(Convert, scalars_survive) {
  expect_round_trip(true);
  expect_round_trip(false);
  expect_round_trip(0.1F);
  expect_round_trip(-1e300);
  expect_round_trip(Colour::green);
  expect_round_trip(std::byte{200});
  expect_round_trip(std::monostate{});
  expect_round_trip(std::chrono::milliseconds{-5});
  expect_round_trip(std::chrono::duration<double>{0.25});
}

TEST(Convert, strings_and_bytes_survive) {
  expect_round_trip(std::string{"grüße"});
  expect_round_trip(std::string{"a\0b", 3});
  expect_round_trip(std::vector<std::byte>{std::byte{0}, std::byte{255}});
  EXPECT_EQ(*unpack_from<std::string>(pack_to_buffer("literal")), "literal");
  Buffer binary;
  binary.append(as_bytes("bytes"));
  const Result<Buffer> read = unpack_from<Buffer>(pack_to_buffer(binary));
  ASSERT_TRUE(read);
  EXPECT_EQ(as_text(*read), "bytes");
}

TEST(Convert, views_point_into_the_bytes_read) {
  const Buffer bytes = pack_to_buffer(std::string_view{"abc"});
  EXPECT_EQ(unpack_from<std::string_view>(bytes)->data(), as_text(bytes).data() + 1);
  EXPECT_EQ(unpack_from<Bytes>(bytes)->data(), bytes.data() + 1);
}

TEST(Convert, containers_survive) {
  expect_round_trip(std::vector<int>{1, 2, 3});
  expect_round_trip(std::vector<int>{});
  expect_round_trip(std::vector<bool>{true, false});
  expect_round_trip(std::vector<std::string>(20, "x"));
  expect_round_trip(std::deque<double>{1.5, 2});
  expect_round_trip(std::set<std::string>{"a", "b"});
  expect_round_trip(std::unordered_set<int>{4, 5});
  expect_round_trip(std::array<int, 3>{1, 2, 3});
  expect_round_trip(std::map<std::string, std::vector<int>>{{"a", {1}}, {"b", {}}});
  expect_round_trip(std::unordered_map<int, std::string>{{1, "a"}, {2, "b"}});
}

TEST(Convert, compounds_survive) {
  expect_round_trip(std::optional<int>{});
  expect_round_trip(std::optional<int>{0});
  expect_round_trip(std::pair{1, std::string{"a"}});
  expect_round_trip(std::tuple{1, 2.5, std::string{"a"}});
  expect_round_trip(std::tuple<>{});
  using Either = std::variant<std::monostate, int, std::string>;
  expect_round_trip(Either{});
  expect_round_trip(Either{7});
  expect_round_trip(Either{"seven"});
}

TEST(Convert, structs_survive) {
  expect_round_trip(Rectangle{3, 4});
  expect_round_trip(Named{"room", {5, 6}});
  expect_round_trip(Celsius{36.6});
  expect_round_trip(Tree{1, {{2, {}}, {3, {{4, {}}}}}});
}

TEST(Convert, identities_survive) {
  expect_round_trip(JobId{1, std::numeric_limits<std::uint64_t>::max()});
  expect_round_trip(SessionId{9});
  expect_round_trip(LeaseId{{7}, 8});
  expect_round_trip(Range{3, std::numeric_limits<Number>::max() - 3});
  IntervalSet numbers{Range{3, 4}};
  numbers.insert({9, 1});
  expect_round_trip(numbers);
  expect_round_trip(IntervalSet{});
}

TEST(Convert, a_range_that_overflows_is_refused) {
  const Buffer bytes = pack_to_buffer(std::tuple{std::uint64_t{4}, std::numeric_limits<Number>::max() - 3});
  EXPECT_EQ(failure<Range>(bytes), "expected a range that ends within 64 bits at byte 0");
}

TEST(Convert, what_is_read_replaces_what_was_there) {
  const Buffer bytes = pack_to_buffer(std::vector<int>{3}, std::map<int, int>{{1, 2}}, std::optional<int>{}, "new");
  std::vector<int> vector{1, 2};
  std::map<int, int> map{{5, 6}};
  std::optional<int> optional{1};
  std::string text = "old text";
  Unpacker unpacker{bytes};
  ASSERT_TRUE(unpack_value(unpacker, vector) && unpack_value(unpacker, map) && unpack_value(unpacker, optional) &&
              unpack_value(unpacker, text));
  EXPECT_EQ(vector, std::vector<int>{3});
  EXPECT_EQ(map, (std::map<int, int>{{1, 2}}));
  EXPECT_EQ(optional, std::nullopt);
  EXPECT_EQ(text, "new");
}

TEST(Convert, of_equal_keys_the_last_counts) {
  const auto read = unpack_from<std::map<int, int>>(as_bytes("\x82\x01\x02\x01\x03"));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, (std::map<int, int>{{1, 3}}));
}

TEST(Convert, counts_must_match_exactly) {
  EXPECT_EQ(failure<Rectangle>(pack_to_buffer(std::array<int, 3>{})), "expected array of 2, found one of 3 at byte 0");
  EXPECT_EQ(failure<Rectangle>(pack_to_buffer(std::array<int, 1>{})), "expected array of 2, found one of 1 at byte 0");
  EXPECT_EQ(failure<Rectangle>(pack_to_buffer(7)), "expected array, found unsigned integer 7 at byte 0");
  EXPECT_EQ((failure<std::array<int, 2>>(pack_to_buffer(std::array<int, 3>{}))),
            "expected array of 2, found one of 3 at byte 0");
  EXPECT_EQ((failure<std::variant<int, bool>>(pack_to_buffer(std::pair{2, 0}))),
            "expected an integer from 0 to 1 at byte 1");
}

TEST(Convert, bytes_after_the_value_are_refused) {
  EXPECT_EQ(failure<int>(pack_to_buffer(1, 2)), "1 bytes too many at byte 1");
}

TEST(Convert, a_tree_deeper_than_the_limit_is_refused) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "\x92\x01\x91";
  EXPECT_NE(failure<Tree>(as_bytes(deep)).find("nested too deep"), std::string::npos);
}

TEST(Convert, siblings_do_not_count_as_depth) {
  expect_round_trip(Tree{0, std::vector<Tree>(100, Tree{1, {{2, {}}}})});
}

// Remembers the largest allocation.
template <class T>
struct RecordingAllocator {
  using value_type = T;
  static inline std::size_t largest = 0;
  T* allocate(std::size_t count) {
    largest = std::max(largest, count * sizeof(T));
    return std::allocator<T>{}.allocate(count);
  }
  void deallocate(T* at, std::size_t count) { std::allocator<T>{}.deallocate(at, count); }
  bool operator==(const RecordingAllocator&) const = default;
};

TEST(Convert, a_claimed_count_reserves_no_more_than_the_bytes_left) {
  using Row = std::array<std::uint64_t, 1000>;
  using Rows = std::vector<Row, RecordingAllocator<Row>>;
  std::string claim{"\xdd\x00\x01\x00\x00", 5};  // 65,536 rows in 65,536 bytes that are none.
  claim += std::string(1 << 16, '\xc0');
  EXPECT_FALSE(unpack_from<Rows>(as_bytes(claim)));
  EXPECT_LE(RecordingAllocator<Row>::largest, claim.size());

  EXPECT_FALSE(unpack_from<Rows>(as_bytes("\xdd\x7f\xff\xff\xff")));
  EXPECT_LE(RecordingAllocator<Row>::largest, claim.size());
}

TEST(Convert, a_vector_of_reals_is_reserved_once) {
  const std::vector<double> values(1000, 0.5);
  using Recorded = std::vector<double, RecordingAllocator<double>>;
  const auto read = unpack_from<Recorded>(pack_to_buffer(values));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->size(), 1000U);
  EXPECT_EQ(RecordingAllocator<double>::largest, 1000 * sizeof(double));
}

TEST(Convert, random_bytes_never_do_harm) {
  using Everything = std::tuple<std::vector<int>, std::map<std::string, std::optional<Tree>>,
                                std::variant<Named, Range>, std::set<std::uint8_t>, Bytes, JobId>;
  std::mt19937_64 random{11};
  const Buffer good = pack_to_buffer(std::tuple{
      std::vector<int>{1, 2, 300}, std::map<std::string, Tree>{{"t", {1, {{2, {}}}}}},
      std::variant<Named, Range>{Range{1, 2}}, std::set<std::uint8_t>{1, 200}, std::string{"bytes"}, JobId{3, 4}});
  ASSERT_TRUE(unpack_from<Everything>(good));
  int refused = 0;
  for (int round = 0; round < 100000; ++round) {
    std::string damaged{as_text(good)};
    for (std::uint64_t i = random() % 4; i < 4; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
    const Result<Everything> read = unpack_from<Everything>(as_bytes(damaged));
    if (!read) ++refused;
  }
  EXPECT_GT(refused, 50000);
}

}  // namespace
}  // namespace ventile
