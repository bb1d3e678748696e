#include <ventile/net/monitor.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.hpp"
#include "stranger.hpp"

namespace ventile {
namespace {

using Kind = ConnectionEvent::Kind;

class MonitorTest : public NetTest {
protected:
  static const ConnectionEvent* find(const std::vector<ConnectionEvent>& events, Kind kind) {
    const auto at =
        std::find_if(events.begin(), events.end(), [kind](const auto& event) { return event.kind == kind; });
    return at == events.end() ? nullptr : &*at;
  }

  static Endpoint listen(Socket& socket) {
    const Result<Endpoint> bound = socket.bind(endpoint("tcp://127.0.0.1:0"));
    if (!bound) throw std::runtime_error(bound.error().message);
    return *bound;
  }
};

TEST_F(MonitorTest, a_disconnect_names_the_descriptor_that_its_messages_came_by) {
  RouterSocket router(context);
  Monitor monitor(context, router);
  const auto& events = collect_events(monitor);
  const Endpoint address = listen(router);
  std::optional<DealerSocket> dealer(std::in_place, context);
  ASSERT_TRUE(dealer->connect(address));
  send(*dealer, "hello");
  RoutingId peer;
  Frame hello;
  ASSERT_TRUE(turn_until([&] { return router.receive(peer, hello); }));
  const int descriptor = hello.source_descriptor();
  EXPECT_GE(descriptor, 0);
  dealer.reset();
  ASSERT_TRUE(turn_until([&] { return find(events, Kind::disconnected) != nullptr; }));
  EXPECT_EQ(find(events, Kind::accepted)->descriptor, descriptor);
  EXPECT_EQ(find(events, Kind::disconnected)->descriptor, descriptor);
  EXPECT_EQ(find(events, Kind::disconnected)->address, address.to_string());
}

TEST_F(MonitorTest, both_sides_of_push_and_pull_are_told) {
  PullSocket pull(context);
  Monitor at_pull(context, pull);
  PushSocket push(context);
  Monitor at_push(context, push);
  const auto& pull_events = collect_events(at_pull);
  const auto& push_events = collect_events(at_push);
  ASSERT_TRUE(push.connect(listen(pull)));
  ASSERT_TRUE(turn_until([&] {
    return find(pull_events, Kind::handshake_succeeded) != nullptr &&
           find(push_events, Kind::handshake_succeeded) != nullptr;
  }));
  EXPECT_NE(find(pull_events, Kind::accepted), nullptr);
  EXPECT_NE(find(push_events, Kind::connected), nullptr);
  EXPECT_GE(find(push_events, Kind::connected)->descriptor, 0);
}

TEST_F(MonitorTest, a_dealer_is_told_that_its_router_has_gone) {
  std::optional<RouterSocket> router(std::in_place, context);
  const Endpoint address = listen(*router);
  DealerSocket dealer(context);
  Monitor monitor(context, dealer);
  const auto& events = collect_events(monitor);
  ASSERT_TRUE(dealer.connect(address));
  ASSERT_TRUE(turn_until([&] { return find(events, Kind::handshake_succeeded) != nullptr; }));
  router.reset();
  EXPECT_TRUE(turn_until([&] { return find(events, Kind::disconnected) != nullptr; }));
}

TEST_F(MonitorTest, an_address_where_nobody_is_is_retried_and_said_so) {
  const DeadPort nobody;
  PushSocket push(context, {.connection = {.reconnect_first = std::chrono::milliseconds{1}}});
  Monitor monitor(context, push);
  const auto& events = collect_events(monitor);
  ASSERT_TRUE(push.connect(nobody.endpoint()));
  ASSERT_TRUE(turn_until([&] { return find(events, Kind::connect_retried) != nullptr; }));
  EXPECT_EQ(find(events, Kind::connect_retried)->descriptor, -1);
  EXPECT_EQ(find(events, Kind::connect_retried)->address, nobody.endpoint().to_string());
}

TEST_F(MonitorTest, a_socket_lives_on_without_its_monitor) {
  RouterSocket router(context);
  const Endpoint address = listen(router);
  { const Monitor monitor(context, router); }
  echo(router);
  DealerSocket dealer(context);
  ASSERT_TRUE(dealer.connect(address));
  const auto& answers = collect(dealer);
  send(dealer, "hello");
  EXPECT_TRUE(turn_until([&] { return answers.size() == 1; }));
}

TEST_F(MonitorTest, events_that_nobody_reads_do_not_hold_up_the_socket) {
  RouterSocket router(context);
  Monitor unread(context, router);
  const Endpoint address = listen(router);
  for (int batch = 0; batch < 15; ++batch) {
    std::vector<std::unique_ptr<RawConnection>> strangers(50);
    for (auto& stranger : strangers) {
      stranger = std::make_unique<RawConnection>(address);
      stranger->send(RawConnection::unacceptable_greeting());
    }
    for (auto& stranger : strangers) ASSERT_TRUE(turn_until([&] { return stranger->is_closed(); }));
  }
  echo(router);
  DealerSocket dealer(context);
  ASSERT_TRUE(dealer.connect(address));
  const auto& answers = collect(dealer);
  send(dealer, "hello");
  EXPECT_TRUE(turn_until([&] { return answers.size() == 1; }));
}

TEST(ConnectionEvent, every_kind_has_a_name) {
  EXPECT_EQ(to_string(Kind::connected), "connected");
  EXPECT_EQ(to_string(Kind::handshake_failed), "handshake_failed");
  EXPECT_EQ(to_string(Kind::disconnected), "disconnected");
}

}  // namespace
}  // namespace ventile
