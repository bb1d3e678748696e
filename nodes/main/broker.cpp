#include <nodes/node.hpp>

int main(int argc, char** argv) { return ventile::run_broker(ventile::invocation_of(argc, argv)); }
