#include <ventile/queue/key_quota.hpp>

#include <algorithm>

namespace ventile {

KeyQuota::Use KeyQuota::use_of(const std::string& key) const {
  const auto it = uses_.find(key);
  return it == uses_.end() ? Use{} : it->second;
}

std::string KeyQuota::objection_to(const std::string& key, std::uint64_t slots) const {
  if (key.empty()) return {};
  const Use use = use_of(key);
  if (use.sessions >= limits_.sessions_max)
    return "there are " + std::to_string(use.sessions) + " sessions of its key; more may not be";
  if (slots > limits_.slots_max || use.slots > limits_.slots_max - slots)
    return "with its " + std::to_string(slots) + " slots the workers of its key would have " +
           std::to_string(use.slots + slots) + "; they may have " + std::to_string(limits_.slots_max);
  return {};
}

void KeyQuota::begin(const std::string& key, std::uint64_t slots) {
  if (key.empty()) return;
  Use& use = uses_[key];
  ++use.sessions;
  use.slots += slots;
}

void KeyQuota::end(const std::string& key, std::uint64_t slots) {
  const auto it = uses_.find(key);
  if (it == uses_.end()) return;
  it->second.slots -= slots;
  if (--it->second.sessions == 0) uses_.erase(it);
}

std::uint64_t KeyQuota::resize(const std::string& key, std::uint64_t from, std::uint64_t to) {
  const auto it = uses_.find(key);
  if (it == uses_.end()) return to;
  const std::uint64_t others = it->second.slots - from;
  const std::uint64_t given = to <= from ? to : std::min(to, std::max(from, limits_.slots_max - others));
  it->second.slots = others + given;
  return given;
}

}  // namespace ventile
