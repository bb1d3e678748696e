// Peers that do not keep to our protocol: raw TCP, and libzmq used in ways that our sockets do not allow.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <ventile/net/endpoint.hpp>

namespace ventile {

// A TCP connection without ZMTP.
class RawConnection {
public:
  explicit RawConnection(const Endpoint& endpoint);
  ~RawConnection();
  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // Of a peer that speaks ZMTP 3 and wants a mechanism that does not exist.
  static std::string unacceptable_greeting();

  void send(std::string_view bytes);
  bool is_closed();  // By the other side. Never waits.

private:
  int descriptor_;
};

// A port that is taken but that nobody listens at: every connection is refused, for as long as this lives.
class DeadPort {
public:
  DeadPort();
  ~DeadPort();
  DeadPort(const DeadPort&) = delete;
  DeadPort& operator=(const DeadPort&) = delete;

  const Endpoint& endpoint() const { return endpoint_; }

private:
  int descriptor_;
  Endpoint endpoint_;
};

// A connected libzmq socket with a context of its own.
class Stranger {
public:
  enum class Kind { dealer, push };

  Stranger(Kind kind, const Endpoint& endpoint, std::string_view routing_id = {});
  ~Stranger();
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void send(const std::vector<std::string>& parts);  // Waits for the connection.
  bool receive(std::string& part);                   // Never waits.

private:
  void* context_;
  void* socket_;
};

}  // namespace ventile
