// Memory for what nobody else may read.
#pragma once

#include <cstddef>
#include <span>

namespace ventile {

// Pages of its own, wiped at the end: never in a core file and, as far as the limits of this process allow, never in
// swap. A fork gets zeroes. Neither copies nor moves, for a copy would have to be wiped as well.
class SecretMemory {
public:
  explicit SecretMemory(std::size_t size);  // Throws std::bad_alloc.
  ~SecretMemory();
  SecretMemory(const SecretMemory&) = delete;
  SecretMemory& operator=(const SecretMemory&) = delete;

  std::span<char> bytes() { return {memory_, size_}; }
  std::span<const char> bytes() const { return {memory_, size_}; }

private:
  char* memory_;
  std::size_t size_;
};

}  // namespace ventile
