// Addresses that sockets bind and connect to.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include <ventile/base/result.hpp>

namespace ventile {

enum class Transport : std::uint8_t { tcp, ipc, inproc };

// A value such as tcp://127.0.0.1:5570, tcp://[::1]:0, tcp://*:5570, ipc:///run/ventile or inproc://tasks.
struct Endpoint {
  Transport transport = Transport::tcp;
  std::string host;  // tcp: a name, an interface, an address without brackets, or *. ipc: the path. inproc: the name.
  std::uint16_t port = 0;  // tcp only. 0 asks bind for any free port.

  // Code::invalid with a message that says what was expected. The port may be written `*` for any.
  static Result<Endpoint> parse(std::string_view text);

  // True if nobody on another machine can reach it.
  bool is_loopback() const;
  // True for the tcp hosts *, 0.0.0.0 and ::, which bind every interface and which nobody can connect to.
  bool is_wildcard() const;
  // The text from which parse makes an equal endpoint.
  std::string to_string() const;

  auto operator<=>(const Endpoint&) const = default;
};

// The same endpoint with its tcp host looked up and written as an address, IPv4 if there is one. A wildcard, an address
// and the other transports come back as they are. Blocks while the name service answers. Code::unavailable names the
// host and the reason.
Result<Endpoint> resolve(const Endpoint& endpoint);

// The address of this machine from which a remote tcp endpoint is reached, without a port: what to bind, or to
// announce, so that whoever is there can connect here. Sends nothing. Code::unavailable if there is no way to it.
Result<std::string> local_address_towards(const Endpoint& remote);

// Whether a numeric IP address, without a port, is one of this machine's, as seen from this network namespace.
bool is_own_address(std::string_view address);

}  // namespace ventile
