#include <ventile/queue/function_sets.hpp>

#include <utility>

namespace ventile {

std::shared_ptr<const FunctionSet> FunctionSets::share(FunctionSet functions) {
  if (const auto it = known_.find(&functions); it != known_.end()) return it->second.lock();
  std::shared_ptr<const FunctionSet> shared{new FunctionSet{std::move(functions)}, [this](const FunctionSet* gone) {
                                              known_.erase(gone);
                                              delete gone;
                                            }};
  known_.emplace(shared.get(), shared);
  return shared;
}

}  // namespace ventile
