#include "stranger.hpp"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <stdexcept>

namespace ventile {

RawConnection::RawConnection(const Endpoint& endpoint) : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  inet_pton(AF_INET, endpoint.host.c_str(), &address.sin_addr);
  if (::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error("The raw connection failed.");
  }
}

RawConnection::~RawConnection() { ::close(descriptor_); }

std::string RawConnection::unacceptable_greeting() {
  std::string greeting("\xff\0\0\0\0\0\0\0\1\x7f\3\0NONSENSE", 20);
  greeting.resize(64);
  return greeting;
}

// The other side may hang up in the middle, as it should.
void RawConnection::send(std::string_view bytes) {
  (void)!::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

bool RawConnection::is_closed() {
  char bytes[512];
  for (;;) {
    const ssize_t count = ::recv(descriptor_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count <= 0) return count == 0 || errno == ECONNRESET;
  }
}

DeadPort::DeadPort() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("No port can be bound.");
  }
  endpoint_ = {Transport::tcp, "127.0.0.1", ntohs(address.sin_port)};
}

DeadPort::~DeadPort() { ::close(descriptor_); }

Stranger::Stranger(Kind kind, const Endpoint& endpoint, std::string_view routing_id)
    : context_(zmq_ctx_new()), socket_(zmq_socket(context_, kind == Kind::push ? ZMQ_PUSH : ZMQ_DEALER)) {
  const int no_linger = 0;
  zmq_setsockopt(socket_, ZMQ_LINGER, &no_linger, sizeof no_linger);
  if (!routing_id.empty()) zmq_setsockopt(socket_, ZMQ_ROUTING_ID, routing_id.data(), routing_id.size());
  if (zmq_connect(socket_, endpoint.to_string().c_str()) != 0) throw std::runtime_error("The stranger cannot connect.");
}

Stranger::~Stranger() {
  zmq_close(socket_);
  zmq_ctx_term(context_);
}

void Stranger::send(const std::vector<std::string>& parts) {
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const int flags = i + 1 < parts.size() ? ZMQ_SNDMORE : 0;
    if (zmq_send(socket_, parts[i].data(), parts[i].size(), flags) < 0) throw std::runtime_error("zmq_send failed");
  }
}

bool Stranger::receive(std::string& part) {
  part.resize(1024);
  const int size = zmq_recv(socket_, part.data(), part.size(), ZMQ_DONTWAIT);
  if (size < 0) return false;
  part.resize(static_cast<std::size_t>(size));
  return true;
}

}  // namespace ventile
