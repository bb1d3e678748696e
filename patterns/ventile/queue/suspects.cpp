#include <ventile/queue/suspects.hpp>

namespace ventile {

void Suspects::note(const Suspect& suspect) {
  forget(suspect.range);
  if (suspect.suspicion > 0 || suspect.deaths_alone > 0) all_.push_back(suspect);
}

void Suspects::forget(Range range) {
  std::vector<Suspect> left;
  for (const Suspect& suspect : all_) {
    const Range common = intersection(suspect.range, range);
    if (common.empty()) {
      left.push_back(suspect);
      continue;
    }
    for (const Range rest :
         {Range::between(suspect.range.first, common.first), Range::between(common.end(), suspect.range.end())})
      if (!rest.empty()) left.push_back({rest, suspect.suspicion, suspect.deaths_alone});
  }
  all_ = std::move(left);
}

std::vector<Suspect> Suspects::within(Range range) const {
  std::vector<Suspect> found;
  for (const Suspect& suspect : all_)
    if (const Range common = intersection(suspect.range, range); !common.empty())
      found.push_back({common, suspect.suspicion, suspect.deaths_alone});
  return found;
}

}  // namespace ventile
