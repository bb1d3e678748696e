#include <ventile/net/monitor.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

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

// Every descriptor that this process may open, while it may open so many.
class AllDescriptors {
public:
  explicit AllDescriptors(rlim_t limit) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lowered{limit, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &lowered);
    for (int taken = 0; (taken = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) taken_.push_back(taken);
  }
  ~AllDescriptors() { give_back_all(); }
  AllDescriptors(const AllDescriptors&) = delete;
  AllDescriptors& operator=(const AllDescriptors&) = delete;

  void give_back_one() {
    ::close(taken_.back());
    taken_.pop_back();
  }
  void give_back_all() {
    while (!taken_.empty()) give_back_one();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }

private:
  rlimit before_{};
  std::vector<int> taken_;
};

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

// libzmq would leave them in the queue once there is none, and its thread would spin.
TEST_F(MonitorTest, whoever_comes_while_hardly_a_descriptor_is_left_is_turned_away) {
  RouterSocket router(context);
  Monitor monitor(context, router);
  const auto& events = collect_events(monitor);
  const Endpoint address = listen(router);
  EXPECT_EQ(monitor.take_warning(), "");
  AllDescriptors taken{128};
  taken.give_back_one();
  taken.give_back_one();
  RawConnection stranger{address};  // Takes one, and its other end the other.
  ASSERT_TRUE(turn_until([&] { return stranger.is_closed(); }));
  ASSERT_NE(find(events, Kind::accepted), nullptr);
  EXPECT_EQ(monitor.take_warning(), "cannot let anybody else in at " + address.to_string() +
                                        ": Too many open files; this process may open 128 files (ulimit -n, or "
                                        "LimitNOFILE of its unit). Whoever comes is turned away, and may try again");
  EXPECT_EQ(monitor.take_warning(), "") << "said once";
  taken.give_back_all();
  DealerSocket dealer(context);
  ASSERT_TRUE(dealer.connect(address));
  send(dealer, "hello");
  RoutingId peer;
  Frame hello;
  EXPECT_TRUE(turn_until([&] { return router.receive(peer, hello); }));
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
