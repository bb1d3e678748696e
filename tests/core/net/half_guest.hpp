// A guest whose handshake stops in the middle: real bytes of libzmq, of which only so many are passed on.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/socket.hpp>

namespace ventile {

// A DealerSocket with keys that reaches the server by way of us. What it says beyond `bytes_max` is kept back; what the
// server says is passed on always. Neither the guest nor the server ever gives up by itself if its handshake may take
// long.
class HalfGuest {
public:
  // What a CURVE client has said when it has been greeted, and when it has said HELLO; INITIATE follows.
  static constexpr std::size_t greeting = 64;
  static constexpr std::size_t hello = greeting + 202;

  HalfGuest(Context& context, const ConnectionOptions& options, const Endpoint& server, std::size_t bytes_max);
  ~HalfGuest();
  HalfGuest(const HalfGuest&) = delete;
  HalfGuest& operator=(const HalfGuest&) = delete;

  // Carries on what has come. Never waits.
  void carry();

  std::size_t said() const { return said_; }    // Bytes that were passed on to the server.
  std::size_t heard() const { return heard_; }  // Bytes that came from it.
  bool is_closed() const { return closed_; }    // By the server.

private:
  DealerSocket socket_;
  int to_guest_ = -1;
  int to_server_ = -1;
  std::size_t bytes_max_;
  std::size_t said_ = 0;
  std::size_t heard_ = 0;
  bool closed_ = false;
};

}  // namespace ventile
