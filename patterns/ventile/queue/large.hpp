// Payloads that are sent from where they are stored.
#pragma once

#include <cstdint>

namespace ventile {

// Whether so many bytes of `count` payloads, which lie one behind the other, are better lent to the transport than
// copied for it: smaller ones are copied faster than they are looked after.
constexpr bool are_large(std::uint64_t bytes, std::uint64_t count) {
  constexpr std::uint64_t lent_bytes_min = std::uint64_t{32} << 10;
  constexpr std::uint64_t payload_bytes_min = 4096;
  return bytes >= lent_bytes_min && bytes >= payload_bytes_min * count;
}

}  // namespace ventile
