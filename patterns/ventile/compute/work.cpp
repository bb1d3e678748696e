#include <ventile/compute/work.hpp>

#include <sched.h>

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <utility>

namespace ventile {
namespace {

std::uint32_t processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(std::thread::hardware_concurrency(), 1U);
  return static_cast<std::uint32_t>(std::max(CPU_COUNT(&set), 1));
}

}  // namespace

WorkerReport work(const TaskRegistry& tasks, const std::string& address, WorkOptions options) {
  const Result<Endpoint> endpoint = Endpoint::parse(address);
  if (!endpoint) throw std::invalid_argument("ventile::work: " + endpoint.error().message);
  WorkerOptions worker_options;
  worker_options.connect = *endpoint;
  worker_options.slots = options.slots > 0 ? options.slots : processors();
  worker_options.name = std::move(options.name);
  worker_options.once = options.once;
  worker_options.drain_timeout = options.drain_timeout;
  worker_options.log = options.log;
  if (!options.keys.empty()) {
    Result<Keys> keys = Keys::open(options.keys, {KeyRole::worker}, options.log);
    if (!keys) throw std::invalid_argument("ventile::work: " + keys.error().message);
    worker_options.keys = *std::move(keys);
  }
  Context context{{}, options.log};
  Worker worker{context, tasks, std::move(worker_options)};
  const std::stop_callback stop{options.stop, [&worker] { worker.drain(); }};
  Result<WorkerReport> report = worker.run();
  if (!report) throw std::runtime_error("ventile::work: " + report.error().message);
  return std::move(*report);
}

}  // namespace ventile
