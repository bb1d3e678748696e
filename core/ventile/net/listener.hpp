// Who listens at an address that is wanted, as far as /proc and the kernel tell us. Only for the sources of this
// folder.
#pragma once

#include <optional>
#include <string>

#include <ventile/net/endpoint.hpp>

namespace ventile {

// "process 4711 (ventile broker)", or "another process" if it is not ours to know.
std::string listener_of(const Endpoint& endpoint);

// libzmq removes whatever is at an ipc path before it binds there, even a socket that somebody listens at or a plain
// file. Says what stands in the way, if anything does.
std::optional<std::string> obstacle_at_ipc_path(const std::string& path);

}  // namespace ventile
