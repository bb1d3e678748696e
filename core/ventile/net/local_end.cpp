#include <ventile/net/local_end.hpp>

#include <utility>

namespace ventile {

void LocalEnd::connect(LocalEnd& host) {
  host_ = &host;
  const std::uint64_t number = ++host.guest_counter_;
  name_ = RoutingId{{reinterpret_cast<const std::byte*>(&number), sizeof number}};
  host.guests_.emplace(name_, this);
}

void LocalEnd::close() {
  if (host_ != nullptr) host_->guests_.erase(name_);
  host_ = nullptr;
  for (const auto& [name, guest] : guests_) guest->host_ = nullptr;
  guests_.clear();
  inbox_.clear();
}

SendOutcome LocalEnd::take(const RoutingId& from, Frame& frame) {
  if (is_full()) return SendOutcome::would_block;
  inbox_.push_back({from, std::move(frame)});
  return SendOutcome::sent;
}

SendOutcome LocalEnd::send(Frame& frame) {
  return host_ == nullptr ? SendOutcome::would_block : host_->take(name_, frame);
}

SendOutcome LocalEnd::send(const RoutingId& to, Frame& frame) {
  const auto guest = guests_.find(to);
  return guest == guests_.end() ? SendOutcome::unreachable : guest->second->take({}, frame);
}

bool LocalEnd::receive(Frame& frame) {
  RoutingId from;
  return receive(from, frame);
}

bool LocalEnd::receive(RoutingId& from, Frame& frame) {
  if (inbox_.empty()) return false;
  from = std::move(inbox_.front().from);
  frame = std::move(inbox_.front().frame);
  inbox_.pop_front();
  return true;
}

}  // namespace ventile
