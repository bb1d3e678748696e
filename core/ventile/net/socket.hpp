// The four kinds of socket that Ventile talks through.
#pragma once

#include <atomic>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/curve.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/frame.hpp>

namespace ventile {

class Alarm;
class LocalEnd;
class Porter;

// What holds for each connection of a socket, whatever its kind.
struct ConnectionOptions {
  std::int64_t frame_bytes_max = 2 << 20;                 // A larger frame closes its connection. Not on inproc.
  Duration handshake_time_max = std::chrono::seconds{3};  // An idle stranger is then closed.
  // Connections that the kernel has made and we have not come to yet; no more than the system allows (somaxconn, 4,096
  // on Linux). Whoever comes when it is full is not told, and tries again after 1, 3, 7 s: with libzmq's 100, a
  // thousand workers that came at once needed up to half a minute.
  int backlog = 4096;
  Duration reconnect_first = std::chrono::milliseconds{100};  // Doubles, with jitter, up to reconnect_longest.
  Duration reconnect_longest = std::chrono::seconds{5};
  Duration keepalive_idle = std::chrono::seconds{30};     // Then probe every keepalive_interval; dead after
  Duration keepalive_interval = std::chrono::seconds{5};  // keepalive_probes without an answer.
  int keepalive_probes = 3;
  // The other machine confirms nothing of what was sent: its power or our address has gone, and nobody closes anything.
  // After so long the connection is broken and tried for again (TCP_USER_TIMEOUT, RFC 5482), not after a quarter of an
  // hour.
  Duration unconfirmed_longest = std::chrono::seconds{30};
  Curve curve;  // On every transport but inproc.
};

// High waters are counted in messages per connection; on inproc both ends' add up, and what all peers have sent counts.
// 0, which libzmq reads as unlimited, is not allowed. Sending at the high water answers would_block; receiving at it
// leaves messages with the sender.
struct RouterOptions {
  int send_high_water = 1000;
  int receive_high_water = 1000;
  ConnectionOptions connection;
};
struct DealerOptions {
  int send_high_water = 1000;
  int receive_high_water = 1000;
  ConnectionOptions connection;
};
struct PushOptions {
  int send_high_water = 1000;
  ConnectionOptions connection;
};
struct PullOptions {
  int receive_high_water = 1000;
  ConnectionOptions connection;
};

// `sent` means handed to the transport, never delivered: a connection that breaks takes what it held with it.
enum class SendOutcome : std::uint8_t {
  sent,         // The frame is empty now.
  would_block,  // No room, or nobody connected: the caller keeps the frame and tries again later.
  unreachable,  // ROUTER only: no such peer (any more). The caller keeps the frame.
};

// Names one connection of a ROUTER for as long as it lives. At most 255 bytes; libzmq's own take five, inproc's eight.
class RoutingId {
public:
  RoutingId() = default;
  explicit RoutingId(Bytes bytes) : bytes_(as_text(bytes)) {}

  Bytes bytes() const { return as_bytes(bytes_); }
  auto operator<=>(const RoutingId&) const = default;

private:
  friend struct std::hash<RoutingId>;
  std::string bytes_;  // Few enough fit without an allocation.
};

// Which thread may use a thing: the first that claims it. Costs nothing unless asserted.
class OwnerThread {
public:
  // False if another thread has claimed it.
  bool claim() {
    std::thread::id owner;
    return owner_.compare_exchange_strong(owner, std::this_thread::get_id()) || owner == std::this_thread::get_id();
  }
  // Whoever claims it next owns it. For a hand-over, after which the old owner does not use it any more.
  void release() { owner_ = std::thread::id{}; }
  bool permits() const {
    const std::thread::id owner = owner_;
    return owner == std::thread::id{} || owner == std::this_thread::get_id();
  }

private:
  std::atomic<std::thread::id> owner_;
};

// What every kind has in common. Neither copies nor moves. May be opened, bound and connected on one thread and handed
// over; the thread that first sends, receives or adds it to a running reactor owns it from then on, and only that
// thread may use it (asserted). Nothing blocks, nothing returns EINTR, and a message that is not exactly one frame is
// read to its end, dropped and counted. When the context has ended, nothing is received and every send answers
// would_block.
//
// tcp and ipc are libzmq's. Over inproc, sockets of one context, on one thread or many, hand their frames over by
// themselves: see local_end.hpp. A socket that is bound or connected over inproc is not to anything else.
class Socket {
public:
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  // Returns the address with the port that was really bound, for others to connect to. Code::unavailable if it cannot
  // be had; if it is taken, the message says who has it, as far as this process may know. May be called for several
  // addresses. libzmq closes in the background: the address of a destroyed socket is free a moment later. Over ipc only
  // the owner and, if the umask leaves that, the group of the socket file may connect; the folder that it is in may
  // allow fewer.
  //
  // With keys, the context's gatekeeper asks `curve.admission` about whoever connects. Before this returns, a stranger
  // of our own has knocked and was refused; if it was let in, the address is given up again and the answer is
  // Code::failed.
  Result<Endpoint> bind(const Endpoint& endpoint);

