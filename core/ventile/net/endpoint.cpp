#include <ventile/net/endpoint.hpp>

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>

namespace ventile {

namespace {

constexpr std::size_t ipc_path_max = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::size_t inproc_name_max = 255;

using Addresses = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

Error malformed(std::string_view text, const std::string& expected) {
  return {Code::invalid, "'" + std::string(text) + "' is not an address: expected " + expected + "."};
}

bool is_ipv4(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

// With or without a %zone behind it.
bool is_ipv6(const std::string& host) {
  in6_addr address{};
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &address) == 1;
}

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool is_host(const std::string& host) {
  return host == "*" || (!host.empty() && std::all_of(host.begin(), host.end(), is_host_character));
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  if (text == "*") return 0;
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return port;
}

Result<Endpoint> parse_tcp(std::string_view text, std::string_view rest) {
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos || rest.back() == ']')
    return malformed(text, "a port at the end, as in tcp://host:5570");
  const std::optional<std::uint16_t> port = parse_port(rest.substr(colon + 1));
  if (!port) return malformed(text, "a port from 0 to 65535, or *, behind the last colon");

  std::string host(rest.substr(0, colon));
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
    if (!is_ipv6(host)) return malformed(text, "an IPv6 address within the brackets");
  } else if (host.find(':') != std::string::npos) {
    return malformed(text, "brackets around an IPv6 address, as in tcp://[::1]:5570");
  } else if (!is_host(host)) {
    return malformed(text, "a host name, an address or * before the port");
  }
  return Endpoint{Transport::tcp, std::move(host), *port};
}

Result<Endpoint> parse_name(std::string_view text, Transport transport, std::string_view name, std::size_t size_max) {
  if (name.empty() || name.size() > size_max || name.find('\0') != std::string_view::npos) {
    return malformed(text, "a name of 1 to " + std::to_string(size_max) + " bytes behind ://");
  }
  return Endpoint{transport, std::string(name), 0};
}

Error no_address(const std::string& host, int error) {
  const char* const reason = error == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(error);
  return {Code::unavailable, "The host '" + host + "' cannot be looked up: " + reason + "."};
}

Result<Addresses> look_up(const std::string& host, const std::string& port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return no_address(host, error);
  return Addresses(found, &freeaddrinfo);
}

Result<std::string> numeric(const sockaddr* address, socklen_t size) {
  char text[NI_MAXHOST];
  const int error = getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  if (error != 0)
    return Error{Code::unavailable, std::string("An address cannot be written: ") + gai_strerror(error) + "."};
  return std::string(text);
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t separator = text.find("://");
  const std::string_view scheme = text.substr(0, separator == std::string_view::npos ? 0 : separator);
  const std::string_view rest = separator == std::string_view::npos ? text : text.substr(separator + 3);
  if (scheme == "tcp") return parse_tcp(text, rest);
  if (scheme == "ipc") return parse_name(text, Transport::ipc, rest, ipc_path_max);
  if (scheme == "inproc") return parse_name(text, Transport::inproc, rest, inproc_name_max);
  return malformed(text, "tcp://host:port, ipc:///path or inproc://name");
}

bool Endpoint::is_loopback() const {
  if (transport != Transport::tcp || host == "localhost") return true;
  in6_addr six{};
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six) != 0;
  return is_ipv4(host) && host.starts_with("127.");
}

bool Endpoint::is_wildcard() const {
  if (transport != Transport::tcp) return false;
  in6_addr six{};
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_UNSPECIFIED(&six) != 0;
  return host == "*" || host == "0.0.0.0";
}

std::string Endpoint::to_string() const {
  if (transport == Transport::ipc) return "ipc://" + host;
  if (transport == Transport::inproc) return "inproc://" + host;
  const bool brackets = host.find(':') != std::string::npos;
  return "tcp://" + (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<Endpoint> resolve(const Endpoint& endpoint) {
  if (endpoint.transport != Transport::tcp || endpoint.host == "*" || is_ipv4(endpoint.host) ||
      is_ipv6(endpoint.host)) {
    return endpoint;
  }
  const Result<Addresses> found = look_up(endpoint.host, std::to_string(endpoint.port));
  if (!found) return found.error();
  const addrinfo* chosen = found->get();
  for (const addrinfo* at = chosen; at != nullptr && chosen->ai_family != AF_INET; at = at->ai_next) {
    if (at->ai_family == AF_INET) chosen = at;
  }
  Result<std::string> address = numeric(chosen->ai_addr, chosen->ai_addrlen);
  if (!address) return address.error();
  return Endpoint{Transport::tcp, *std::move(address), endpoint.port};
}

Result<std::string> local_address_towards(const Endpoint& remote) {
  if (remote.transport != Transport::tcp || remote.is_wildcard()) {
    return Error{Code::invalid, "There is no way to " + remote.to_string() + ": it is not the tcp address of a host."};
  }
  const Result<Endpoint> address = resolve(remote);
  if (!address) return address.error();
  const Result<Addresses> found =
      look_up(address->host, "9");  // Any port: connecting a UDP socket only picks the route.
  if (!found) return found.error();

  const addrinfo& target = **found;
  const int probe = ::socket(target.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage own{};
  socklen_t own_size = sizeof own;
  const bool routed = probe >= 0 && ::connect(probe, target.ai_addr, target.ai_addrlen) == 0 &&
                      ::getsockname(probe, reinterpret_cast<sockaddr*>(&own), &own_size) == 0;
  const int error = errno;
  if (probe >= 0) ::close(probe);
  if (!routed) {
    return Error{Code::unavailable, "There is no way to " + remote.to_string() + ": " + std::strerror(error) + "."};
  }
  return numeric(reinterpret_cast<const sockaddr*>(&own), own_size);
}

bool is_own_address(std::string_view address) {
  const std::string host{address};
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return false;
  const Addresses owned(found, &freeaddrinfo);
  const int probe = ::socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool own = probe >= 0 && ::bind(probe, found->ai_addr, found->ai_addrlen) == 0;  // Nobody else's can be bound.
  if (probe >= 0) ::close(probe);
  return own;
}

}  // namespace ventile
