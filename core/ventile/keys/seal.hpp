// Seals of leases: how a sink knows that the sender of a result was given its tasks.
#pragma once

#include <span>
#include <string_view>

#include <ventile/base/ids.hpp>
#include <ventile/base/range.hpp>
#include <ventile/net/secret_memory.hpp>

namespace ventile {

// What a dispatcher has given to whom.
struct SealedLease {
  JobId job;
  LeaseId lease;
  Range range;
  std::string_view worker;  // Its public key, as the transport has proved it; empty: whoever pulls it from a stream.
};

// Makes seals: a keyed BLAKE2b of 128 bits over a lease. Dispatcher and sink have the same sealer, for the two key
// pairs agree on its secret; nobody else can make a seal. A worker learns only the seals of its own leases, and each of
// them is good for results that come by its own key. From any thread.
class Sealer {
public:
  // `secret` is what the key pairs of dispatcher and sink agree on: see KeyPair::agree(). It is not kept.
  explicit Sealer(std::span<const char> secret);

  SealCode seal(const SealedLease& lease) const;

private:
  SecretMemory key_;
};

}  // namespace ventile
