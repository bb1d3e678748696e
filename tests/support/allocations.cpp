#include "tests/support/allocations.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

thread_local std::size_t held = 0;  // Wraps when this thread frees what another has allocated.
thread_local std::size_t most = 0;

}  // namespace

ventile::testing::AllocationMeter::AllocationMeter() : start_(held) { most = held; }
std::size_t ventile::testing::AllocationMeter::peak() const { return most - start_; }

void* operator new(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc{};
  held += malloc_usable_size(memory);
  most = std::max(most, held);
  return memory;
}
void operator delete(void* memory) noexcept {
  held -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept { operator delete(memory); }
