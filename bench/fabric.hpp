// Ventile's own roles around a job that does nothing, as threads of this process or as processes of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <ventile/net/endpoint.hpp>

namespace ventile::bench {

struct FabricJob {
  std::string function;  // `echo`: tasks come back as they are. `index`, `work`: tasks are numbers, without input.
  std::uint64_t tasks = 0;
  std::string fold = {};   // `sum`, or empty: every result travels to the sink.
  std::size_t bytes = 32;  // Of an echoed task, packed.
  std::string keys = {};   // The root of a tree of keys, of which each role takes its own; empty: none.
  std::uint32_t slots = 1;
  std::uint64_t batch = 0;  // So many tasks in each but the last, and 0: as the dispatcher decides.
  std::function<std::int64_t(std::int64_t)> work = {};  // What `work` does; with roles as threads only.
};

// Both return the seconds from the moment at which the sink has the job to that at which its output is closed: the
// first batches of one task, by which the dispatcher learns how large a batch may be, and the farewell are within.
// The program ends with an error if a role fails or if the sink counts anything but the job's tasks, each done.
double run_as_threads(const Endpoint& bind, const FabricJob& job);
double run_as_processes(const Endpoint& bind, const FabricJob& job);

// The same with several processes of workers of one slot each; the sink gets the job when all of them are connected.
struct Crowd {
  std::uint32_t processes = 1;
  std::uint32_t workers_each = 1;
};
struct JobRate {
  double seconds = 0;     // As above.
  double per_second = 0;  // Tasks, while the second to the fourth fifth of them came in; of a folded job, all of them.
};
JobRate run_with_workers(const Endpoint& bind, const FabricJob& job, const Crowd& crowd);

// One task at a time, the next when the sink has the last: seconds from the input to the output, with roles as threads.
std::vector<double> run_one_by_one(const Endpoint& bind, std::size_t tasks);

// The roles of run_as_processes. The ventilator says through `announce` where it is bound.
void run_ventilator(const Endpoint& bind, const FabricJob& job, const std::function<void(const Endpoint&)>& announce);
// So many on threads of their own; `on_ready` is called when all have a session.
void run_workers(const Endpoint& dispatcher, std::uint32_t count, const std::function<void()>& on_ready);
void run_worker(const Endpoint& dispatcher, const std::string& keys = {});

}  // namespace ventile::bench
