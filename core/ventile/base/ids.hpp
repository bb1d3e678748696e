// Identities that the compiler does not let you mix up.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace ventile {

// A 64-bit identity; Tag only makes the types different. 0 means none.
template <class Tag>
struct Id {
  std::uint64_t value = 0;

  constexpr explicit operator bool() const { return value != 0; }
  constexpr auto operator<=>(const Id&) const = default;
};

// A 128-bit identity, random. All zero means none.
template <class Tag>
struct WideId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  constexpr explicit operator bool() const { return (high | low) != 0; }
  constexpr auto operator<=>(const WideId&) const = default;
};

using JobId = WideId<struct JobTag>;              // A job; kept when the job is resumed.
using NodeId = WideId<struct NodeTag>;            // A process taking part; random at its start.
using IncarnationId = Id<struct IncarnationTag>;  // One life of a role; random at its start.
using SessionId = Id<struct SessionTag>;          // One conversation between a dispatcher and a peer.
using SealCode = WideId<struct SealTag>;          // Proves that a range was leased: see keys/seal.hpp. None: no keys.

// What processes have in common that can read each other's memory. None: nobody can.
using MachineId = WideId<struct MachineTag>;
// One life of a client's job at a dispatcher: another one says that the dispatcher knew nothing of the job any more.
using LifeId = WideId<struct LifeTag>;

// The right to run one range of one job. Compared for equality only; never used again once it has ended.
struct LeaseId {
  IncarnationId dispatcher;
  std::uint64_t counter = 0;

  constexpr explicit operator bool() const { return counter != 0; }
  constexpr auto operator<=>(const LeaseId&) const = default;
};

// From the operating system's random source; never zero.
std::uint64_t random_u64();
template <class Tag>
void assign_random(Id<Tag>& id) {
  id.value = random_u64();
}
template <class Tag>
void assign_random(WideId<Tag>& id) {
  id = {random_u64(), random_u64()};
}

// 32 (16) lower-case hexadecimal digits.
std::string to_hex(std::uint64_t high, std::uint64_t low);
std::string to_hex(std::uint64_t value);
template <class Tag>
std::string to_string(WideId<Tag> id) {
  return to_hex(id.high, id.low);
}
template <class Tag>
std::string to_string(Id<Tag> id) {
  return to_hex(id.value);
}

}  // namespace ventile

template <class Tag>
struct std::hash<ventile::Id<Tag>> {
  std::size_t operator()(ventile::Id<Tag> id) const noexcept { return std::hash<std::uint64_t>{}(id.value); }
};
template <class Tag>
struct std::hash<ventile::WideId<Tag>> {
  std::size_t operator()(ventile::WideId<Tag> id) const noexcept { return id.high ^ (id.low * 0x9e3779b97f4a7c15ULL); }
};
template <>
struct std::hash<ventile::LeaseId> {
  std::size_t operator()(ventile::LeaseId id) const noexcept {
    return id.dispatcher.value ^ (id.counter * 0x9e3779b97f4a7c15ULL);
  }
};
