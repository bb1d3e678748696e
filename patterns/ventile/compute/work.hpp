// Any program as a worker.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include <ventile/base/log.hpp>
#include <ventile/queue/worker.hpp>
#include <ventile/task/registry.hpp>

namespace ventile {

struct WorkOptions {
  std::uint32_t slots = 0;                            // Tasks at once; 0: as many as this process has processors.
  std::string name;                                   // For people; empty: host:pid.
  std::string keys;                                   // A folder of `ventile keygen` with a worker's key; empty: none.
  bool once = false;                                  // Leave when the first job that it worked for is over.
  std::stop_token stop;                               // When requested: finish what runs, hand back the rest, return.
  Duration drain_timeout = std::chrono::seconds{30};  // How long that may take.
  Log log;
};

// Works for the dispatcher at `address` (a broker or a ventilator) with the registry's functions, until it is told to
// leave. The calling thread only talks; tasks run on threads of their own. Throws std::invalid_argument if `address` is
// none or there is no key in `keys`, and std::runtime_error if the address cannot be resolved.
WorkerReport work(const TaskRegistry& tasks, const std::string& address, WorkOptions options = {});

}  // namespace ventile
