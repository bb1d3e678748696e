// Strangers at the door of a socket with keys: how many may wait, how much they may say, and that guests do not suffer.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ventile/net/porter.hpp>

#include "fixture.hpp"
#include "half_guest.hpp"
#include "stranger.hpp"

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

TEST_F(PorterTest, those_who_come_and_go_take_nobodys_place) {
  stranger();
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

// Connections to ports of this machine, without libzmq.
class PorterAloneTest : public testing::Test {
protected:
  ~PorterAloneTest() override {
    for (const int descriptor : descriptors) close(descriptor);
  }

  struct Connection {
    int near = -1;
    int accepted = -1;
    std::uint16_t port = 0;
  };
  // Nothing if there is no such address here.
  std::optional<Connection> connection(const sockaddr* address, socklen_t size) {
    const int listener = kept(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (bind(listener, address, size) != 0 || listen(listener, 1) != 0) return std::nullopt;
    sockaddr_storage bound{};
    socklen_t bound_size = sizeof bound;
    getsockname(listener, reinterpret_cast<sockaddr*>(&bound), &bound_size);
    Connection made;
    made.near = kept(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(made.near, reinterpret_cast<const sockaddr*>(&bound), bound_size) != 0) return std::nullopt;
    made.accepted = kept(accept(listener, nullptr, nullptr));
    // At the same place for both families.
    made.port = ntohs(reinterpret_cast<const sockaddr_in&>(bound).sin_port);
    return made;
  }
  std::optional<Connection> over_ipv4() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connection(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  std::optional<Connection> over_ipv6() {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    return connection(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  int kept(int descriptor) { return descriptors.emplace_back(descriptor); }

  static void wait_for_the_end_of(int descriptor) {
    char byte = 0;
    EXPECT_EQ(recv(descriptor, &byte, 1, 0), 0);
  }
  static bool is_open(int descriptor) {
    char byte = 0;
    return recv(descriptor, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }

  static constexpr WaitingRoom::Limits nobody_may_wait{.waiting_max = 0};
  std::vector<int> descriptors;
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

TEST_F(PorterAloneTest, who_comes_over_ipv6_waits_like_everybody) {
  const auto ours = over_ipv6();
  if (!ours) GTEST_SKIP() << "needs ::1, which every Linux has unless it was booted with ipv6.disable=1";
  Porter porter{ours->port, nobody_may_wait};
  porter.on_accepted(ours->accepted);
  wait_for_the_end_of(ours->near);
}

}  // namespace
}  // namespace ventile
