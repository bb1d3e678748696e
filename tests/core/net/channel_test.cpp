#include <ventile/net/channel.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class ChannelTest : public testing::Test {
protected:
  Reactor reactor;
  std::vector<int> items;
  int batches = 0;
  Channel<int> channel{reactor, 3, [this] { ++batches; }};

  void turn() {
    reactor.stop();
    reactor.run();
  }
};

TEST_F(ChannelTest, what_was_pushed_is_drained_in_order) {
  EXPECT_EQ(channel.push(1), PushOutcome::pushed);
  EXPECT_EQ(channel.push(2), PushOutcome::pushed);
  channel.drain(items);
  EXPECT_THAT(items, ElementsAre(1, 2));
  channel.drain(items);
  EXPECT_THAT(items, IsEmpty());
}

TEST_F(ChannelTest, no_more_than_its_capacity_is_taken) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(channel.push(i), PushOutcome::pushed);
  EXPECT_EQ(channel.push(3), PushOutcome::full);
  channel.drain(items);
  EXPECT_THAT(items, ElementsAre(0, 1, 2));
  EXPECT_EQ(channel.push(4), PushOutcome::pushed);
}

TEST_F(ChannelTest, an_item_that_is_not_taken_stays_with_its_owner) {
  Channel<std::unique_ptr<int>> narrow(reactor, 1, [] {});
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  EXPECT_EQ(narrow.push(first), PushOutcome::pushed);
  EXPECT_EQ(first, nullptr);
  EXPECT_EQ(narrow.push(second), PushOutcome::full);
  narrow.close();
  EXPECT_EQ(narrow.push(second), PushOutcome::closed);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
}

TEST_F(ChannelTest, the_reactor_is_told_once_for_a_batch) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(channel.push(i), PushOutcome::pushed);
  turn();
  EXPECT_EQ(batches, 1);
  channel.drain(items);
  EXPECT_EQ(channel.push(4), PushOutcome::pushed);
  turn();
  EXPECT_EQ(batches, 2);
}

TEST_F(ChannelTest, closing_is_told_and_leaves_what_is_there) {
  EXPECT_EQ(channel.push(1), PushOutcome::pushed);
  turn();
  channel.close();
  channel.close();
  turn();
  EXPECT_EQ(batches, 2);
  EXPECT_EQ(channel.push(2), PushOutcome::closed);
  EXPECT_FALSE(channel.finished());
  channel.drain(items);
  EXPECT_THAT(items, ElementsAre(1));
  EXPECT_TRUE(channel.finished());
}

TEST_F(ChannelTest, a_channel_that_is_gone_is_not_called) {
  bool called = false;
  {
    Channel<int> short_lived(reactor, 1, [&] { called = true; });
    EXPECT_EQ(short_lived.push(1), PushOutcome::pushed);
  }
  turn();
  EXPECT_FALSE(called);
}

TEST_F(ChannelTest, a_waiting_push_ends_when_the_channel_closes) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(channel.push(i), PushOutcome::pushed);
  std::optional<bool> pushed;
  std::jthread pusher([&] { pushed = channel.push_when_room(4); });
  channel.close();
  pusher.join();
  EXPECT_EQ(pushed, false);
}

TEST(Channel, many_producers_wait_for_room_and_lose_nothing) {
  constexpr int producers = 4;
  constexpr int each = 5000;
  Reactor reactor;
  std::vector<int> batch;
  std::vector<int> seen(producers * each);
  std::size_t largest = 0;
  int drained = 0;
  std::unique_ptr<Channel<int>> channel;
  channel = std::make_unique<Channel<int>>(reactor, 10, [&] {
    channel->drain(batch);
    largest = std::max(largest, batch.size());
    for (const int item : batch) ++seen[static_cast<std::size_t>(item)];
    drained += static_cast<int>(batch.size());
    if (drained == producers * each) reactor.stop();
  });
  {
    std::vector<std::jthread> threads;
    for (int producer = 0; producer < producers; ++producer) {
      threads.emplace_back([&channel, producer] {
        for (int i = 0; i < each; ++i) EXPECT_TRUE(channel->push_when_room(producer * each + i));
      });
    }
    reactor.run();
  }
  EXPECT_EQ(seen, std::vector<int>(producers * each, 1));
  EXPECT_LE(largest, 10U);
}

}  // namespace
}  // namespace ventile
