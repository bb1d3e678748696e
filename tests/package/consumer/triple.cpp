// A plugin from outside the tree.
#include <ventile/task/plugin.hpp>

VENTILE_PLUGIN(registry) {
  registry.add("triple", [](long value) { return 3 * value; });
}
