// The worker and the sink of a job whose ventilator is in the same process, for `ventile map` and `ventile run`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include <nodes/signal_thread.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/queue/sink.hpp>
#include <ventile/queue/ventilator.hpp>
#include <ventile/queue/worker.hpp>

namespace ventile {

// An address for those in this process, or of this machine for tcp. `program` makes it tell whose it is.
Endpoint private_endpoint(const std::string& program, Transport transport);

// Only what goes wrong is news where everybody is in one process.
Log warnings_of(const Log& log);

// What both say to a dispatcher that is beside them; the rest is the caller's.
WorkerOptions companion_worker(const Endpoint& dispatcher, std::uint32_t slots, const Log& log);
SinkOptions companion_sink(const Endpoint& dispatcher, const Log& log);

// Each has a thread of its own; the ventilator keeps the caller's.
class Companions {
public:
  // `output` belongs to the one job that there is. Without `worker` all workers are elsewhere.
  Companions(Context& context, const TaskRegistry& tasks, std::optional<WorkerOptions> worker, SinkOptions sink,
             std::unique_ptr<Output> output);
  ~Companions();
  Companions(const Companions&) = delete;
  Companions& operator=(const Companions&) = delete;

  // Code::unavailable if the sink cannot bind; then neither runs.
  Status start();
  // The ventilator has ended so. Returns when both have left: after a job that is done they do so by themselves, but
  // for a connection that broke, and then they are told after a while by the signal thread, which must end before this
  // object does.
  void finish(const Result<VentilatorReport>& report, SignalThread& signals);

private:
  std::unique_ptr<Worker> worker_;  // Null: none.
  std::unique_ptr<Output> output_;
  Sink sink_;
  std::thread worker_thread_;
  std::thread sink_thread_;

  void stop();
  void join();
};

}  // namespace ventile
