// Strangers at the door of a socket with keys: how many may wait, how much they may say, and that guests do not suffer.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <ventile/net/porter.hpp>

#include "fixture.hpp"
#include "half_guest.hpp"
#include "stranger.hpp"
#include "tcp_test.hpp"

namespace ventile {
namespace {

using Kind = ConnectionEvent::Kind;

class Only final : public Admission {
public:
  explicit Only(std::string key) : key_(std::move(key)) {}
  bool admits(std::string_view public_key) const override { return public_key == key_; }

private:
  std::string key_;
};

class PorterTest : public NetTest {
protected:
  PorterTest() {
    comings = &collect_events(monitor);
    const Result<Endpoint> bound = router.bind(endpoint("tcp://127.0.0.1:0"));
    if (!bound) throw std::runtime_error(bound.error().message);
    address = *bound;
    echo(router);
  }
  ~PorterTest() override {
    reactor.remove(router);
    reactor.remove(monitor);
  }

  // Says nothing.
  RawConnection& stranger() { return stranger_at(address); }
  RawConnection& stranger_at(const Endpoint& door) {
    return *strangers.emplace_back(std::make_unique<RawConnection>(door));
  }
  // Begins a frame of a megabyte that its handshake could not have.
  static std::string beginning_of_a_huge_frame() { return curve_greeting() + std::string("\6\0\0\0\0\0\x0f\0\0", 9); }
  static std::string curve_greeting() {
    std::string greeting("\xff\0\0\0\0\0\0\0\0\x7f\3\0CURVE", 17);
    greeting.resize(64);
    return greeting;
  }
  std::ptrdiff_t closed() const {
    return std::count_if(strangers.begin(), strangers.end(), [](const auto& one) { return one->is_closed(); });
  }

  // One whose handshake ends after so many bytes, and who has heard all that is to be heard until then.
  HalfGuest& half_guest(std::size_t bytes_max, std::size_t heard) {
    HalfGuest& guest = *half_guests.emplace_back(std::make_unique<HalfGuest>(context, meeting, address, bytes_max));
    EXPECT_TRUE(carry_until([&] { return guest.said() == bytes_max && guest.heard() >= heard; }));
    return guest;
  }
  bool carry_until(const std::function<bool()>& done) {
    return turn_until([&] {
      for (const auto& guest : half_guests) guest->carry();
      return done();
    });
  }
  // They all hear from the server and still are strangers: the oldest are closed.
  void expect_only_the_youngest_to_stay(std::size_t bytes_max, std::size_t heard) {
    for (std::size_t i = 0; i < 2 * strangers_max; ++i) half_guest(bytes_max, heard);
    EXPECT_TRUE(carry_until([&] {
      return std::all_of(half_guests.begin(), half_guests.begin() + strangers_max,
                         [](const auto& one) { return one->is_closed(); });
    }));
    EXPECT_TRUE(std::none_of(half_guests.begin() + strangers_max, half_guests.end(),
                             [](const auto& one) { return one->is_closed(); }));
  }
  std::ptrdiff_t ended() const {
    return std::count_if(comings->begin(), comings->end(), [](const auto& e) { return e.kind == Kind::disconnected; });
  }

