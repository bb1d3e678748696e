// A plugin from outside the tree.
#include <string>

#include <ventile/task/plugin.hpp>
#include <ventile/wire/msgpack_define.hpp>

struct Reading {
  std::string sensor;
  double value = 0;
  MSGPACK_DEFINE(sensor, value)
};

VENTILE_PLUGIN(registry) {
  registry.add("triple", [](long value) { return 3 * value; });
  registry.add("triple_reading", [](Reading reading) {
    reading.value *= 3;
    return reading;
  });
}
