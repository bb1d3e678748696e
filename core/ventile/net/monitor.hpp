// What becomes of a socket's connections, which the socket itself does not say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <ventile/base/clock.hpp>
#include <ventile/net/socket.hpp>

namespace ventile {

struct ConnectionEvent {
  enum class Kind : std::uint8_t {
    connected,            // An outgoing connection is open; the handshake follows.
    connect_retried,      // There was no answer, or the connection broke; tried again later.
    accepted,             // An incoming connection is open; the handshake follows.
    accept_failed,        // Usually: this process has no descriptor left.
    handshake_succeeded,  // Messages flow from here on.
    handshake_failed,     // Not ZMTP, too slow, or refused. libzmq does not say by which descriptor.
    disconnected,         // The connection is gone. Its descriptor may be given to another connection at any time.
  };

  Kind kind = Kind::disconnected;
  int descriptor = -1;  // Of connected, accepted and disconnected; the one Frame::source_descriptor answers.
  int error = 0;  // An errno of accept_failed and handshake_failed, or libzmq's ZMQ_PROTOCOL_ERROR_… or ZAP status.
  std::string address;  // The address that was bound or connected to, not the peer's.

  // Of handshake_failed: the other side does not want this key, or only one of the two has keys. libzmq does not try
  // again: to do so, disconnect and connect.
  bool shut_out() const;
};

std::string_view to_string(ConnectionEvent::Kind kind);

// Attach it before the socket binds or connects, and destroy it before the socket (declare it after). Add it to a
// reactor like any socket and receive until there is nothing more: events that are not read are kept without a limit,
// because libzmq's I/O thread would wait for us otherwise.
//
// While the process has hardly a descriptor left, whoever comes in at the socket is turned away by reading `accepted`.
// If it had none, libzmq's I/O thread would try to accept without a pause, and who knocks would wait for an answer.
class Monitor : public Socket {
public:
  Monitor(Context& context, Socket& socket);
  ~Monitor();

  [[nodiscard]] bool receive(ConnectionEvent& event);
  // What people should know of the events since: that peers are turned away, and why. Empty: nothing, or nothing that
  // was not said within the last ten seconds.
  std::string take_warning();

private:
  Socket& socket_;
  std::string warning_;
  TimePoint warned_ = TimePoint::min();

  void on_accepted(const ConnectionEvent& event);
  void warn(const std::string& address, int error, std::uint64_t limit);
};

}  // namespace ventile
