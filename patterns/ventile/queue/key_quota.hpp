// How much of a dispatcher the owners of one key may have at once.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace ventile {

// Far beyond what an honest fabric has. Who gives each machine a key of its own can say what a machine has.
struct KeyLimits {
  std::uint64_t sessions_max = 20'000;  // Of all roles together. Another HELLO is refused.
  std::uint64_t slots_max = 200'000;    // Of its workers, those included that they lend: with more HELLO is refused.
};

// Counts what each key has. Peers without a key, of a fabric without keys, have no limit, for nothing tells them apart.
// Not for several threads.
class KeyQuota {
public:
  explicit KeyQuota(KeyLimits limits) : limits_(limits) {}

  // Why the owner of this key may not have one more session, with so many slots, as one sentence without its full stop;
  // empty if it may.
  std::string objection_to(const std::string& key, std::uint64_t slots) const;

  // A session has begun, and one has ended, which had so many slots when it did.
  void begin(const std::string& key, std::uint64_t slots);
  void end(const std::string& key, std::uint64_t slots);

  // The same session has so many slots now. Returns how many it is given: what would be too many is cut.
  std::uint64_t resize(const std::string& key, std::uint64_t from, std::uint64_t to);

private:
  struct Use {
    std::uint64_t sessions = 0;
    std::uint64_t slots = 0;
  };

  KeyLimits limits_;
  std::unordered_map<std::string, Use> uses_;

  Use use_of(const std::string& key) const;
};

}  // namespace ventile
