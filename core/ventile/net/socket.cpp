#include <ventile/net/socket.hpp>

#include <net/if.h>
#include <sys/stat.h>
#include <zmq.h>

#include <cassert>
#include <cerrno>

#include <ventile/net/context_state.hpp>
#include <ventile/net/gatekeeper.hpp>
#include <ventile/net/handover.hpp>
#include <ventile/net/listener.hpp>
#include <ventile/net/local_end.hpp>
#include <ventile/net/porter.hpp>
#include <ventile/net/switchboard.hpp>
#include <ventile/net/trial.hpp>

namespace ventile {

namespace {

// A peer that sends nothing but malformed messages must not keep a reactor in one call.
constexpr int malformed_burst_max = 100;

// libzmq honours it, but Debian's header hides it among the drafts.
constexpr int zap_enforce_domain = 93;

const char* name_of(int kind) {
  switch (kind) {
    case ZMQ_ROUTER:
      return "ROUTER";
    case ZMQ_DEALER:
      return "DEALER";
    case ZMQ_PUSH:
      return "PUSH";
    case ZMQ_PULL:
      return "PULL";
    default:
      return "monitor";
  }
}

// The kind that talks to it.
int counterpart_of(int kind) {
  if (kind == ZMQ_PULL) return ZMQ_PUSH;
  return kind == ZMQ_PUSH ? ZMQ_PULL : ZMQ_DEALER;
}

int to_milliseconds(Duration duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

int to_whole_seconds(Duration duration) {
  return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(duration).count());
}

bool is_interface(const Endpoint& endpoint) {
  return endpoint.transport == Transport::tcp && if_nametoindex(endpoint.host.c_str()) != 0;
}

bool is_ipv6(const Endpoint& endpoint) {
  return endpoint.transport == Transport::tcp && endpoint.host.find(':') != std::string::npos;
}

// A socket file is made as the umask has it, and who may write to it may connect.
void keep_others_out(const Endpoint& bound) {
  constexpr mode_t owner_and_group = S_IRWXU | S_IRWXG;
  struct stat file {};
  if (bound.transport != Transport::ipc || ::stat(bound.host.c_str(), &file) != 0) return;
  (void)::chmod(bound.host.c_str(), file.st_mode & owner_and_group);
}

Error cannot_bind(const Endpoint& endpoint, const std::string& reason) {
  return {Code::unavailable, "Cannot bind " + endpoint.to_string() + ": " + reason + "."};
}

}  // namespace

Socket::Socket(Context& context, int kind)
    : context_(context.state_), handle_(context_->open(this, kind, name_of(kind))), kind_(kind) {
  set_option(ZMQ_LINGER, 0);
}

Socket::~Socket() {
  leave_local();
  context_->close(this, handle_);
  if (!domain_.empty()) context_->gatekeeper().close(domain_);
}

void Socket::set_option(int option, int value) {
  [[maybe_unused]] const int result = zmq_setsockopt(handle_, option, &value, sizeof value);
  assert(result == 0 || errno == ETERM);
}

void Socket::set_high_water(int option, int messages) {
  assert(messages > 0);
  set_option(option, messages);
  (option == ZMQ_RCVHWM ? receive_high_water_ : send_high_water_) = static_cast<std::size_t>(messages);
}

void Socket::linger(Duration longest) {
  set_option(ZMQ_LINGER, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(longest).count()));
}

void Socket::set_connection_options(const ConnectionOptions& options) {
  assert(options.frame_bytes_max > 0);
  zmq_setsockopt(handle_, ZMQ_MAXMSGSIZE, &options.frame_bytes_max, sizeof options.frame_bytes_max);
  set_option(ZMQ_BACKLOG, options.backlog);
  set_option(ZMQ_HANDSHAKE_IVL, to_milliseconds(options.handshake_time_max));
  set_option(ZMQ_RECONNECT_IVL, to_milliseconds(options.reconnect_first));
  set_option(ZMQ_RECONNECT_IVL_MAX, to_milliseconds(options.reconnect_longest));
  set_option(ZMQ_TCP_KEEPALIVE, 1);
  set_option(ZMQ_TCP_KEEPALIVE_IDLE, to_whole_seconds(options.keepalive_idle));
  set_option(ZMQ_TCP_KEEPALIVE_INTVL, to_whole_seconds(options.keepalive_interval));
  set_option(ZMQ_TCP_KEEPALIVE_CNT, options.keepalive_probes);
  set_option(ZMQ_TCP_MAXRT, to_milliseconds(options.unconfirmed_longest));
  curve_ = options.curve;
}

