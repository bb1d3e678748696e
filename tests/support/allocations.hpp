// How much memory a piece of code takes from operator new. Link allocations.cpp into the test: it replaces it.
#pragma once

#include <cstddef>

namespace ventile::testing {

// Watches this thread from its construction on. One at a time.
class AllocationMeter {
public:
  AllocationMeter();
  std::size_t peak() const;  // The most that was held at once, beyond what was held at the start.

private:
  std::size_t start_;
};

}  // namespace ventile::testing
