// Strangers at the port of a ROUTER or PULL: whatever they send, nothing crashes, others are served, and it is counted.
#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.hpp"
#include "stranger.hpp"

namespace ventile {
namespace {

using testing::ElementsAre;
using Kind = ConnectionEvent::Kind;

class HostilePeerTest : public NetTest {
protected:
  static Endpoint listen(Socket& socket) {
    const Result<Endpoint> bound = socket.bind(endpoint("tcp://127.0.0.1:0"));
    if (!bound) throw std::runtime_error(bound.error().message);
    return *bound;
  }

  static std::ptrdiff_t count(const std::vector<ConnectionEvent>& events, Kind kind) {
    return std::count_if(events.begin(), events.end(), [kind](const auto& event) { return event.kind == kind; });
  }

  // An honest peer still gets its answer.
  void expect_service(const Endpoint& router) {
    DealerSocket honest(context);
    ASSERT_TRUE(honest.connect(router));
    const auto& answers = collect(honest);
    send(honest, "served?");
    EXPECT_TRUE(turn_until([&] { return answers.size() == 1; }));
    reactor.remove(honest);
  }
};

// To libzmq some garbage is a message of a ZMTP 1.0 peer, so bytes that nobody meant as a frame may still be received.
TEST_F(HostilePeerTest, garbage_is_survived_and_others_are_served) {
  RouterSocket router(context);
  Monitor monitor(context, router);
  const auto& events = collect_events(monitor);
  const Endpoint address = listen(router);
  echo(router);

  std::mt19937 random(4711);
  std::vector<std::string> garbage = {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", std::string(4096, '\0'),
                                      std::string(4096, '\xff'), RawConnection::unacceptable_greeting()};
  for (int i = 0; i < 20; ++i) {
    std::string bytes(1 + random() % 500, '\0');
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
    garbage.push_back(std::move(bytes));
  }
  for (const std::string& bytes : garbage) RawConnection(address).send(bytes);
  EXPECT_TRUE(turn_until([&] { return count(events, Kind::disconnected) >= std::ssize(garbage); }));
  EXPECT_GT(count(events, Kind::handshake_failed), 0);
  expect_service(address);
}

TEST_F(HostilePeerTest, a_silent_stranger_is_hung_up_on) {
  RouterSocket router(context, {.connection = {.handshake_time_max = std::chrono::milliseconds{20}}});
  Monitor monitor(context, router);
  const auto& events = collect_events(monitor);
  RawConnection silent(listen(router));
  EXPECT_TRUE(turn_until([&] { return silent.is_closed(); }));
  EXPECT_EQ(count(events, Kind::handshake_succeeded), 0);
}

TEST_F(HostilePeerTest, a_multipart_message_to_a_router_is_dropped_and_counted) {
  RouterSocket router(context);
  const Endpoint address = listen(router);
  echo(router);
  Stranger stranger(Stranger::Kind::dealer, address);
  stranger.send({"two", "parts"});
  stranger.send({"", "with", "an", "empty", "one"});
  stranger.send({"whole"});
  std::string answer;
  ASSERT_TRUE(turn_until([&] { return stranger.receive(answer); }));
  EXPECT_EQ(answer, "whole");
  EXPECT_EQ(router.malformed_count(), 2U);
  expect_service(address);
}

TEST_F(HostilePeerTest, a_multipart_message_to_a_pull_is_dropped_and_counted) {
  PullSocket pull(context);
  const Endpoint address = listen(pull);
  const auto& pulled = collect(pull);
  Stranger stranger(Stranger::Kind::push, address);
  stranger.send({"two", "parts"});
  stranger.send({"whole"});
  ASSERT_TRUE(turn_until([&] { return pulled.size() == 1; }));
  EXPECT_THAT(pulled, ElementsAre("whole"));
  EXPECT_EQ(pull.malformed_count(), 1U);
}

TEST_F(HostilePeerTest, a_flood_of_multipart_messages_is_read_to_its_end) {
  PullSocket pull(context);
  const Endpoint address = listen(pull);
  const auto& pulled = collect(pull);
  Stranger stranger(Stranger::Kind::push, address);
  for (int i = 0; i < 700; ++i) stranger.send({"two", "parts"});
  stranger.send({"whole"});
  ASSERT_TRUE(turn_until([&] { return pulled.size() == 1; }));
  EXPECT_EQ(pull.malformed_count(), 700U);
}

TEST_F(HostilePeerTest, a_frame_over_the_limit_closes_its_own_connection_only) {
  RouterSocket router(context, {.connection = {.frame_bytes_max = 1000}});
  Monitor monitor(context, router);
  const auto& events = collect_events(monitor);
  const Endpoint address = listen(router);
  echo(router);
  DealerSocket honest(context);
  ASSERT_TRUE(honest.connect(address));
  const auto& answers = collect(honest);
  send(honest, std::string(1000, 'x'));
  ASSERT_TRUE(turn_until([&] { return answers.size() == 1; }));

  Stranger stranger(Stranger::Kind::dealer, address);
  stranger.send({std::string(1001, 'x')});
  ASSERT_TRUE(turn_until([&] { return count(events, Kind::disconnected) >= 1; }));
  send(honest, "still there");
  ASSERT_TRUE(turn_until([&] { return answers.size() == 2; }));
  EXPECT_EQ(answers.back(), "still there");
}

TEST_F(HostilePeerTest, a_routing_id_cannot_be_stolen) {
  RouterSocket router(context);
  Monitor monitor(context, router);
  const auto& events = collect_events(monitor);
  const Endpoint address = listen(router);
  echo(router);
  Stranger owner(Stranger::Kind::dealer, address, "victim");
  std::string answer;
  owner.send({"first"});
  ASSERT_TRUE(turn_until([&] { return owner.receive(answer); }));

  Stranger thief(Stranger::Kind::dealer, address, "victim");
  ASSERT_TRUE(turn_until([&] { return count(events, Kind::handshake_succeeded) >= 2; }));
  Frame secret = frame("secret");
  EXPECT_EQ(router.send(RoutingId(as_bytes("victim")), secret), SendOutcome::sent);
  ASSERT_TRUE(turn_until([&] { return owner.receive(answer); }));
  EXPECT_EQ(answer, "secret");
  EXPECT_FALSE(thief.receive(answer));
}

TEST_F(HostilePeerTest, the_longest_routing_id_is_answered) {
  RouterSocket router(context);
  const Endpoint address = listen(router);
  echo(router);
  Stranger stranger(Stranger::Kind::dealer, address, std::string(255, 'i'));
  stranger.send({"hello"});
  std::string answer;
  EXPECT_TRUE(turn_until([&] { return stranger.receive(answer); }));
  EXPECT_EQ(answer, "hello");
}

}  // namespace
}  // namespace ventile
