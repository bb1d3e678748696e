#include <ventile/net/waiting_room.hpp>

#include <algorithm>

namespace ventile {

void WaitingRoom::on_arrived(int descriptor, std::uint64_t cookie) {
  std::erase_if(waiting_, [descriptor](const Waiting& other) { return other.descriptor == descriptor; });
  waiting_.push_back({descriptor, cookie});
}

std::vector<WaitingRoom::Waiting> WaitingRoom::on_look(const Look& look) {
  std::vector<Waiting> closing;
  std::erase_if(waiting_, [&](Waiting& one) {
    const std::optional<Sight> sight = look(one.descriptor);
    if (!sight || sight->cookie != one.cookie || sight->sent > let_in_after) return true;
    one.silent = one.seen && sight->received == 0;
    one.seen = true;
    if (sight->received <= limits_.handshake_bytes_max) return false;
    closing.push_back(one);
    return true;
  });
  while (waiting_.size() > limits_.waiting_max) {
    auto least = std::find_if(waiting_.begin(), waiting_.end(), [](const Waiting& one) { return one.silent; });
    if (least == waiting_.end()) least = waiting_.begin();
    closing.push_back(*least);
    waiting_.erase(least);
  }
  return closing;
}

}  // namespace ventile
