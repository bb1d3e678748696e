#include "half_guest.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace ventile {

namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int open_tcp() { return ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); }

void check(bool fine) {
  if (!fine) throw std::runtime_error("The half guest cannot connect.");
}

// The guest's own end of its connection, accepted at a port that nobody else knows.
int receive_guest(DealerSocket& guest) {
  const int listener = open_tcp();
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  check(::bind(listener, reinterpret_cast<const sockaddr*>(&address), size) == 0 && ::listen(listener, 1) == 0);
  check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  check(static_cast<bool>(guest.connect({Transport::tcp, "127.0.0.1", ntohs(address.sin_port)})));
  const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(listener);
  check(accepted >= 0);
  return accepted;
}

}  // namespace

HalfGuest::HalfGuest(Context& context, const ConnectionOptions& options, const Endpoint& server, std::size_t bytes_max)
    : socket_(context, {.connection = options}), bytes_max_(bytes_max) {
  to_guest_ = receive_guest(socket_);
  char bytes[greeting];
  const ssize_t count = ::recv(to_guest_, bytes, std::min(sizeof bytes, bytes_max), 0);
  check(count > 0);
  said_ = static_cast<std::size_t>(count);
  to_server_ = open_tcp();
  const sockaddr_in address = loopback(server.port);
  check(::connect(to_server_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  (void)!::send(to_server_, bytes, said_, MSG_NOSIGNAL);  // At once, as a guest does.
}

HalfGuest::~HalfGuest() {
  ::close(to_server_);
  ::close(to_guest_);
}

void HalfGuest::carry() {
  char bytes[4096];
  if (const std::size_t room = std::min(sizeof bytes, bytes_max_ - said_); room > 0) {
    if (const ssize_t count = ::recv(to_guest_, bytes, room, MSG_DONTWAIT); count > 0) {
      said_ += static_cast<std::size_t>(count);
      (void)!::send(to_server_, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL);
    }
  }
  const ssize_t count = ::recv(to_server_, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count == 0 || (count < 0 && errno == ECONNRESET)) closed_ = true;
  if (count <= 0) return;
  heard_ += static_cast<std::size_t>(count);
  (void)!::send(to_guest_, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL);
}

}  // namespace ventile
