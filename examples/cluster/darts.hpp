// The task of this example, for the program that asks for it and for whoever runs it.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <random>
#include <string>
#include <tuple>

struct Throw {
  std::string process;  // Who threw: host:pid.
  std::uint64_t hits = 0;

  static auto fields(auto& m) { return std::tie(m.process, m.hits); }
};

inline std::string this_process() {
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  return std::string{host} + ":" + std::to_string(getpid());
}

// Throws `count` darts at a square, and counts those inside the circle.
inline Throw throw_darts(std::uint64_t seed, std::uint32_t count) {
  std::mt19937_64 random{seed};
  const auto coordinate = [&random] { return static_cast<double>(random() >> 11) * 0x1p-53; };
  Throw thrown{this_process(), 0};
  for (std::uint32_t i = 0; i < count; ++i) {
    const double x = coordinate();
    const double y = coordinate();
    thrown.hits += x * x + y * y < 1 ? 1 : 0;
  }
  return thrown;
}
