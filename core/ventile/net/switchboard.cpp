#include <ventile/net/switchboard.hpp>

namespace ventile {

void Switchboard::join(const std::shared_ptr<LocalEnd>& host, const std::shared_ptr<LocalEnd>& guest) {
  const std::uint64_t number = ++connections_;
  const RoutingId name{{reinterpret_cast<const std::byte*>(&number), sizeof number}};
  host->add(name, guest);
  guest->add(name, host);
}

bool Switchboard::bind(const std::string& address, const std::shared_ptr<LocalEnd>& host) {
  const std::lock_guard lock{mutex_};
  if (!hosts_.emplace(address, host).second) return false;
  for (const auto& [key, guest] : guests_)
    if (guest.address == address) join(host, guest.end);
  return true;
}

void Switchboard::connect(const std::string& address, const std::shared_ptr<LocalEnd>& guest) {
  const std::lock_guard lock{mutex_};
  guests_[guest.get()] = {address, guest};
  if (const auto host = hosts_.find(address); host != hosts_.end()) join(host->second, guest);
}

void Switchboard::close(const std::shared_ptr<LocalEnd>& end) {
  const std::lock_guard lock{mutex_};
  std::erase_if(hosts_, [&](const auto& entry) { return entry.second == end; });
  guests_.erase(end.get());
  for (const auto& [name, peer] : end->close()) peer->remove(name);
}

void Switchboard::ring_all() const {
  const std::lock_guard lock{mutex_};
  for (const auto& [address, host] : hosts_) host->ring();
  for (const auto& [key, guest] : guests_) guest.end->ring();
}

}  // namespace ventile
