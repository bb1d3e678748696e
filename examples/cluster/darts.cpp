// A plugin with the task of cluster.cpp, for workers that are not that program: ventile worker --plugin darts.so
#include <examples/cluster/darts.hpp>
#include <ventile/task/plugin.hpp>

VENTILE_PLUGIN(registry) { registry.add("throw_darts", throw_darts); }
