#include <ventile/net/socket.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fixture.hpp"
#include "stranger.hpp"

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SocketTest : public NetTest {
protected:
  static Endpoint bound(Socket& socket, std::string_view address) {
    const Result<Endpoint> result = socket.bind(endpoint(address));
    if (!result) throw std::runtime_error(result.error().message);
    return *result;
  }

  // A router and a dealer that have spoken with each other.
  RoutingId introduce(RouterSocket& router, DealerSocket& dealer) {
    RoutingId peer;
    Frame hello;
    send(dealer, "hello");
    EXPECT_TRUE(turn_until([&] { return router.receive(peer, hello); }));
    return peer;
  }
};

// The same for every way in which two sockets may meet.
class TransportTest : public SocketTest, public testing::WithParamInterface<std::string> {
protected:
  std::string address() const { return GetParam() == "ipc" ? "ipc://" + folder.path("socket") : GetParam(); }

  // The same address with a port, if it is one of tcp, that was free a moment ago.
  static Endpoint with_port(Endpoint address) {
    if (address.transport != Transport::tcp) return address;
    sockaddr_in6 any{};
    any.sin6_family = AF_INET6;  // Free in both families.
    socklen_t size = sizeof any;
    const int socket = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&any), size), 0);
    ::getsockname(socket, reinterpret_cast<sockaddr*>(&any), &size);
    ::close(socket);
    address.port = ntohs(any.sin6_port);
    return address;
  }
};

TEST_P(TransportTest, a_router_answers_each_of_its_dealers) {
  RouterSocket router(context);
  const Endpoint meeting = bound(router, address());
  echo(router);
  DealerSocket first(context);
  DealerSocket second(context);
  ASSERT_TRUE(first.connect(meeting));
  ASSERT_TRUE(second.connect(meeting));
  const auto& to_first = collect(first);
  const auto& to_second = collect(second);
  send(first, "one");
  send(second, "two");
  send(first, "three");
  ASSERT_TRUE(turn_until([&] { return to_first.size() == 2 && to_second.size() == 1; }));
  EXPECT_THAT(to_first, ElementsAre("one", "three"));
  EXPECT_THAT(to_second, ElementsAre("two"));
}

TEST_P(TransportTest, what_is_pushed_is_pulled_in_order) {
  PullSocket pull(context);
  const Endpoint meeting = bound(pull, address());
  PushSocket push(context);
  ASSERT_TRUE(push.connect(meeting));
  const auto& pulled = collect(pull);
  std::vector<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    expected.push_back(std::to_string(i));
    send(push, expected.back());
  }
  ASSERT_TRUE(turn_until([&] { return pulled.size() >= expected.size(); }));
  EXPECT_EQ(pulled, expected);
}

