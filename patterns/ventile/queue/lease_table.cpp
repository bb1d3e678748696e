#include <ventile/queue/lease_table.hpp>

#include <algorithm>

namespace ventile {

// Where it is, or where it would be.
std::size_t LeaseTable::slot_of(LeaseId id) const {
  const std::size_t hash = hash_of(id);
  std::size_t at = hash & mask();
  while (slots_[at].entry != nullptr && (slots_[at].hash != hash || slots_[at].entry->lease.id != id))
    at = (at + 1) & mask();
  return at;
}

std::pair<LeaseTable::Entry*, bool> LeaseTable::emplace(LeaseId id) {
  if (2 * (size_ + 1) > slots_.size()) grow();
  Slot& slot = slots_[slot_of(id)];
  if (slot.entry != nullptr) return {slot.entry, false};
  if (free_.empty()) free_.push_back(&entries_.emplace_back());
  slot = {free_.back(), hash_of(id)};
  free_.pop_back();
  ++size_;
  slot.entry->lease.id = id;
  return {slot.entry, true};
}

// What stands behind it moves up, so that nothing is ever looked for beyond a gap.
void LeaseTable::erase(LeaseId id) {
  if (size_ == 0) return;
  std::size_t gap = slot_of(id);
  if (slots_[gap].entry == nullptr) return;
  *slots_[gap].entry = {};
  free_.push_back(slots_[gap].entry);
  --size_;
  for (std::size_t at = (gap + 1) & mask(); slots_[at].entry != nullptr; at = (at + 1) & mask()) {
    const std::size_t from_home = (at - slots_[at].hash) & mask();
    if (from_home < ((at - gap) & mask())) continue;  // Its home is behind the gap.
    slots_[gap] = slots_[at];
    gap = at;
  }
  slots_[gap] = {};
}

void LeaseTable::grow() {
  slots_.assign(std::max(2 * slots_.size(), smallest), {});
  for (Entry& entry : entries_)
    if (const LeaseId id = entry.lease.id) slots_[slot_of(id)] = {&entry, hash_of(id)};
}

}  // namespace ventile
