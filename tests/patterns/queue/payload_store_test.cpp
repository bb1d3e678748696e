#include <ventile/queue/payload_store.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

constexpr std::size_t plenty = std::size_t{1} << 20;
constexpr std::size_t large = std::size_t{40} << 10;

std::string text(Number number, std::size_t bytes) {
  std::string letters(bytes, static_cast<char>('a' + number % 26));
  return letters;
}

class Store : public testing::Test {
protected:
  PayloadStore store;
  std::uint64_t finished = 0;

  void add(Range range, std::size_t bytes, std::size_t headroom = frame_header_size) {
    PayloadWriter writer{headroom};
    for (Number number = range.first; number < range.end(); ++number) writer.append(as_bytes(text(number, bytes)));
    store.add(range, std::move(writer));
  }
  std::shared_ptr<const Buffer> lend(Range range, std::size_t bytes_max = plenty) {
    return store.lend(range, bytes_max, [&](Buffer&& section, std::uint32_t count) {
      ++finished;
      return encode({}, Tasks{{}, {range.first, count}, 0, {}}, std::move(section), count);
    });
  }
  std::string found(Number number) const { return std::string{as_text(store.find(number).value_or(Bytes{}))}; }
};

TEST_F(Store, a_lent_block_is_a_whole_frame_and_is_still_found) {
  add({0, 2}, large);
  const auto frame = lend({0, 5});
  ASSERT_NE(frame, nullptr);
  const Result<Received> received = decode(*frame);
  ASSERT_TRUE(received);
  const auto& tasks = std::get<Tasks>(received->message);
  EXPECT_EQ(tasks.range, (Range{0, 2}));
  EXPECT_EQ(as_text(tasks.payloads[1]), text(1, large));
  EXPECT_EQ(found(0), text(0, large));
  EXPECT_EQ(found(1), text(1, large));
  PayloadWriter copy{frame_header_size};
  EXPECT_EQ(store.copy({0, 2}, plenty, copy), 2U);
  EXPECT_EQ(as_text(copy.view()[1]), text(1, large));
}

TEST_F(Store, a_block_is_lent_once_for_the_first_frame_may_still_be_on_its_way) {
  add({0, 1}, large);
  EXPECT_NE(lend({0, 1}), nullptr);
  EXPECT_EQ(lend({0, 1}), nullptr);
  EXPECT_EQ(finished, 1U);
}

TEST_F(Store, what_is_not_a_whole_block_of_large_payloads_with_headroom_is_not_lent) {
  add({0, 2}, large);
  add({2, 100}, 1'000);
  add({102, 1}, large, 0);
  EXPECT_EQ(lend({0, 1}), nullptr) << "half of it";
  EXPECT_EQ(lend({1, 1}), nullptr) << "its end";
  EXPECT_EQ(lend({0, 2}, large), nullptr) << "larger than a frame";
  EXPECT_EQ(lend({2, 100}), nullptr) << "small payloads";
  EXPECT_EQ(lend({102, 1}), nullptr) << "no headroom";
  EXPECT_EQ(finished, 0U);
}

TEST_F(Store, what_is_copied_ends_where_something_can_be_lent) {
  add({0, 2}, large);
  add({2, 2}, large);
  EXPECT_EQ(store.until_lendable({1, 3}), 1U);
  EXPECT_EQ(store.until_lendable({1, 1}), 1U);
  (void)lend({2, 2});
  EXPECT_EQ(store.until_lendable({1, 3}), 3U) << "it was lent already";
}

TEST_F(Store, a_block_is_had_as_a_whole_or_not_at_all) {
  add({0, 2}, 5);
  add({2, 3}, 5);
  ASSERT_TRUE(store.block({2, 3}));
  EXPECT_EQ(as_text((*store.block({2, 3}))[1]), text(3, 5));
  EXPECT_FALSE(store.block({2, 2}));
  EXPECT_FALSE(store.block({1, 2}));
  store.release({2, 3});
  EXPECT_FALSE(store.block({2, 3}));
}

TEST_F(Store, bytes_are_those_of_what_was_added_whether_lent_or_not) {
  add({0, 1}, large);
  const std::uint64_t before = store.bytes();
  const auto frame = lend({0, 1});
  EXPECT_EQ(store.bytes(), before);
  store.release({0, 1});
  EXPECT_EQ(store.bytes(), 0U);
  EXPECT_FALSE(store.find(0));
  EXPECT_TRUE(decode(*frame)) << "whoever sends it has it still";
}

}  // namespace
}  // namespace ventile
