#include <ventile/queue/names.hpp>

#include <unistd.h>

#include <array>

namespace ventile {

std::string host_name() {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return host.data();
}

std::string host_and_process() { return host_name() + ":" + std::to_string(getpid()); }

IncarnationId random_incarnation() {
  IncarnationId id;
  assign_random(id);
  return id;
}

}  // namespace ventile
