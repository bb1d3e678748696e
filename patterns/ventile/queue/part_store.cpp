#include <ventile/queue/part_store.hpp>

#include <algorithm>

namespace ventile {

Result<Buffer> PartStore::add(IncarnationId sender, const Part& part) {
  Sender& speaking = senders_[sender];
  speaking.last = ++parts_;
  held_ -= speaking.parts.held_bytes();
  Result<Buffer> whole = speaking.parts.add(part);
  held_ += speaking.parts.held_bytes();
  if (speaking.parts.held_bytes() == 0) senders_.erase(sender);
  make_room(sender);
  return whole;
}

void PartStore::make_room(IncarnationId speaker) {
  while (held_ > bytes_max_ && senders_.size() > 1) {
    const auto age = [speaker](const auto& entry) { return entry.first == speaker ? UINT64_MAX : entry.second.last; };
    const auto oldest = std::min_element(senders_.begin(), senders_.end(),
                                         [&](const auto& a, const auto& b) { return age(a) < age(b); });
    held_ -= oldest->second.parts.held_bytes();
    senders_.erase(oldest);
  }
}

}  // namespace ventile
