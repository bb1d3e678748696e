// Chance that is the same on every machine: whatever a test did with it is done again by its seed.
#pragma once

#include <cmath>
#include <cstdint>

namespace ventile::testing {

// splitmix64 (G. Steele et al., OOPSLA 2014). The distributions of the standard library differ between libraries.
class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
  }
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }  // limit > 0
  std::uint64_t between(std::uint64_t least, std::uint64_t most) { return least + below(most - least + 1); }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }  // In [0, 1).
  bool chance(double probability) { return unit() < probability; }
  double exponential(double mean) { return -mean * std::log(1 - unit()); }

  // Another stream, so that drawing more here changes nothing there.
  Random fork() { return Random{next()}; }

private:
  std::uint64_t state_;
};

}  // namespace ventile::testing
