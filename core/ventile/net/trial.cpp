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

// What becomes of a socket's connections. Ends before our end of it is closed: libzmq's I/O thread would wait for ever
// for somebody to listen, and with it every connection of the process.
class Events {
public:
  Events(void* context, void* socket, const std::string& address)
      : socket_(socket), receiver_(open(context, ZMQ_PAIR)) {
    attached_ = receiver_ != nullptr &&
                zmq_socket_monitor(socket, address.c_str(), refusals | ZMQ_EVENT_HANDSHAKE_SUCCEEDED) == 0 &&
                zmq_connect(receiver_.get(), address.c_str()) == 0;
  }
  ~Events() { zmq_socket_monitor(socket_, nullptr, 0); }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  bool attached() const { return attached_; }
  int next(TimePoint deadline) const;  // 0: none in time.

private:
  void* socket_;
  RawSocket receiver_;
  bool attached_;
};

// An address by which this machine reaches what it has bound.
Endpoint from_here(Endpoint bound) {
  if (bound.is_wildcard()) bound.host = bound.host == "::" ? "::1" : "127.0.0.1";
  return bound;
}

int Events::next(TimePoint deadline) const {
  void* const monitor = receiver_.get();
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
  if (socket == nullptr) return nothing;
  const int six = from_here(bound).host.find(':') != std::string::npos ? 1 : 0;
  zmq_setsockopt(socket.get(), ZMQ_IPV6, &six, sizeof six);
  zmq_setsockopt(socket.get(), ZMQ_CURVE_SERVERKEY, server_key.data(), server_key.size());
  zmq_setsockopt(socket.get(), ZMQ_CURVE_PUBLICKEY, stranger.public_key().data(), curve_key_size);
  zmq_setsockopt(socket.get(), ZMQ_CURVE_SECRETKEY, stranger.secret_key().data(), curve_key_size);
  const Events events(context, socket.get(), "inproc://ventile-trial-" + stranger.public_key());
  if (!events.attached() || zmq_connect(socket.get(), from_here(bound).to_string().c_str()) != 0) return nothing;
  const int event = events.next(Clock::now() + patience);
  if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
    return Error{Code::failed, "a stranger with a new key is let in at " + bound.to_string() + ", so it is not served"};
  if (event == 0) return nothing;
  return {};
}

}  // namespace ventile
