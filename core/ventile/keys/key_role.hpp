// What a key is for.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ventile {

// Whose key it is. What each may do is in queue/rights.hpp.
enum class KeyRole : std::uint8_t {
  dispatcher,  // A ventilator or a broker: everybody connects to it.
  sink,        // Workers connect to it.
  worker,
  client,  // Submits tasks to a broker.
  admin,   // Asks, and lets workers drain.
};

std::string_view to_string(KeyRole role);
std::optional<KeyRole> key_role_of(std::string_view text);

// With the article that belongs before it: "a worker", "an admin".
std::string_view one(KeyRole role);

}  // namespace ventile
