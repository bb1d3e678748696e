#include <ventile/base/shared_arena.hpp>

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <ventile/base/buffer.hpp>

namespace ventile {
namespace {

constexpr std::size_t large = SharedArena::smallest;

class SharedArenaTest : public testing::Test {
protected:
  SharedArena& arena = SharedArena::of_process();

  void SetUp() override { ASSERT_TRUE(arena.open()); }
};

Buffer shareable_of(std::string_view text) {
  Buffer buffer = Buffer::shareable();
  buffer.append(as_bytes(text));
  return buffer;
}

TEST_F(SharedArenaTest, gives_the_block_that_came_back_last) {
  std::byte* const first = arena.take(large);
  std::byte* const second = arena.take(large);
  ASSERT_NE(first, nullptr);
  ASSERT_NE(second, nullptr);
  EXPECT_NE(first, second);
  arena.give_back(first);
  EXPECT_EQ(arena.take(SharedArena::block_bytes), first);
  arena.give_back(first);
  arena.give_back(second);
}

TEST_F(SharedArenaTest, has_no_block_for_what_is_small_or_larger_than_a_block) {
  EXPECT_EQ(arena.take(large - 1), nullptr);
  EXPECT_EQ(arena.take(SharedArena::block_bytes + 1), nullptr);
}

TEST_F(SharedArenaTest, asks_for_what_others_have_read_before_it_says_that_there_is_no_block) {
  std::vector<std::byte*> taken;
  int asked = 0;
  arena.on_exhausted([&] {
    ++asked;
    if (asked == 2) arena.give_back(taken.back());
  });
  while (std::byte* const block = arena.take(large)) taken.push_back(block);
  EXPECT_EQ(taken.size(), SharedArena::block_count);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(arena.take(large), taken.back());
  EXPECT_EQ(asked, 2);
  arena.on_exhausted({});
  for (std::byte* const block : taken) arena.give_back(block);
}

TEST_F(SharedArenaTest, holds_a_shareable_buffer_as_soon_as_it_is_large) {
  Buffer buffer = shareable_of(std::string(1000, 'a'));
  EXPECT_FALSE(arena.owns(buffer.data()));
  buffer.append(as_bytes(std::string(large, 'b')));
  EXPECT_TRUE(arena.owns(buffer.data()));
  EXPECT_EQ(as_text(buffer), std::string(1000, 'a') + std::string(large, 'b'));
  Buffer other;
  other.reserve(large);
  EXPECT_FALSE(arena.owns(other.data()));
}

TEST_F(SharedArenaTest, a_buffer_grows_within_its_block_and_leaves_it_when_it_is_too_large) {
  Buffer buffer = shareable_of(std::string(large, 'a'));
  const std::byte* const block = buffer.data();
  buffer.append(as_bytes(std::string(SharedArena::block_bytes - large, 'b')));
  EXPECT_EQ(buffer.data(), block);
  buffer.append(as_bytes("c"));
  EXPECT_FALSE(arena.owns(buffer.data()));
  EXPECT_EQ(as_text(buffer), std::string(large, 'a') + std::string(SharedArena::block_bytes - large, 'b') + "c");
  EXPECT_EQ(arena.take(SharedArena::block_bytes), block);
  arena.give_back(block);
}

// Memory is what a process has: small frames do not make it take what large ones have left, and more besides.
TEST_F(SharedArenaTest, gives_the_block_that_has_enough_and_not_much_more) {
  std::byte* const small = arena.take(large);
  std::byte* const most = arena.take(SharedArena::block_bytes);
  arena.give_back(small);
  arena.give_back(most);
  EXPECT_EQ(arena.take(SharedArena::block_bytes), most);
  EXPECT_EQ(arena.take(large), small);
  arena.give_back(small);
  arena.give_back(most);
}

TEST_F(SharedArenaTest, has_nothing_for_a_buffer_that_is_small) {
  Buffer buffer = shareable_of("a");
  buffer.reserve(large - 1);
  EXPECT_FALSE(arena.owns(buffer.data()));
}

TEST_F(SharedArenaTest, has_nothing_for_a_buffer_that_is_kept_private) {
  Buffer buffer = Buffer::shareable();
  buffer.keep_private();
  buffer.reserve(large);
  EXPECT_FALSE(arena.owns(buffer.data()));
}

TEST_F(SharedArenaTest, a_moved_buffer_takes_its_block_with_it_and_gives_it_back_once) {
  const std::byte* block = nullptr;
  {
    Buffer buffer = shareable_of(std::string(large, 'a'));
    block = buffer.data();
    const Buffer moved = std::move(buffer);
    EXPECT_EQ(moved.data(), block);
  }
  std::byte* const first = arena.take(large);
  std::byte* const second = arena.take(large);
  EXPECT_EQ(first, block);
  EXPECT_NE(second, block);
  arena.give_back(second);
  arena.give_back(first);
}

TEST_F(SharedArenaTest, is_left_behind_by_fork) {
  const Buffer before = shareable_of(std::string(large, 'a'));
  const pid_t child = fork();
  if (child == 0) {
    arena.give_back(before.data());  // Does nothing: the block is the parent's.
    const Buffer buffer = shareable_of(std::string(large, 'b'));
    _exit(arena.owns(buffer.data()) ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace ventile
