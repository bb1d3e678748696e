// Failed tasks grouped by what they said, in bounded memory however many fail and however much their messages differ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <ventile/base/range.hpp>

namespace ventile {

struct FailureGroup {
  std::string message;
  std::uint64_t count = 0;
  std::vector<Number> first_tasks;  // The first few that were seen.

  bool operator==(const FailureGroup&) const = default;
};

class FailureGroups {
public:
  static constexpr std::size_t groups_max = 1000;        // Beyond: counted as other.
  static constexpr std::size_t message_bytes_max = 500;  // Beyond: cut.
  static constexpr std::size_t first_tasks_max = 5;

  void add(Range tasks, std::string_view message);

  // The largest groups first; among equals the one whose tasks came first in the input, whichever was seen first.
  std::vector<FailureGroup> largest(std::size_t count) const;
  std::uint64_t count() const { return count_; }              // All failures.
  std::uint64_t other_count() const { return other_count_; }  // Those in no group.

private:
  std::vector<FailureGroup> groups_;  // In the order seen.
  std::unordered_map<std::string, std::size_t> index_;
  std::uint64_t count_ = 0;
  std::uint64_t other_count_ = 0;
};

}  // namespace ventile
