#include <ventile/net/frame.hpp>

#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "fixture.hpp"

namespace ventile {
namespace {

Buffer buffer_of(std::string_view text) {
  Buffer buffer;
  buffer.append(as_bytes(text));
  return buffer;
}

TEST(Frame, the_memory_of_a_buffer_is_taken_and_not_copied) {
  Buffer buffer = buffer_of(std::string(1000, 'a'));
  const std::byte* const memory = buffer.data();
  const Frame frame(std::move(buffer));
  EXPECT_EQ(frame.bytes().data(), memory);
  EXPECT_EQ(text(frame), std::string(1000, 'a'));
}

TEST(Frame, a_shared_buffer_is_used_in_place_and_given_up_in_the_end) {
  auto buffer = std::make_shared<const Buffer>(buffer_of("kept"));
  {
    const Frame frame = Frame::shared(buffer);
    EXPECT_EQ(frame.bytes().data(), buffer->data());
    EXPECT_EQ(buffer.use_count(), 2);
  }
  EXPECT_EQ(buffer.use_count(), 1);
}

TEST(Frame, a_copy_does_not_follow_its_original) {
  std::string original = "before";
  const Frame copy = frame(original);
  original = "after!";
  EXPECT_EQ(text(copy), "before");
}

TEST(Frame, moving_leaves_an_empty_frame_behind) {
  for (const std::size_t size : {3, 3000}) {  // Inside the object, and outside.
    Frame first = frame(std::string(size, 'x'));
    Frame second(std::move(first));
    EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move)
    Frame third = frame("dropped");
    third = std::move(second);
    EXPECT_EQ(text(third), std::string(size, 'x'));
  }
}

TEST(Frame, nothing_may_be_sent) {
  EXPECT_TRUE(Frame().empty());
  EXPECT_TRUE(Frame(Buffer()).empty());
  EXPECT_TRUE(Frame::copy_of({}).empty());
  EXPECT_TRUE(Frame::shared(std::make_shared<const Buffer>()).empty());
}

TEST(Frame, what_was_not_received_has_no_source) {
  EXPECT_EQ(frame("x").source_descriptor(), -1);
  EXPECT_EQ(frame("x").peer_address(), "");
}

}  // namespace
}  // namespace ventile
