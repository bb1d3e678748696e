#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <ventile/task/plugin.hpp>

using Integers = std::vector<int>;

VENTILE_PLUGIN(registry) {
  registry.add("plugin.add", [](int a, int b) { return a + b; });
  registry.add("plugin.fail", [](const ventile::TaskContext& context) {
    throw ventile::TaskFailure("plugin", "task " + std::to_string(context.number()));
  });
  registry.add("plugin.throw", [] { throw std::out_of_range("from the plugin"); });
  registry.add("plugin.list", [](int i) { return Integers{i}; });
  registry.add_fold<Integers>(
      "plugin.append", [](Integers& into, const Integers& more) { into.insert(into.end(), more.begin(), more.end()); });
}
