#include <ventile/net/monitor.hpp>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <zmq.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <utility>

#include <ventile/base/ids.hpp>
#include <ventile/net/descriptors.hpp>
#include <ventile/net/porter.hpp>

namespace ventile {

namespace {

using Kind = ConnectionEvent::Kind;

constexpr int events_of_interest = ZMQ_EVENT_LISTENING | ZMQ_EVENT_CONNECTED | ZMQ_EVENT_CONNECT_RETRIED |
                                   ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
                                   ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                   ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
constexpr Duration warning_interval = std::chrono::seconds{10};

Kind kind_of(std::uint16_t event) {
  switch (event) {
    case ZMQ_EVENT_CONNECTED:
      return Kind::connected;
    case ZMQ_EVENT_CONNECT_RETRIED:
      return Kind::connect_retried;
    case ZMQ_EVENT_ACCEPTED:
      return Kind::accepted;
    case ZMQ_EVENT_ACCEPT_FAILED:
      return Kind::accept_failed;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      return Kind::handshake_succeeded;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return Kind::handshake_failed;
    default:
      return Kind::disconnected;
  }
}

bool has_descriptor(Kind kind) {
  return kind == Kind::connected || kind == Kind::accepted || kind == Kind::disconnected;
}

bool has_error(Kind kind) { return kind == Kind::accept_failed || kind == Kind::handshake_failed; }

constexpr int zap_errors_from = 300;
constexpr int zap_errors_to = 599;

// Whether the descriptor is a connection to this address of ours. It may have been closed since the event, and be
// anything by now.
bool is_guest_at(std::string_view address, int descriptor) {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) != 0) return false;
  std::string end;
  if (own.ss_family == AF_INET) end = ":" + std::to_string(ntohs(reinterpret_cast<const sockaddr_in&>(own).sin_port));
  if (own.ss_family == AF_INET6)
    end = ":" + std::to_string(ntohs(reinterpret_cast<const sockaddr_in6&>(own).sin6_port));
  if (own.ss_family == AF_UNIX) end = reinterpret_cast<const sockaddr_un&>(own).sun_path;
  int listens = 0;
  size = sizeof listens;
  return !end.empty() && address.ends_with(end) &&
         ::getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens == 0;
}

}  // namespace

bool ConnectionEvent::shut_out() const {
  if (kind != Kind::handshake_failed) return false;
  return (error >= zap_errors_from && error <= zap_errors_to) || error == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH;
}

std::string_view to_string(Kind kind) {
  switch (kind) {
    case Kind::connected:
      return "connected";
    case Kind::connect_retried:
      return "connect_retried";
    case Kind::accepted:
      return "accepted";
    case Kind::accept_failed:
      return "accept_failed";
    case Kind::handshake_succeeded:
      return "handshake_succeeded";
    case Kind::handshake_failed:
      return "handshake_failed";
    case Kind::disconnected:
      return "disconnected";
  }
  return "unknown";
}

Monitor::Monitor(Context& context, Socket& socket) : Socket(context, ZMQ_PAIR), socket_(socket) {
  const std::string address = "inproc://ventile-monitor-" + to_hex(random_u64());
  // Without a limit: libzmq's I/O thread sends the events with a blocking send, and holds a lock that closing needs.
  set_option(ZMQ_RCVHWM, 0);
  [[maybe_unused]] const int attached = zmq_socket_monitor(socket_.handle_, address.c_str(), events_of_interest);
  assert(attached == 0);
  [[maybe_unused]] const int connected = zmq_connect(handle(), address.c_str());
  assert(connected == 0);
}

// Before the base class closes our end: a monitor that nobody listens to would block the I/O thread.
Monitor::~Monitor() { zmq_socket_monitor(socket_.handle_, nullptr, 0); }

// Each event is two parts: a 16-bit kind with a 32-bit value, in this machine's byte order, and the address.
bool Monitor::receive(ConnectionEvent& event) {
  std::uint16_t kind = 0;
  std::int32_t value = 0;
  Frame address;
  for (;;) {
    Frame number;
    bool more_follow = false;
    if (!receive_part(number, more_follow) || !receive_part(address, more_follow)) return false;
    std::memcpy(&kind, number.bytes().data(), sizeof kind);
    std::memcpy(&value, number.bytes().data() + sizeof kind, sizeof value);
    if (kind != ZMQ_EVENT_LISTENING) break;  // No connection's.
    for (const auto& porter : socket_.porters_) porter->on_listening(value);
  }
  event.kind = kind_of(kind);
  event.descriptor = has_descriptor(event.kind) ? value : -1;
  event.error = has_error(event.kind) ? value : 0;
  event.address = as_text(address.bytes());
  if (event.kind == Kind::accepted) on_accepted(event);
  if (event.kind == Kind::accept_failed && (event.error == EMFILE || event.error == ENFILE))
    warn(event.address, event.error, descriptor_limit());
  return true;
}

// The kernel gives the lowest descriptor that is free: one of the highest says that hardly any is left.
void Monitor::on_accepted(const ConnectionEvent& event) {
  for (const auto& porter : socket_.porters_)
    if (porter->is_at(event.address)) porter->on_accepted(event.descriptor);
  const std::uint64_t limit = descriptor_limit();
  if (static_cast<std::uint64_t>(event.descriptor) < limit - descriptors_kept_back(limit)) return;
  if (!is_guest_at(event.address, event.descriptor)) return;
  ::shutdown(event.descriptor, SHUT_RDWR);
  warn(event.address, EMFILE, limit);
}

void Monitor::warn(const std::string& address, int error, std::uint64_t limit) {
  const TimePoint now = Clock::now();
  if (warned_ != TimePoint::min() && now - warned_ < warning_interval) return;
  warned_ = now;
  warning_ = "cannot let anybody else in at " + address + ": " + std::strerror(error) + "; " +
             (error == EMFILE
                  ? "this process may open " + std::to_string(limit) + " files (ulimit -n, or LimitNOFILE of its unit)"
                  : "the machine has no more files to open") +
             ". Whoever comes is turned away, and may try again";
}

std::string Monitor::take_warning() { return std::exchange(warning_, {}); }

}  // namespace ventile
