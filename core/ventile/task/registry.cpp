#include <ventile/task/registry.hpp>

#include <stdexcept>

namespace ventile {
namespace {

template <class Map>
auto find_in(const Map& map, std::string_view name) -> typename Map::mapped_type {
  const auto found = map.find(name);
  return found == map.end() ? nullptr : found->second;
}

template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  names.reserve(map.size());
  for (const auto& entry : map) names.push_back(entry.first);
  return names;
}

void refuse(std::string_view what, const std::string& name) {
  throw std::invalid_argument("a " + std::string{what} + " named '" + name + "' is already registered");
}

}  // namespace

std::shared_ptr<const TaskFunction> TaskRegistry::find(std::string_view name) const {
  return find_in(functions_, name);
}
std::shared_ptr<const FoldFunction> TaskRegistry::find_fold(std::string_view name) const {
  return find_in(folds_, name);
}
std::vector<std::string> TaskRegistry::names() const { return names_of(functions_); }
std::vector<std::string> TaskRegistry::fold_names() const { return names_of(folds_); }

void TaskRegistry::wrap_all(const Wrap& wrap) {
  for (auto& [name, function] : functions_) function = wrap(name, std::move(function));
}

void TaskRegistry::merge(TaskRegistry&& other) {
  for (const auto& entry : other.functions_)
    if (functions_.contains(entry.first)) refuse("function", entry.first);
  for (const auto& entry : other.folds_)
    if (folds_.contains(entry.first)) refuse("fold", entry.first);
  functions_.merge(other.functions_);
  folds_.merge(other.folds_);
}

void TaskRegistry::insert(const std::string& name, std::shared_ptr<const TaskFunction> function) {
  if (!functions_.emplace(name, std::move(function)).second) refuse("function", name);
}

void TaskRegistry::insert(std::shared_ptr<const FoldFunction> fold) {
  const std::string& name = fold->name();
  if (!folds_.emplace(name, fold).second) refuse("fold", name);
}

}  // namespace ventile
