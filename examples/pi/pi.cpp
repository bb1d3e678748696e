// Throws darts at a square and counts those in the circle: π, on every core or on a cluster.
//
//   pi                        on the threads of this process
//   pi tcp://head:5570        on the workers of a broker
//   pi --work tcp://head:5570 as one of these workers
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>
#include <random>
#include <ranges>
#include <string_view>

#include <ventile/ventile.hpp>

static std::uint64_t hits(std::uint64_t seed, std::uint32_t darts) {
  std::mt19937_64 random{seed};
  std::uniform_real_distribution<double> side{-1, 1};
  std::uint64_t inside = 0;
  for (std::uint32_t i = 0; i < darts; ++i) inside += std::hypot(side(random), side(random)) < 1 ? 1 : 0;
  return inside;
}

int main(int argc, char** argv) {
  ventile::TaskRegistry tasks;
  const auto throw_darts = tasks.add("hits", hits);
  if (argc == 3 && std::string_view{argv[1]} == "--work") {
    ventile::work(tasks, argv[2]);
    return 0;
  }
  constexpr std::uint32_t darts = 20'000;
  constexpr std::uint64_t throws = 500;
  auto pool = argc == 2 ? ventile::Pool{tasks, argv[1]} : ventile::Pool{tasks};
  const auto seeds = std::views::iota(std::uint64_t{0}, throws);
  const auto inside = pool.map_reduce(throw_darts, std::plus<>{}, seeds, darts);
  const double pi = 4.0 * static_cast<double>(inside) / static_cast<double>(throws * darts);
  std::printf("pi is about %.2f\n", pi);
  return std::abs(pi - 3.14159) < 0.01 ? 0 : 1;
}
