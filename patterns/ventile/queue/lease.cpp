#include <ventile/queue/lease.hpp>

#include <algorithm>

namespace ventile {

void LeaseList::push_back(LeaseEntry* entry) {
  if (count_ < few) {
    few_[count_] = entry;
  } else {
    if (more_ == nullptr) more_ = std::make_unique<std::vector<LeaseEntry*>>();
    more_->push_back(entry);
  }
  ++count_;
}

void LeaseList::erase(const LeaseEntry* entry) {
  const auto found = std::find(few_.begin(), few_.end(), entry);
  if (found == few_.end()) {
    if (more_ != nullptr) count_ -= std::erase(*more_, entry);
    return;
  }
  std::move(found + 1, few_.end(), found);
  few_.back() = nullptr;
  if (count_ > few) {
    few_.back() = more_->front();
    more_->erase(more_->begin());
  }
  --count_;
}

std::vector<LeaseId> LeaseList::ids() const {
  std::vector<LeaseId> ids;
  ids.reserve(count_);
  for (std::size_t i = 0; i < std::min(count_, few); ++i) ids.push_back(few_[i]->lease.id);
  if (more_ != nullptr)
    for (const LeaseEntry* const entry : *more_) ids.push_back(entry->lease.id);
  return ids;
}

}  // namespace ventile