void Socket::set_key(int option, const char* raw, std::size_t size) {
  [[maybe_unused]] const int result = zmq_setsockopt(handle_, option, raw, size);
  assert(result == 0 || errno == ETERM);
}

Status Socket::guard(const Endpoint& endpoint) {
  if (!curve_ || endpoint.transport == Transport::inproc) return {};
  if (curve_.admission == nullptr) return cannot_bind(endpoint, "there are keys, but no list of those who may come in");
  if (domain_.empty()) domain_ = context_->gatekeeper().open(curve_.admission);
  set_option(ZMQ_CURVE_SERVER, 1);
  set_key(ZMQ_CURVE_SECRETKEY, curve_.own->raw_secret(), 32);
  set_key(ZMQ_ZAP_DOMAIN, domain_.data(), domain_.size());
  set_option(zap_enforce_domain, 1);
  return {};
}

void Socket::employ_porter(const Endpoint& bound) {
  if (!curve_ || bound.transport != Transport::tcp) return;
  porters_.push_back(std::make_unique<Porter>(bound.port, WaitingRoom::Limits{.waiting_max = curve_.strangers_max}));
}

Status Socket::try_as_stranger(const Endpoint& bound) const {
  if (!curve_ || bound.transport == Transport::inproc) return {};
  const auto stranger = KeyPair::make();
  context_->gatekeeper().expect(stranger->public_key());
  return ventile::try_as_stranger(context_->handle, counterpart_of(kind_), bound, curve_.own->public_key(), *stranger);
}

Status Socket::show_keys(const Endpoint& endpoint) {
  if (!curve_ || endpoint.transport == Transport::inproc) return {};
  if (!is_curve_key(curve_.server_key))
    return Error{Code::invalid,
                 "Cannot connect to " + endpoint.to_string() + ": the key that must be there is not known."};
  set_key(ZMQ_CURVE_SERVERKEY, curve_.server_key.data(), curve_.server_key.size());
  set_key(ZMQ_CURVE_PUBLICKEY, curve_.own->public_key().data(), curve_.own->public_key().size());
  set_key(ZMQ_CURVE_SECRETKEY, curve_.own->raw_secret(), 32);
  return {};
}

Result<Endpoint> Socket::bind(const Endpoint& endpoint) {
  assert(owner_.permits());
  if (endpoint.transport == Transport::inproc) return bind_within(endpoint);
  if (local_ != nullptr) return cannot_bind(endpoint, "its socket is bound over inproc, and to nothing else");
  used_ = true;
  Result<Endpoint> address = is_interface(endpoint) ? endpoint : resolve(endpoint);
  if (!address) return cannot_bind(endpoint, address.error().message);
  if (address->transport == Transport::ipc) {
    if (const auto obstacle = obstacle_at_ipc_path(address->host)) {
      return cannot_bind(endpoint, "the path is taken by " + *obstacle);
    }
  }
  if (Status guarded = guard(*address); !guarded) return guarded.error();
  set_option(ZMQ_IPV6, is_ipv6(*address) ? 1 : 0);
  if (zmq_bind(handle_, address->to_string().c_str()) != 0) {
    const int error = errno;
    if (error == EADDRINUSE) return cannot_bind(endpoint, "it is in use by " + listener_of(*address));
    if (error == ENODEV || error == EADDRNOTAVAIL) return cannot_bind(endpoint, "this machine has no such address");
    return cannot_bind(endpoint, zmq_strerror(error));
  }
  char bound[512] = {};
  std::size_t size = sizeof bound;
  if (zmq_getsockopt(handle_, ZMQ_LAST_ENDPOINT, bound, &size) != 0) return cannot_bind(endpoint, zmq_strerror(errno));
  context_->describe(this, std::string("bound to ") + bound);
  Result<Endpoint> listening = Endpoint::parse(bound);
  if (!listening) return listening;
  keep_others_out(*listening);
  if (Status refused = try_as_stranger(*listening); !refused) {
    zmq_unbind(handle_, bound);
    return refused.error();
  }
  employ_porter(*listening);
  has_libzmq_address_ = true;
  return listening;
}

