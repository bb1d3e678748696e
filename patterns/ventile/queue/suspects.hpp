// Which tasks of a job have been with workers that died, as the journal of a durable dispatcher remembers it.
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include <ventile/base/range.hpp>

namespace ventile {

// Tasks that were taken apart from others, or have killed by themselves. The counts are those of History; without any
// they are suspects no more.
struct Suspect {
  Range range;
  std::uint32_t suspicion = 0;
  std::uint32_t deaths_alone = 0;

  static auto fields(auto& self) { return std::tie(self.range, self.suspicion, self.deaths_alone); }
  bool operator==(const Suspect&) const = default;
};

// The last that was noted of each number. A value; it costs what there are suspects, who are few.
class Suspects {
public:
  Suspects() = default;
  explicit Suspects(std::vector<Suspect> all) : all_(std::move(all)) {}

  // Takes the place of what was known of these numbers.
  void note(const Suspect& suspect);
  // They have an outcome.
  void forget(Range range);

  bool empty() const { return all_.empty(); }
  const std::vector<Suspect>& all() const { return all_; }
  // Of these numbers only.
  std::vector<Suspect> within(Range range) const;

  static auto fields(auto& self) { return std::tie(self.all_); }

private:
  std::vector<Suspect> all_;
};

}  // namespace ventile
