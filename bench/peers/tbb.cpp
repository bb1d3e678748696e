// oneTBB: one task of a task_group per task, two threads.
#include "peer.hpp"

#include <atomic>

#include <tbb/global_control.h>
#include <tbb/task_group.h>

int main(int argc, char** argv) {
  const tbb::global_control two{tbb::global_control::max_allowed_parallelism, 2};
  std::atomic<std::uint64_t> sum{0};
  const auto all = [&](std::uint64_t tasks, std::uint64_t rounds) {
    sum = 0;
    tbb::task_group group;
    for (std::uint64_t i = 0; i < tasks; ++i)
      group.run([&sum, i, rounds] { sum.fetch_add(peer::task(i, rounds), std::memory_order_relaxed); });
    group.wait();
    return sum.load();
  };
  return peer::run(argc, argv, {all, [&] { all(1, 0); }});
}
