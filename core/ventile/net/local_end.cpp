#include <ventile/net/local_end.hpp>

#include <algorithm>

namespace ventile {

// --- Connections -------------------------------------------------------------------------------------------------

void LocalEnd::attend(std::shared_ptr<Alarm> alarm) {
  const std::lock_guard lock{mutex_};
  alarm_ = std::move(alarm);
}

void LocalEnd::ring() const {
  std::shared_ptr<Alarm> alarm;
  {
    const std::lock_guard lock{mutex_};
    alarm = alarm_;
  }
  if (alarm != nullptr) alarm->ring();
}

void LocalEnd::add(const RoutingId& name, std::shared_ptr<LocalEnd> peer) {
  {
    const std::lock_guard lock{mutex_};
    peers_.emplace(name, std::move(peer));
  }
  ring();
}

void LocalEnd::remove(const RoutingId& name) {
  {
    const std::lock_guard lock{mutex_};
    peers_.erase(name);
  }
  ring();
}

LocalEnd::Peers LocalEnd::close() {
  std::deque<Arrival> forgotten;  // Freed without the lock.
  const std::lock_guard lock{mutex_};
  closed_ = true;
  forgotten.swap(inbox_);
  return std::exchange(peers_, {});
}

// --- What goes out -----------------------------------------------------------------------------------------------

std::vector<LocalEnd::Peer> LocalEnd::peers_in_turn() const {
  const std::lock_guard lock{mutex_};
  const auto next = peers_.upper_bound(last_served_);
  std::vector<Peer> peers{next, peers_.end()};
  peers.insert(peers.end(), peers_.begin(), next);
  return peers;
}

bool LocalEnd::has_room() const {
  const auto peers = peers_in_turn();
  return std::any_of(peers.begin(), peers.end(),
                     [this](const auto& peer) { return peer.second->admits(send_high_water_); });
}

SendOutcome LocalEnd::send(Frame& frame) {
  for (const auto& [name, peer] : peers_in_turn()) {
    if (peer->take(name, frame, send_high_water_) != SendOutcome::sent) continue;
    const std::lock_guard lock{mutex_};
    last_served_ = name;
    return SendOutcome::sent;
  }
  return SendOutcome::would_block;
}

SendOutcome LocalEnd::send(const RoutingId& to, Frame& frame) {
  std::shared_ptr<LocalEnd> peer;
  {
    const std::lock_guard lock{mutex_};
    if (const auto it = peers_.find(to); it != peers_.end()) peer = it->second;
  }
  return peer == nullptr ? SendOutcome::unreachable : peer->take(to, frame, send_high_water_);
}

// --- What comes in -----------------------------------------------------------------------------------------------

bool LocalEnd::is_full(std::size_t sender_high_water) const {
  return inbox_.size() >= receive_high_water_ + sender_high_water;
}

bool LocalEnd::admits(std::size_t sender_high_water) {
  const std::lock_guard lock{mutex_};
  if (closed_) return false;
  if (is_full(sender_high_water)) starves_ = true;
  return !is_full(sender_high_water);
}

// A reactor that has not read everything yet looks again by itself.
SendOutcome LocalEnd::take(const RoutingId& from, Frame& frame, std::size_t sender_high_water) {
  std::shared_ptr<Alarm> alarm;
  {
    const std::lock_guard lock{mutex_};
    if (closed_) return SendOutcome::unreachable;
    if (is_full(sender_high_water)) {
      starves_ = true;
      return SendOutcome::would_block;
    }
    inbox_.push_back({from, std::move(frame)});
    if (inbox_.size() == 1) alarm = alarm_;
  }
  if (alarm != nullptr) alarm->ring();
  return SendOutcome::sent;
}

bool LocalEnd::is_readable() const {
  const std::lock_guard lock{mutex_};
  return !inbox_.empty();
}

bool LocalEnd::receive(Frame& frame) {
  RoutingId from;
  return receive(from, frame);
}

bool LocalEnd::receive(RoutingId& from, Frame& frame) {
  Peers starving;
  {
    const std::lock_guard lock{mutex_};
    if (inbox_.empty()) return false;
    from = std::move(inbox_.front().from);
    frame = std::move(inbox_.front().frame);
    inbox_.pop_front();
    if (starves_ && inbox_.size() <= receive_high_water_ / 2) {
      starves_ = false;
      starving = peers_;
    }
  }
  for (const auto& [name, peer] : starving) peer->ring();
  return true;
}

}  // namespace ventile