  // Looks the name up, once, which may take the name service's time, and from then on connects in the background, again
  // and again; success says nothing about the peer. To look the name up anew, disconnect and connect. One address at a
  // time: Code::invalid while there is another, or if there are keys but none that the other side must have.
  Status connect(const Endpoint& endpoint);

  // Drops the connection and what waits in it; nothing happens if there is none. libzmq does so in the background, and
  // what is sent meanwhile may still go there and be lost: where that matters, open another socket instead.
  void disconnect();

  // Lets what is queued leave for so long after the socket is destroyed, instead of dropping it: for a goodbye. The
  // destructor of the context waits for it, no longer than that.
  void linger(Duration longest);

  // Messages dropped because they were not exactly one frame.
  std::uint64_t malformed_count() const { return malformed_count_; }

protected:
  Socket(Context& context, int kind);
  ~Socket();

  void set_connection_options(const ConnectionOptions& options);
  void set_option(int option, int value);
  void set_high_water(int option, int messages);
  void* handle() const { return handle_; }

  SendOutcome send_part(Frame& frame, bool more_follow);
  SendOutcome send_whole(Frame& frame);
  bool receive_part(Frame& frame, bool& more_follow);
  bool receive_whole(Frame& frame);  // Exactly one frame; drops what is not.
  LocalEnd* local();                 // Null unless it is bound or connected over inproc.
  bool has_ended() const;            // The context.
  void drop_message();               // Reads the current message to its end and counts it.

private:
  friend class Monitor;
  friend class Reactor;
  struct Events {
    bool readable = false;
    bool writable = false;
    bool ended = false;  // The context is gone.
  };

  std::shared_ptr<Context::State> context_;
  void* handle_;
  int kind_;
  std::string connected_to_;         // Empty if to nothing.
  bool has_libzmq_address_ = false;  // It is bound over tcp or ipc.
  Curve curve_;
  std::vector<std::unique_ptr<Porter>> porters_;  // One for each tcp address, with keys.
  std::string domain_;                            // The gatekeeper's, once it is bound with keys.
  std::uint64_t malformed_count_ = 0;
  std::size_t receive_high_water_ = 0;  // Stays so if its kind does not receive.
  std::size_t send_high_water_ = 0;
  std::shared_ptr<Alarm> alarm_;  // Of the reactor that it was added to.
  std::shared_ptr<LocalEnd> local_;
  bool used_ = true;
  OwnerThread owner_;

  Result<Endpoint> bind_within(const Endpoint& endpoint);
  void go_local();
  void leave_local();
  void attend(std::shared_ptr<Alarm> alarm);

  void employ_porter(const Endpoint& bound);
  void set_key(int option, const char* raw, std::size_t size);
  Status guard(const Endpoint& endpoint);               // Before binding, so that nobody comes in unasked.
  Status try_as_stranger(const Endpoint& bound) const;  // After it.
  Status show_keys(const Endpoint& endpoint);           // Before connecting.
  // Forgets what the descriptor had to say, so call it after any other use, before waiting for the descriptor. Whether
  // a local socket is writable is worth asking only if that matters, for then the alarm rings when it has become so.
  Events events(bool wants_write);
  int descriptor() const;              // Readable when events() is worth a call, as long as the socket is not used().
  bool used() const { return used_; }  // Since events() was called. A local socket has no descriptor that could forget.
  bool is_local() const { return local_ != nullptr; }
};

// Talks to each of its peers by name. A peer that is gone is reported, never skipped in silence.
class RouterSocket : public Socket {
public:
  explicit RouterSocket(Context& context, const RouterOptions& options = {});

  [[nodiscard]] SendOutcome send(const RoutingId& peer, Frame& frame);
  // False if there is nothing to receive now.
  [[nodiscard]] bool receive(RoutingId& peer, Frame& frame);

private:
  Frame routing_id_;  // Kept from message to message.
};

// One half of a conversation with a RouterSocket. Queues nothing while it is not connected.
class DealerSocket : public Socket {
public:
  explicit DealerSocket(Context& context, const DealerOptions& options = {});

  [[nodiscard]] SendOutcome send(Frame& frame);
  [[nodiscard]] bool receive(Frame& frame);
};

// Sends one way. Queues nothing while it is not connected.
class PushSocket : public Socket {
public:
  explicit PushSocket(Context& context, const PushOptions& options = {});

  [[nodiscard]] SendOutcome send(Frame& frame);
};

// Receives one way, fairly from all who push; over inproc in the order in which it came.
class PullSocket : public Socket {
public:
  explicit PullSocket(Context& context, const PullOptions& options = {});

  [[nodiscard]] bool receive(Frame& frame);
};

}  // namespace ventile

template <>
struct std::hash<ventile::RoutingId> {
  std::size_t operator()(const ventile::RoutingId& id) const noexcept { return std::hash<std::string>{}(id.bytes_); }
};
