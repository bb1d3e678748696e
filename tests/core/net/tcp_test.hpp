// Both ends of connections, without libzmq.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <optional>
#include <vector>

#include <gtest/gtest.h>

namespace ventile {

// Connections to ports of this machine, of both sides of which the test is the owner. They are closed with it.
class TcpTest : public ::testing::Test {
protected:
  ~TcpTest() override {
    for (const int descriptor : descriptors) close(descriptor);
  }

  struct Connection {
    int near = -1;
    int accepted = -1;
    std::uint16_t port = 0;
  };
  struct Listener {
    int descriptor = -1;
    std::uint16_t port = 0;
  };
  // Nothing if there is no such address here.
  std::optional<Connection> connection(const sockaddr* address, socklen_t size) {
    const std::optional<Listener> listener = listen_at(address, size);
    if (!listener) return std::nullopt;
    sockaddr_storage bound{};
    socklen_t bound_size = sizeof bound;
    getsockname(listener->descriptor, reinterpret_cast<sockaddr*>(&bound), &bound_size);
    Connection made;
    made.near = kept(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(made.near, reinterpret_cast<const sockaddr*>(&bound), bound_size) != 0) return std::nullopt;
    made.accepted = kept(accept(listener->descriptor, nullptr, nullptr));
    made.port = listener->port;
    return made;
  }
  std::optional<Listener> listen_at(const sockaddr* address, socklen_t size) {
    const Listener made{kept(socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0))};
    if (bind(made.descriptor, address, size) != 0 || listen(made.descriptor, SOMAXCONN) != 0) return std::nullopt;
    sockaddr_storage bound{};
    socklen_t bound_size = sizeof bound;
    getsockname(made.descriptor, reinterpret_cast<sockaddr*>(&bound), &bound_size);
    // At the same place for both families.
    return Listener{made.descriptor, ntohs(reinterpret_cast<const sockaddr_in&>(bound).sin_port)};
  }
  static sockaddr_in loopback() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  std::optional<Connection> over_ipv4() {
    const sockaddr_in address = loopback();
    return connection(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  std::optional<Connection> over_ipv6() {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    return connection(reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  int kept(int descriptor) { return descriptors.emplace_back(descriptor); }

  // Which the other side has said, or its kernel, if there was something that nobody will read.
  static void wait_for_the_end_of(int descriptor) {
    char byte = 0;
    const ssize_t count = recv(descriptor, &byte, 1, 0);
    EXPECT_TRUE(count == 0 || (count < 0 && errno == ECONNRESET)) << errno;
  }
  static bool is_open(int descriptor) {
    char byte = 0;
    return recv(descriptor, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
  }

  std::vector<int> descriptors;
};

}  // namespace ventile
