#include <ventile/base/buffer.hpp>

#include <gtest/gtest.h>

#include <string>

namespace ventile {
namespace {

TEST(Buffer, grows_and_keeps_what_was_written) {
  Buffer buffer;
  std::string expected;
  for (int i = 0; i < 1000; ++i) {
    buffer.append(as_bytes("abc"));
    expected += "abc";
  }
  EXPECT_EQ(as_text(buffer), expected);
}

TEST(Buffer, a_moved_buffer_leaves_an_empty_one) {
  Buffer first;
  first.append(as_bytes("abc"));
  Buffer second{std::move(first)};
  EXPECT_EQ(as_text(second), "abc");
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is the fact tested.
}

TEST(Buffer, released_memory_belongs_to_the_caller) {
  Buffer buffer;
  buffer.append(as_bytes("abc"));
  std::byte* memory = buffer.release();
  EXPECT_EQ(std::to_integer<char>(memory[2]), 'c');
  EXPECT_EQ(buffer.capacity(), 0U);
  Buffer::dispose(memory);
}

}  // namespace
}  // namespace ventile