// --- Within the process ------------------------------------------------------------------------------------------

Result<Endpoint> Socket::bind_within(const Endpoint& endpoint) {
  if (has_libzmq_address_ || !connected_to_.empty())
    return cannot_bind(endpoint, "its socket has another address already, and over inproc it has no other");
  const std::string address = endpoint.to_string();
  const bool fresh = local_ == nullptr;
  go_local();
  if (!context_->switchboard.bind(address, local_)) {
    if (fresh) leave_local();
    return cannot_bind(endpoint, "it is in use by a socket of this process");
  }
  context_->describe(this, "bound to " + address);
  return endpoint;
}

void Socket::go_local() {
  if (local_ != nullptr) return;
  local_ = std::make_shared<LocalEnd>(receive_high_water_, send_high_water_);
  local_->attend(alarm_);
  used_ = false;
}

void Socket::leave_local() {
  if (local_ == nullptr) return;
  context_->switchboard.close(local_);
  local_.reset();
  used_ = true;
}

void Socket::attend(std::shared_ptr<Alarm> alarm) {
  alarm_ = std::move(alarm);
  if (local_ != nullptr) local_->attend(alarm_);
}

LocalEnd* Socket::local() {
  assert(owner_.claim());
  return local_.get();
}

bool Socket::has_ended() const { return context_->ended; }

Status Socket::connect(const Endpoint& endpoint) {
  assert(owner_.permits());
  used_ = true;
  if (!connected_to_.empty()) {
    return Error{Code::invalid,
                 "Cannot connect to " + endpoint.to_string() + ": already connected to " + connected_to_ + "."};
  }
  if (local_ != nullptr)
    return Error{Code::invalid, "Cannot connect to " + endpoint.to_string() + ": the socket is bound over inproc."};
  if (endpoint.is_wildcard() || (endpoint.transport == Transport::tcp && endpoint.port == 0)) {
    return Error{Code::invalid, "Cannot connect to " + endpoint.to_string() + ": expected one host and its port."};
  }
  if (Status shown = show_keys(endpoint); !shown) return shown;
  const Result<Endpoint> address = resolve(endpoint);
  if (!address) return address.error();
  set_option(ZMQ_IPV6, is_ipv6(*address) ? 1 : 0);
  const std::string text = address->to_string();
  if (address->transport == Transport::inproc) {
    if (has_libzmq_address_)
      return Error{Code::invalid, "Cannot connect to " + text + ": the socket is bound already."};
    go_local();
    context_->switchboard.connect(text, local_);
    connected_to_ = text;
    context_->describe(this, "connected to " + text);
    return {};
  }
  if (zmq_connect(handle_, text.c_str()) != 0) {
    return Error{Code::unavailable, "Cannot connect to " + endpoint.to_string() + ": " + zmq_strerror(errno) + "."};
  }
  connected_to_ = text;
  context_->describe(this, "connected to " + text);
  return {};
}

void Socket::disconnect() {
  assert(owner_.permits());
  if (connected_to_.empty()) return;
  used_ = true;
  if (local_ == nullptr) zmq_disconnect(handle_, connected_to_.c_str());
  leave_local();
  connected_to_.clear();
}

SendOutcome Socket::send_part(Frame& frame, bool more_follow) {
  assert(owner_.claim());
  used_ = true;
  auto* const message = reinterpret_cast<zmq_msg_t*>(frame.message_);
  hand_over(zmq_msg_data(message));
  const int flags = ZMQ_DONTWAIT | (more_follow ? ZMQ_SNDMORE : 0);
  while (zmq_msg_send(message, handle_, flags) < 0) {
    if (errno == EHOSTUNREACH) return SendOutcome::unreachable;
    assert(errno == EAGAIN || errno == EINTR || errno == ETERM);
    if (errno != EINTR) return SendOutcome::would_block;
  }
  return SendOutcome::sent;
}

bool Socket::receive_part(Frame& frame, bool& more_follow) {
  assert(owner_.claim());
  used_ = true;
  auto* const message = reinterpret_cast<zmq_msg_t*>(frame.message_);
  while (zmq_msg_recv(message, handle_, ZMQ_DONTWAIT) < 0) {
    assert(errno == EAGAIN || errno == EINTR || errno == ETERM);
    if (errno == EAGAIN) used_ = false;  // It has looked into everything that came: events() would find no message.
    if (errno != EINTR) return false;
  }
  take_over(zmq_msg_data(message));
  more_follow = zmq_msg_more(message) != 0;
  return true;
}