TEST_P(TransportTest, a_full_peer_would_block_and_nothing_is_lost) {
  RouterSocket router(context, {.send_high_water = 5});
  const Endpoint meeting = bound(router, address());
  DealerSocket dealer(context, {.receive_high_water = 5});
  ASSERT_TRUE(dealer.connect(meeting));
  const RoutingId peer = introduce(router, dealer);

  std::vector<std::string> accepted;
  const auto fill = [&] {
    for (;;) {
      const std::string message = std::to_string(accepted.size()) + std::string(100'000, 'x');
      Frame outgoing = frame(message);
      const SendOutcome outcome = router.send(peer, outgoing);
      EXPECT_NE(outcome, SendOutcome::unreachable);
      if (outcome != SendOutcome::sent) {
        EXPECT_EQ(text(outgoing), message);  // The caller still has it.
        return;
      }
      accepted.push_back(message);
    }
  };
  fill();
  EXPECT_GE(accepted.size(), 5U);
  const auto& received = collect(dealer);
  ASSERT_TRUE(turn_until([&] { return received.size() == accepted.size(); }));
  fill();  // There is room again.
  ASSERT_TRUE(turn_until([&] { return received.size() == accepted.size(); }));
  EXPECT_EQ(received, accepted);
}

TEST_P(TransportTest, a_peer_that_left_is_unreachable) {
  RouterSocket router(context);
  const Endpoint meeting = bound(router, address());
  RoutingId peer;
  {
    DealerSocket dealer(context);
    ASSERT_TRUE(dealer.connect(meeting));
    peer = introduce(router, dealer);
  }
  Frame lost = frame("lost");
  ASSERT_TRUE(turn_until([&] {
    if (lost.empty()) lost = frame("lost");
    return router.send(peer, lost) == SendOutcome::unreachable;
  }));
  EXPECT_EQ(text(lost), "lost");
}

TEST_P(TransportTest, a_shared_buffer_is_sent_without_being_given_away) {
  PullSocket pull(context);
  const Endpoint meeting = bound(pull, address());
  PushSocket push(context);
  ASSERT_TRUE(push.connect(meeting));
  const auto& pulled = collect(pull);
  Buffer content;
  content.append(as_bytes(std::string(100'000, 's')));
  const auto kept = std::make_shared<const Buffer>(std::move(content));
  for (int i = 0; i < 2; ++i) {
    Frame outgoing = Frame::shared(kept);
    ASSERT_TRUE(turn_until([&] { return push.send(outgoing) == SendOutcome::sent; }));
  }
  ASSERT_TRUE(turn_until([&] { return pulled.size() == 2 && kept.use_count() == 1; }));
  EXPECT_THAT(pulled, ElementsAre(std::string(100'000, 's'), std::string(100'000, 's')));
}

TEST_P(TransportTest, what_has_not_connected_yet_is_not_needed_to_start) {
  const std::string meeting = with_port(endpoint(address())).to_string();
  PushSocket push(context);
  ASSERT_TRUE(push.connect(endpoint(meeting)));
  PullSocket pull(context);
  bound(pull, meeting);
  const auto& pulled = collect(pull);
  send(push, "early");
  ASSERT_TRUE(turn_until([&] { return pulled.size() == 1; }));
}

std::string transport_name(const testing::TestParamInfo<std::string>& parameter) {
  const Endpoint address = endpoint(parameter.param == "ipc" ? "ipc:///x" : parameter.param);
  if (address.transport == Transport::tcp) return address.host == "::1" ? "tcp6" : "tcp4";
  return address.transport == Transport::ipc ? "ipc" : "inproc";
}

INSTANTIATE_TEST_SUITE_P(Transports, TransportTest,
                         testing::Values("inproc://meeting", "ipc", "tcp://127.0.0.1:0", "tcp://[::1]:0"),
                         transport_name);

class LocalTest : public SocketTest {
protected:
  const Endpoint meeting = endpoint("inproc://meeting");
  SendOutcome offer(DealerSocket& dealer) {
    Frame outgoing = frame("anybody?");
    return dealer.send(outgoing);
  }
};

TEST_F(LocalTest, an_address_serves_one_socket_until_it_is_gone) {
  {
    RouterSocket first(context);
    ASSERT_TRUE(first.bind(meeting));
    RouterSocket second(context);
    const Result<Endpoint> taken = second.bind(meeting);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, Code::unavailable);
    EXPECT_THAT(taken.error().message, HasSubstr("inproc://meeting"));
    EXPECT_TRUE(second.bind(endpoint("tcp://127.0.0.1:0"))) << "nothing was kept of it";
  }
  RouterSocket third(context);
  EXPECT_TRUE(third.bind(meeting));
}

TEST_F(LocalTest, a_socket_of_inproc_is_one_of_nothing_else) {
  const Endpoint elsewhere = endpoint("tcp://127.0.0.1:0");
  RouterSocket inside(context);
  ASSERT_TRUE(inside.bind(meeting));
  EXPECT_TRUE(inside.bind(endpoint("inproc://another-name")));
  EXPECT_THAT(inside.bind(elsewhere).error().message, HasSubstr("bound over inproc, and to nothing else"));
  EXPECT_EQ(inside.connect(endpoint("tcp://127.0.0.1:5570")).error().code, Code::invalid);
  RouterSocket outside(context);
  ASSERT_TRUE(outside.bind(elsewhere));
  EXPECT_THAT(outside.bind(endpoint("inproc://third-name")).error().message, HasSubstr("another address already"));
  EXPECT_EQ(outside.connect(meeting).error().code, Code::invalid);
  DealerSocket dealer(context);
  ASSERT_TRUE(dealer.connect(meeting));
  EXPECT_FALSE(dealer.bind(endpoint("inproc://third-name")));
}

TEST_F(LocalTest, who_has_lost_its_host_or_left_it_waits_for_room) {
  DealerSocket dealer(context);
  {
    RouterSocket router(context);
    ASSERT_TRUE(router.bind(meeting));
    ASSERT_TRUE(dealer.connect(meeting));
    EXPECT_EQ(offer(dealer), SendOutcome::sent);
  }
  EXPECT_EQ(offer(dealer), SendOutcome::would_block);
  dealer.disconnect();
  RouterSocket router(context);
  ASSERT_TRUE(router.bind(meeting));
  ASSERT_TRUE(dealer.connect(meeting));
  const RoutingId peer = introduce(router, dealer);
  dealer.disconnect();
  Frame lost = frame("lost");
  EXPECT_EQ(router.send(peer, lost), SendOutcome::unreachable);
}

TEST_F(LocalTest, nothing_goes_on_once_the_context_has_ended) {
  auto short_lived = std::make_unique<Context>();
  RouterSocket router(*short_lived);
  ASSERT_TRUE(router.bind(meeting));
  DealerSocket dealer(*short_lived);
  ASSERT_TRUE(dealer.connect(meeting));
  ASSERT_EQ(offer(dealer), SendOutcome::sent);
  short_lived.reset();
  EXPECT_EQ(offer(dealer), SendOutcome::would_block);
  RoutingId peer;
  Frame received;
  EXPECT_FALSE(router.receive(peer, received));
  reactor.add(router, [] { return Reading::drained; });
  reactor.run();  // And ends.
  reactor.remove(router);
}

TEST_F(LocalTest, who_has_lost_its_host_finds_the_next_one) {
  DealerSocket dealer(context);
  ASSERT_TRUE(dealer.connect(meeting));
  for (int life = 0; life < 3; ++life) {
    EXPECT_EQ(offer(dealer), SendOutcome::would_block);
    RouterSocket router(context);
    ASSERT_TRUE(router.bind(meeting));
    introduce(router, dealer);
  }
}

TEST_F(LocalTest, what_is_pushed_by_a_host_goes_to_those_who_pull_in_turn_and_passes_over_the_full_ones) {
  PushSocket push(context, {.send_high_water = 1});
  ASSERT_TRUE(push.bind(meeting));
  PullSocket slow(context, {.receive_high_water = 1});
  PullSocket quick(context, {.receive_high_water = 10});
  ASSERT_TRUE(slow.connect(meeting));
  ASSERT_TRUE(quick.connect(meeting));
  for (int i = 0; i < 13; ++i) {
    Frame outgoing = frame(std::to_string(i));
    ASSERT_EQ(push.send(outgoing), SendOutcome::sent) << i;
  }
  Frame thirteenth = frame("one more");
  EXPECT_EQ(push.send(thirteenth), SendOutcome::would_block);
  EXPECT_EQ(text(thirteenth), "one more");
  const auto& to_slow = collect(slow);
  const auto& to_quick = collect(quick);
  ASSERT_TRUE(turn_until([&] { return to_slow.size() + to_quick.size() == 13; }));
  EXPECT_THAT(to_slow, ElementsAre("0", "2"));
  EXPECT_EQ(to_quick.size(), 11U);
}

// Reactors that sleep are woken by what comes, by room that is there again and by whoever connects; a wake-up that is
// missed hangs.
TEST_F(LocalTest, messages_go_from_thread_to_thread_and_back_however_little_room_there_is) {
  constexpr int guests = 3;
  constexpr int rounds = 3000;
  RouterSocket router(context, {.send_high_water = 1, .receive_high_water = 1});
  int answered = 0;
  reactor.add(router, [&] {
    RoutingId peer;
    Frame message;
    if (!router.receive(peer, message)) return Reading::drained;
    EXPECT_EQ(router.send(peer, message), SendOutcome::sent);
    if (++answered == guests * rounds) reactor.stop();
    return Reading::more;
  });
  std::vector<std::jthread> threads;
  for (int guest = 0; guest < guests; ++guest) {
    threads.emplace_back([&, guest] {
      Reactor own;
      DealerSocket dealer(context, {.send_high_water = 1, .receive_high_water = 2 * rounds});
      ASSERT_TRUE(dealer.connect(meeting));
      int sent = 0;
      int received = 0;
      own.add(
          dealer,
          [&] {
            Frame message;
            if (!dealer.receive(message)) return Reading::drained;
            EXPECT_EQ(text(message), std::to_string(guest) + '/' + std::to_string(received));
            if (++received == rounds) own.stop();
            return Reading::more;
          },
          [&] {
            for (; sent < rounds; ++sent) {
              Frame message = frame(std::to_string(guest) + '/' + std::to_string(sent));
              if (dealer.send(message) != SendOutcome::sent) return;
            }
            own.want_write(dealer, false);
          });
      own.want_write(dealer, true);
      own.run();
      own.remove(dealer);
      EXPECT_EQ(received, rounds);
    });
  }
  ASSERT_TRUE(router.bind(meeting));  // Perhaps after they have connected, perhaps before.
  reactor.run();
  threads.clear();
  EXPECT_EQ(answered, guests * rounds);
}

// While two talk with each other without a pause and without a system call, everybody else is heard too.
TEST_F(LocalTest, who_talks_locally_does_not_keep_the_others_waiting) {
  RouterSocket router(context);
  ASSERT_TRUE(router.bind(meeting));
  echo(router);
  DealerSocket dealer(context);
  ASSERT_TRUE(dealer.connect(meeting));
  reactor.add(dealer, [&] {
    Frame received;
    if (!dealer.receive(received)) return Reading::drained;
    EXPECT_EQ(dealer.send(received), SendOutcome::sent);
    return Reading::more;
  });
  ASSERT_EQ(offer(dealer), SendOutcome::sent);
  PullSocket pull(context);
  PushSocket push(context);
  ASSERT_TRUE(push.connect(bound(pull, "tcp://127.0.0.1:0")));
  const auto& pulled = collect(pull);
  send(push, "from outside");
  EXPECT_TRUE(turn_until([&] { return pulled.size() == 1; }));
}

TEST_F(SocketTest, an_unknown_peer_is_unreachable) {
  RouterSocket router(context);
  bound(router, "tcp://127.0.0.1:0");
  Frame kept = frame("kept");
  EXPECT_EQ(router.send(RoutingId(as_bytes("nobody")), kept), SendOutcome::unreachable);
  EXPECT_EQ(text(kept), "kept");
}

TEST_F(SocketTest, nothing_is_queued_for_an_address_where_nobody_is) {
  const DeadPort nobody;
  PushSocket push(context);
  DealerSocket dealer(context);
  ASSERT_TRUE(push.connect(nobody.endpoint()));
  ASSERT_TRUE(dealer.connect(nobody.endpoint()));
  Frame kept = frame("kept");
  EXPECT_EQ(push.send(kept), SendOutcome::would_block);
  EXPECT_EQ(dealer.send(kept), SendOutcome::would_block);
  EXPECT_EQ(text(kept), "kept");
}

TEST_F(SocketTest, a_received_frame_knows_its_connection) {
  PullSocket pull(context);
  PushSocket push(context);
  ASSERT_TRUE(push.connect(bound(pull, "tcp://127.0.0.1:0")));
  send(push, "message");
  Frame received;
  ASSERT_TRUE(turn_until([&] { return pull.receive(received); }));
  EXPECT_GE(received.source_descriptor(), 0);
  EXPECT_EQ(received.peer_address(), "127.0.0.1");
}

TEST_F(SocketTest, a_name_is_bound_by_its_address) {
  PullSocket pull(context);
  const Endpoint meeting = bound(pull, "tcp://localhost:*");
  EXPECT_TRUE(meeting.is_loopback());
  EXPECT_NE(meeting.port, 0);
}

TEST_F(SocketTest, an_interface_is_bound_by_its_name) {
  PullSocket pull(context);
  EXPECT_EQ(bound(pull, "tcp://lo:0").host, "127.0.0.1");
}

TEST_F(SocketTest, an_address_of_another_machine_is_not_bound) {
  PullSocket pull(context);
  const Result<Endpoint> refused = pull.bind(endpoint("tcp://192.0.2.1:0"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("Cannot bind tcp://192.0.2.1:0: this machine has no such address"));
}

TEST_F(SocketTest, an_address_in_use_names_its_holder) {
  const std::string holder = "process " + std::to_string(getpid()) + " (";
  for (const std::string address : {"tcp://127.0.0.1:0", "tcp://[::1]:0", "tcp://*:0", "ipc"}) {
    PullSocket pull(context);
    const Endpoint taken = bound(pull, address == "ipc" ? "ipc://" + folder.path("taken") : address);
    RouterSocket late(context);
    const Result<Endpoint> refused = late.bind(taken);
    ASSERT_FALSE(refused) << address;
    EXPECT_EQ(refused.error().code, Code::unavailable);
    EXPECT_THAT(refused.error().message, HasSubstr(taken.to_string()));
    EXPECT_THAT(refused.error().message, HasSubstr(holder));
    EXPECT_THAT(refused.error().message, HasSubstr("net_test"));
  }
}

TEST_F(SocketTest, an_inproc_name_in_use_is_refused) {
  PullSocket pull(context);
  bound(pull, "inproc://taken");
  PullSocket late(context);
  const Result<Endpoint> refused = late.bind(endpoint("inproc://taken"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
}

TEST_F(SocketTest, a_file_in_the_way_is_not_removed) {
  const std::string path = folder.path("precious");
  std::ofstream(path) << "content";
  PullSocket pull(context);
  const Result<Endpoint> refused = pull.bind(endpoint("ipc://" + path));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("a file that is not a socket"));
  std::string content;
  std::ifstream(path) >> content;
  EXPECT_EQ(content, "content");
}

TEST_F(SocketTest, the_socket_file_of_a_dead_process_is_taken_over) {
  const std::string path = folder.path("left-behind");
  const pid_t child = fork();
  if (child == 0) {  // Leaves a bound socket file that nobody listens at.
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM, 0);
    _exit(::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  PullSocket pull(context);
  EXPECT_TRUE(pull.bind(endpoint("ipc://" + path)));
}

TEST_F(SocketTest, only_owner_and_group_may_connect_to_a_socket_file) {
  for (const auto& [mask, mode] : {std::pair<mode_t, mode_t>{0, 0770}, {022, 0750}, {077, 0700}}) {
    const std::string path = folder.path("socket-" + std::to_string(mask));
    const mode_t before = ::umask(mask);
    PullSocket pull(context);
    const bool is_bound = bool{pull.bind(endpoint("ipc://" + path))};
    ::umask(before);
    struct stat file {};
    ASSERT_TRUE(is_bound);
    ASSERT_EQ(::stat(path.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777U, mode);
  }
}

TEST_F(SocketTest, only_one_host_with_a_port_can_be_connected_to) {
  PushSocket push(context);
  for (const char* address : {"tcp://*:5570", "tcp://0.0.0.0:5570", "tcp://127.0.0.1:0"}) {
    const Status refused = push.connect(endpoint(address));
    ASSERT_FALSE(refused) << address;
    EXPECT_EQ(refused.error().code, Code::invalid);
  }
}

TEST_F(SocketTest, a_name_that_cannot_be_resolved_is_reported_and_not_retried) {
  PushSocket push(context);
  const Status refused = push.connect(Endpoint{Transport::tcp, std::string(64, 'x'), 5570});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
}

TEST_F(SocketTest, a_socket_connects_to_one_address_at_a_time) {
  PullSocket first(context);
  PullSocket second(context);
  const Endpoint to_first = bound(first, "tcp://127.0.0.1:0");
  const Endpoint to_second = bound(second, "inproc://second");
  const auto& at_first = collect(first);
  const auto& at_second = collect(second);
  PushSocket push(context);
  ASSERT_TRUE(push.connect(to_first));
  EXPECT_EQ(push.connect(to_second).error().code, Code::invalid);
  send(push, "one");
  ASSERT_TRUE(turn_until([&] { return at_first.size() == 1; }));
  push.disconnect();
  push.disconnect();
  ASSERT_TRUE(push.connect(to_second));
  ASSERT_TRUE(turn_until([&] {  // The first of them may still leave by the old connection.
    Frame message = frame("two");
    (void)push.send(message);
    return !at_second.empty();
  }));
  EXPECT_EQ(at_first.front(), "one");
  EXPECT_EQ(at_second.front(), "two");
}

// With libzmq's own 100, connections of a thousand workers that came at once were dropped by the kernel, 27,709 times
// in one run, and their workers tried again seconds later.
TEST_F(SocketTest, as_many_may_wait_to_be_let_in_as_the_system_allows) {
  PullSocket socket{context};
  const Endpoint listening = bound(socket, "tcp://127.0.0.1:*");
  std::ifstream allowed{"/proc/sys/net/core/somaxconn"};
  std::uint32_t most = 0;
  ASSERT_TRUE(allowed >> most);
  std::optional<std::uint32_t> backlog;
  for (int descriptor = 0; descriptor < 1024; ++descriptor) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    tcp_info info{};
    socklen_t info_size = sizeof info;
    if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0 && address.sin_family == AF_INET &&
        ntohs(address.sin_port) == listening.port &&
        getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &info_size) == 0)
      backlog = info.tcpi_sacked;  // Of a socket that listens: how many may wait.
  }
  EXPECT_EQ(backlog, std::min(most, static_cast<std::uint32_t>(ConnectionOptions{}.backlog)));
}

TEST(RoutingId, is_a_value) {
  const RoutingId one(as_bytes("one"));
  const RoutingId same(as_bytes("one"));
  const RoutingId other(as_bytes(std::string(255, 'o')));
  EXPECT_EQ(one, same);
  EXPECT_NE(one, other);
  EXPECT_EQ(other.bytes().size(), 255U);
  EXPECT_EQ((std::unordered_set<RoutingId>{one, same, other}.size()), 2U);
}

#ifndef NDEBUG
TEST(SocketDeathTest, a_second_thread_is_caught) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Context context;
  PullSocket pull(context);
  Frame frame;
  EXPECT_FALSE(pull.receive(frame));
  EXPECT_DEATH(std::thread([&] { (void)pull.receive(frame); }).join(), "owner_");
}
#endif

}  // namespace
}  // namespace ventile
