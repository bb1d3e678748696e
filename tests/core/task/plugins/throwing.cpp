#include <stdexcept>

#include <ventile/task/plugin.hpp>

VENTILE_PLUGIN(registry) {
  registry.add("first", [] {});
  throw std::runtime_error("no licence");
}
