#include <nodes/node.hpp>
#include <ventile/base/memory.hpp>

int main(int argc, char** argv) {
  ventile::keep_freed_memory();
  return ventile::run_ventile(ventile::invocation_of(argc, argv));
}
