#include <nodes/failure_groups.hpp>

#include <algorithm>

namespace ventile {

void FailureGroups::add(Range tasks, std::string_view message) {
  count_ += tasks.count;
  const std::string key{message.substr(0, message_bytes_max)};
  auto found = index_.find(key);
  if (found == index_.end()) {
    if (groups_.size() == groups_max) {
      other_count_ += tasks.count;
      return;
    }
    found = index_.emplace(key, groups_.size()).first;
    groups_.push_back({key, 0, {}});
  }
  FailureGroup& group = groups_[found->second];
  group.count += tasks.count;
  for (Number task = tasks.first; task < tasks.end() && group.first_tasks.size() < first_tasks_max; ++task)
    group.first_tasks.push_back(task);
}

std::vector<FailureGroup> FailureGroups::largest(std::size_t count) const {
  std::vector<FailureGroup> sorted = groups_;
  const auto lowest = [](const FailureGroup& group) {
    return *std::min_element(group.first_tasks.begin(), group.first_tasks.end());
  };
  std::stable_sort(sorted.begin(), sorted.end(), [&](const FailureGroup& a, const FailureGroup& b) {
    return a.count != b.count ? a.count > b.count : lowest(a) < lowest(b);
  });
  sorted.resize(std::min(count, sorted.size()));
  return sorted;
}

}  // namespace ventile
