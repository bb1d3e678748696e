// A stranger at our own door. Only for the sources of this folder.
#pragma once

#include <memory>
#include <string>

#include <ventile/base/result.hpp>
#include <ventile/net/curve.hpp>
#include <ventile/net/endpoint.hpp>

namespace ventile {

// Connects to the bound address with the key pair, which nobody has on a list, and waits for what becomes of it. `kind`
// is the socket type that the bound one talks to, `context` libzmq's. An error if it is let in, Code::failed, or if
// nothing becomes of it in time, Code::unavailable. Blocks for about a millisecond, a few seconds at worst.
Status try_as_stranger(void* context, int kind, const Endpoint& bound, const std::string& server_key,
                       const KeyPair& stranger);

}  // namespace ventile
