// A word from a word, for sums that tell sets apart.
#pragma once

#include <cstdint>

namespace ventile {

// splitmix64's finaliser (G. Steele et al., Fast Splittable Pseudorandom Number Generators, OOPSLA 2014): every bit of
// x changes half of the bits of the result. A bijection; 0 stays 0.
constexpr std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace ventile
