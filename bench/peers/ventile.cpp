// Ventile: a pool of two slots in this process or, with VENTILE_ADDRESS, on the workers of the broker there; with
// --work ADDRESS it is one of these.
#include "peer.hpp"

#include <ranges>
#include <string>

#include <ventile/ventile.hpp>

int main(int argc, char** argv) {
  ventile::TaskRegistry tasks;
  const auto task =
      tasks.add("task", [](std::uint64_t number, std::uint64_t rounds) { return peer::task(number, rounds); });
  if (argc == 3 && std::string{argv[1]} == "--work") {
    ventile::work(tasks, argv[2], {.slots = 1});
    return 0;
  }
  const char* const address = std::getenv("VENTILE_ADDRESS");
  auto pool =
      address != nullptr ? ventile::Pool{tasks, address} : ventile::Pool{tasks, ventile::PoolOptions{.threads = 2}};
  const auto all = [&](std::uint64_t count, std::uint64_t rounds) {
    std::uint64_t sum = 0;
    for (const std::uint64_t result : pool.map(task, std::views::iota(std::uint64_t{0}, count), rounds)) sum += result;
    return sum;
  };
  return peer::run(argc, argv, {all, [&] { pool.submit(task, 0, 0).get(); }});
}