SendOutcome Socket::send_whole(Frame& frame) {
  if (LocalEnd* const end = local()) return has_ended() ? SendOutcome::would_block : end->send(frame);
  return send_part(frame, false);
}

bool Socket::receive_whole(Frame& frame) {
  if (LocalEnd* const end = local()) return !has_ended() && end->receive(frame);
  for (int dropped = 0; dropped < malformed_burst_max; ++dropped) {
    bool more_follow = false;
    if (!receive_part(frame, more_follow)) return false;
    if (!more_follow) return true;
    drop_message();
  }
  return false;
}

void Socket::drop_message() {
  ++malformed_count_;
  Frame part;
  for (bool more_follow = true; more_follow;) {
    if (!receive_part(part, more_follow)) return;
  }
}

Socket::Events Socket::events(bool wants_write) {
  assert(owner_.claim());
  used_ = false;
  if (local_ != nullptr)
    return {.readable = local_->is_readable(), .writable = wants_write && local_->has_room(), .ended = has_ended()};
  int events = 0;
  std::size_t size = sizeof events;
  while (zmq_getsockopt(handle_, ZMQ_EVENTS, &events, &size) != 0) {
    if (errno != EINTR) return {.ended = true};
  }
  return {.readable = (events & ZMQ_POLLIN) != 0, .writable = (events & ZMQ_POLLOUT) != 0};
}

int Socket::descriptor() const {
  int descriptor = -1;
  std::size_t size = sizeof descriptor;
  zmq_getsockopt(handle_, ZMQ_FD, &descriptor, &size);
  return descriptor;
}

RouterSocket::RouterSocket(Context& context, const RouterOptions& options) : Socket(context, ZMQ_ROUTER) {
  set_high_water(ZMQ_SNDHWM, options.send_high_water);
  set_high_water(ZMQ_RCVHWM, options.receive_high_water);
  set_option(ZMQ_ROUTER_MANDATORY, 1);
  set_connection_options(options.connection);
}

SendOutcome RouterSocket::send(const RoutingId& peer, Frame& frame) {
  if (LocalEnd* const end = local()) return has_ended() ? SendOutcome::would_block : end->send(peer, frame);
  Frame routing_id = Frame::copy_of(peer.bytes());
  const SendOutcome outcome = send_part(routing_id, true);
  return outcome == SendOutcome::sent ? send_part(frame, false) : outcome;
}

// libzmq always puts the routing id before the message, as a part of its own.
bool RouterSocket::receive(RoutingId& peer, Frame& frame) {
  if (LocalEnd* const end = local()) return !has_ended() && end->receive(peer, frame);
  for (int dropped = 0; dropped < malformed_burst_max; ++dropped) {
    bool more_follow = false;
    if (!receive_part(routing_id_, more_follow) || !receive_part(frame, more_follow)) return false;
    if (!more_follow) {
      peer = RoutingId(routing_id_.bytes());
      return true;
    }
    drop_message();
  }
  return false;
}

DealerSocket::DealerSocket(Context& context, const DealerOptions& options) : Socket(context, ZMQ_DEALER) {
  set_high_water(ZMQ_SNDHWM, options.send_high_water);
  set_high_water(ZMQ_RCVHWM, options.receive_high_water);
  set_option(ZMQ_IMMEDIATE, 1);
  set_connection_options(options.connection);
}

SendOutcome DealerSocket::send(Frame& frame) { return send_whole(frame); }
bool DealerSocket::receive(Frame& frame) { return receive_whole(frame); }

PushSocket::PushSocket(Context& context, const PushOptions& options) : Socket(context, ZMQ_PUSH) {
  set_high_water(ZMQ_SNDHWM, options.send_high_water);
  set_option(ZMQ_IMMEDIATE, 1);
  set_connection_options(options.connection);
}

SendOutcome PushSocket::send(Frame& frame) { return send_whole(frame); }

PullSocket::PullSocket(Context& context, const PullOptions& options) : Socket(context, ZMQ_PULL) {
  set_high_water(ZMQ_RCVHWM, options.receive_high_water);
  set_connection_options(options.connection);
}

bool PullSocket::receive(Frame& frame) { return receive_whole(frame); }

}  // namespace ventile
