#include <ventile/net/waiting_room.hpp>

namespace ventile {

void WaitingRoom::on_arrived(int descriptor, std::uint64_t cookie) {
  std::erase_if(waiting_, [descriptor](const Waiting& other) { return other.descriptor == descriptor; });
  waiting_.push_back({descriptor, cookie});
}

std::vector<WaitingRoom::Waiting> WaitingRoom::on_look(const Look& look) {
  std::vector<Waiting> closing;
  std::erase_if(waiting_, [&](const Waiting& one) {
    const std::optional<Sight> sight = look(one.descriptor);
    if (!sight || sight->cookie != one.cookie || sight->sent > let_in_after) return true;
    if (sight->received <= limits_.handshake_bytes_max) return false;
    closing.push_back(one);
    return true;
  });
  for (; waiting_.size() > limits_.waiting_max; waiting_.pop_front()) closing.push_back(waiting_.front());
  return closing;
}

}  // namespace ventile