  static constexpr std::size_t strangers_max = 3;
  static constexpr std::size_t heard_when_greeted = 64;
  static constexpr std::size_t heard_when_welcomed = heard_when_greeted + 170;
  std::shared_ptr<const KeyPair> server = KeyPair::make();
  std::shared_ptr<const KeyPair> known = KeyPair::make();
  ConnectionOptions serving{.handshake_time_max = std::chrono::minutes{10},
                            .curve = {server, {}, std::make_shared<Only>(known->public_key()), strangers_max}};
  ConnectionOptions meeting{.handshake_time_max = std::chrono::minutes{10},
                            .curve = {known, server->public_key(), nullptr}};
  RouterSocket router{context, {.connection = serving}};
  Monitor monitor{context, router};
  Endpoint address;
  const std::vector<ConnectionEvent>* comings = nullptr;
  std::vector<std::unique_ptr<RawConnection>> strangers;
  std::vector<std::unique_ptr<HalfGuest>> half_guests;
};

TEST_F(PorterTest, of_those_who_wait_the_oldest_goes_for_another) {
  for (std::size_t i = 0; i < 2 * strangers_max; ++i) stranger();
  EXPECT_TRUE(turn_until([&] { return closed() == 3; }));
  for (std::size_t i = 0; i < strangers.size(); ++i) EXPECT_EQ(strangers[i]->is_closed(), i < strangers_max) << i;
}

TEST_F(PorterTest, who_says_more_than_a_handshake_has_is_thrown_out_and_who_says_less_is_not) {
  stranger().send(beginning_of_a_huge_frame() + std::string(8192, 'x'));
  stranger().send(beginning_of_a_huge_frame() + std::string(1000, 'x'));
  EXPECT_TRUE(turn_until([&] { return strangers[0]->is_closed(); }));
  EXPECT_FALSE(strangers[1]->is_closed());
}

TEST_F(PorterTest, each_address_of_a_socket_has_one) {
  const Result<Endpoint> other = router.bind(endpoint("tcp://127.0.0.1:0"));
  ASSERT_TRUE(other);
  for (std::size_t i = 0; i < 2 * strangers_max; ++i) {
    stranger();
    stranger_at(*other);
  }
  EXPECT_TRUE(turn_until([&] { return closed() == 6; }));
  for (std::size_t i = 0; i < strangers.size(); ++i) EXPECT_EQ(strangers[i]->is_closed(), i < 2 * strangers_max) << i;
}

TEST_F(PorterTest, guests_are_served_while_strangers_come_and_go) {
  DealerSocket guest{context, {.connection = meeting}};
  Monitor watched{context, guest};
  const auto& events = collect_events(watched);
  const auto& answers = collect(guest);
  ASSERT_TRUE(guest.connect(address));
  send(guest, std::string(100'000, 'x'));
  ASSERT_TRUE(turn_until([&] { return answers.size() == 1; }));
  for (std::size_t i = 0; i < 10 * strangers_max; ++i) stranger();
  EXPECT_TRUE(turn_until([&] { return closed() == 9 * static_cast<std::ptrdiff_t>(strangers_max); }));
  send(guest, std::string(100'000, 'y'));
  EXPECT_TRUE(turn_until([&] { return answers.size() == 2; }));
  EXPECT_FALSE(std::any_of(events.begin(), events.end(), [](const auto& e) { return e.kind == Kind::disconnected; }));
  reactor.remove(watched);
  reactor.remove(guest);
}

TEST_F(PorterTest, a_guest_comes_in_although_strangers_fill_the_door) {
  for (std::size_t i = 0; i < 2 * strangers_max; ++i) stranger();
  DealerSocket guest{context, {.connection = meeting}};
  const auto& answers = collect(guest);
  ASSERT_TRUE(guest.connect(address));
  send(guest, "served?");
  EXPECT_TRUE(turn_until([&] { return answers.size() == 1; }));
  reactor.remove(guest);
}

TEST_F(PorterTest, who_stops_after_its_greeting_is_a_stranger) {
  expect_only_the_youngest_to_stay(HalfGuest::greeting, heard_when_greeted);
}

TEST_F(PorterTest, who_stops_after_its_hello_is_a_stranger) {
  expect_only_the_youngest_to_stay(HalfGuest::hello, heard_when_welcomed);
}

TEST_F(PorterTest, who_stops_in_the_middle_of_its_proof_is_a_stranger) {
  expect_only_the_youngest_to_stay(HalfGuest::hello + 100, heard_when_welcomed);
}

// The talker comes later and is closed, so that the silent one was looked at before it speaks.
TEST_F(PorterTest, who_says_too_much_after_a_long_silence_is_thrown_out) {
  RawConnection& silent = stranger();
  silent.send(curve_greeting());
  RawConnection& talker = stranger();
  talker.send(beginning_of_a_huge_frame() + std::string(8192, 'x'));
  ASSERT_TRUE(turn_until([&] { return talker.is_closed(); }));
  EXPECT_FALSE(silent.is_closed());
  silent.send(std::string("\6\0\0\0\0\0\x0f\0\0", 9) + std::string(8192, 'x'));
  EXPECT_TRUE(turn_until([&] { return silent.is_closed(); }));
}

// There is room for three, of whom one may have ended a moment ago: libzmq says so before it closes the descriptor.
TEST_F(PorterTest, those_who_come_and_go_take_nobodys_place) {
  stranger();
  for (std::ptrdiff_t i = 0; i < 50; ++i) {
    const std::ptrdiff_t before = ended();
    stranger();
    strangers.pop_back();
    ASSERT_TRUE(turn_until([&] { return ended() > before; }));
  }
  for (int i = 0; i < 2; ++i) {  // Each is closed by a look that comes after all that.
    stranger().send(beginning_of_a_huge_frame() + std::string(8192, 'x'));
    ASSERT_TRUE(turn_until([&] { return strangers.back()->is_closed(); }));
    strangers.pop_back();
  }
  EXPECT_EQ(closed(), 0);
}

class PorterAloneTest : public TcpTest {
protected:
  Listener listener() {
    const sockaddr_in address = loopback();
    const std::optional<Listener> made = listen_at(reinterpret_cast<const sockaddr*>(&address), sizeof address);
    EXPECT_TRUE(made);
    return *made;
  }
  // How many steps the filter has that the kernel asks about each packet.
  static socklen_t filter_of(int descriptor) {
    socklen_t steps = 0;
    EXPECT_EQ(getsockopt(descriptor, SOL_SOCKET, SO_GET_FILTER, nullptr, &steps), 0);
    return steps;
  }
  static bool eventually(const std::function<bool()>& done) {
    const TimePoint deadline = Clock::now() + std::chrono::minutes{1};
    while (!done() && Clock::now() < deadline) std::this_thread::yield();
    return done();
  }

  // A connection that is only begun.
  int caller(std::uint16_t port) {
    sockaddr_in address = loopback();
    address.sin_port = htons(port);
    const int made = kept(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int begun = ::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    EXPECT_TRUE(begun == 0 || errno == EINPROGRESS);
    return made;
  }
  static constexpr int established = 1;  // TCP_ESTABLISHED, in a header that does not go with the kernel's.
  static tcp_info info_of(int descriptor) {
    tcp_info info{};
    socklen_t size = sizeof info;
    EXPECT_EQ(getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size), 0);
    return info;
  }

  static constexpr WaitingRoom::Limits nobody_may_wait{.waiting_max = 0};
};

// A descriptor may be another connection's by the time that the porter sees it.
TEST_F(PorterAloneTest, what_did_not_come_to_its_port_is_left_alone) {
  const auto ours = over_ipv4();
  const auto other = over_ipv4();
  ASSERT_TRUE(ours && other);
  std::array<int, 2> pair{};
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  for (const int end : pair) kept(end);
  const auto other_ipv6 = over_ipv6();
  Porter porter{ours->port, nobody_may_wait};
  porter.on_accepted(other->accepted);
  porter.on_accepted(pair[1]);
  if (other_ipv6) porter.on_accepted(other_ipv6->accepted);
  porter.on_accepted(-1);
  porter.on_accepted(ours->accepted);
  wait_for_the_end_of(ours->near);  // By a look that had the others too.
  EXPECT_TRUE(is_open(other->near));
  EXPECT_TRUE(is_open(pair[0]));
  EXPECT_TRUE(!other_ipv6 || is_open(other_ipv6->near));
}

TEST_F(PorterAloneTest, while_a_crowd_comes_some_have_to_try_again) {
  const Listener ours = listener();
  const Listener other = listener();
  Porter porter{ours.port, nobody_may_wait};
  porter.on_listening(ours.descriptor);
  porter.on_listening(other.descriptor);  // Not its own.
  EXPECT_EQ(filter_of(ours.descriptor), 0U);
  const auto crowd_comes = [&] {
    for (int i = 0; i < 1'000; ++i) porter.on_accepted(-1);
  };
  crowd_comes();
  EXPECT_TRUE(eventually([&] { return filter_of(ours.descriptor) > 0; }));
  EXPECT_EQ(filter_of(other.descriptor), 0U);
  std::vector<int> callers;
  for (int i = 0; i < 120; ++i) {
    crowd_comes();
    callers.push_back(caller(ours.port));
  }
  EXPECT_TRUE(eventually([&] { return filter_of(ours.descriptor) == 0; }));  // It has gone.
  EXPECT_TRUE(eventually([&] {
    return std::all_of(callers.begin(), callers.end(), [](int one) { return info_of(one).tcpi_state == established; });
  }));
  const auto at_once =
      std::count_if(callers.begin(), callers.end(), [](int one) { return info_of(one).tcpi_total_retrans == 0; });
  EXPECT_GT(at_once, 0);
  EXPECT_LT(at_once, 120);  // Of 120 dice with eight sides, some show the one.
}

TEST_F(PorterAloneTest, it_knows_its_address_by_the_port) {
  const Porter porter{5570, nobody_may_wait};
  EXPECT_TRUE(porter.is_at("tcp://0.0.0.0:5570"));
  EXPECT_TRUE(porter.is_at("tcp://[::1]:5570"));
  EXPECT_FALSE(porter.is_at("tcp://0.0.0.0:5571"));
  EXPECT_FALSE(porter.is_at("tcp://0.0.0.0:15570"));
}

TEST_F(PorterAloneTest, who_comes_over_ipv6_waits_like_everybody) {
  const auto ours = over_ipv6();
  if (!ours) GTEST_SKIP() << "needs ::1, which every Linux has unless it was booted with ipv6.disable=1";
  Porter porter{ours->port, nobody_may_wait};
  porter.on_accepted(ours->accepted);
  wait_for_the_end_of(ours->near);
}

}  // namespace
}  // namespace ventile
