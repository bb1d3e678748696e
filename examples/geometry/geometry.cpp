// A plugin for ventile-worker: two functions and a reducer.
#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <ventile/task/plugin.hpp>

static double hypotenuse(double a, double b) {
  if (a < 0 || b < 0) throw std::invalid_argument("a side is negative");
  return std::hypot(a, b);
}

VENTILE_PLUGIN(registry) {
  registry.add("hypotenuse", hypotenuse);
  registry.add("circle", [](double radius) { return 3.141592653589793 * radius * radius; });
  registry.add_fold<double>("longest", [](double a, double b) { return std::max(a, b); });
}
