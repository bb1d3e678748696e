#include <ventile/task/plugin.hpp>

VENTILE_PLUGIN(registry) {
  registry.add("fine", [] {});
  registry.add("taken", [] {});
}
