#include <ventile/net/trial.hpp>

#include <zmq.h>

#include <cstdint>
#include <cstring>

#include <ventile/base/clock.hpp>

namespace ventile {

namespace {

constexpr Duration patience = std::chrono::seconds{5};
constexpr int refusals = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                         ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_DISCONNECTED;

struct Closer {
  void operator()(void* socket) const { zmq_close(socket); }
};
using RawSocket = std::unique_ptr<void, Closer>;

RawSocket open(void* context, int kind) {
  RawSocket socket(zmq_socket(context, kind));
  const int linger = 0;
  if (socket != nullptr) zmq_setsockopt(socket.get(), ZMQ_LINGER, &linger, sizeof linger);
  return socket;
}

// An address by which this machine reaches what it has bound.
Endpoint from_here(Endpoint bound) {
  if (bound.is_wildcard()) bound.host = bound.host == "::" ? "::1" : "127.0.0.1";
  return bound;
}

// The next event; 0 if there is none in time.
int next_event(void* monitor, TimePoint deadline) {
  zmq_pollitem_t item{monitor, 0, ZMQ_POLLIN, 0};
  for (TimePoint now = Clock::now(); now < deadline; now = Clock::now()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - now).count();
    if (zmq_poll(&item, 1, static_cast<long>(left)) <= 0) continue;
    char first[8] = {};
    char address[512];
    if (zmq_recv(monitor, first, sizeof first, 0) < 2) continue;
    zmq_recv(monitor, address, sizeof address, 0);
    std::uint16_t event = 0;
    std::memcpy(&event, first, sizeof event);
    return event;
  }
  return 0;
}

}  // namespace

Status try_as_stranger(void* context, int kind, const Endpoint& bound, const std::string& server_key,
                       const KeyPair& stranger) {
  const Error nothing{Code::unavailable, "it cannot be seen whether a stranger is refused at " + bound.to_string() +
                                             ", so it is not served"};
  const RawSocket socket = open(context, kind);
  const RawSocket monitor = open(context, ZMQ_PAIR);
  if (socket == nullptr || monitor == nullptr) return nothing;
  const std::string events = "inproc://ventile-trial-" + stranger.public_key();
  const int six = from_here(bound).host.find(':') != std::string::npos ? 1 : 0;
  zmq_setsockopt(socket.get(), ZMQ_IPV6, &six, sizeof six);
  zmq_setsockopt(socket.get(), ZMQ_CURVE_SERVERKEY, server_key.data(), server_key.size());
  zmq_setsockopt(socket.get(), ZMQ_CURVE_PUBLICKEY, stranger.public_key().data(), curve_key_size);
  zmq_setsockopt(socket.get(), ZMQ_CURVE_SECRETKEY, stranger.secret_key().data(), curve_key_size);
  if (zmq_socket_monitor(socket.get(), events.c_str(), refusals | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) != 0 ||
      zmq_connect(monitor.get(), events.c_str()) != 0 ||
      zmq_connect(socket.get(), from_here(bound).to_string().c_str()) != 0) {
    return nothing;
  }
  const int event = next_event(monitor.get(), Clock::now() + patience);
  if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
    return Error{Code::failed, "a stranger with a new key is let in at " + bound.to_string() + ", so it is not served"};
  if (event == 0) return nothing;
  return {};
}

}  // namespace ventile
