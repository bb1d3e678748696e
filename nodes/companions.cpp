#include <nodes/companions.hpp>

#include <unistd.h>

#include <chrono>
#include <string_view>
#include <utility>

#include <nodes/versions.hpp>

namespace ventile {
namespace {

constexpr Duration farewell_max = std::chrono::seconds{2};

}  // namespace

Endpoint private_endpoint(const std::string& program, Transport transport) {
  const std::string unique = program + "-" + std::to_string(getpid());
  switch (transport) {
    case Transport::inproc:
      return {Transport::inproc, unique, 0};
    case Transport::ipc:
      return {Transport::ipc, "/tmp/" + unique, 0};
    case Transport::tcp:
      break;
  }
  return {Transport::tcp, "127.0.0.1", 0};
}

Log warnings_of(const Log& log) {
  return Log{[log](Level level, std::string_view line) {
    if (level >= Level::warning) log.write(level, line);
  }};
}

WorkerOptions companion_worker(const Endpoint& dispatcher, std::uint32_t slots, const Log& log) {
  WorkerOptions options;
  options.connect = dispatcher;
  options.slots = slots;
  options.build = versions().program;
  options.once = true;
  options.log = warnings_of(log);
  return options;
}

SinkOptions companion_sink(const Endpoint& dispatcher, const Log& log) {
  SinkOptions options;
  options.connect = dispatcher;
  options.build = versions().program;
  options.log = warnings_of(log);
  return options;
}

Companions::Companions(Context& context, const TaskRegistry& tasks, std::optional<WorkerOptions> worker,
                       SinkOptions sink, std::unique_ptr<Output> output)
    : worker_(worker ? std::make_unique<Worker>(context, tasks, std::move(*worker)) : nullptr),
      output_(std::move(output)),
      sink_(context, tasks, std::move(sink),
            [this](std::uint64_t) -> Result<std::unique_ptr<Output>> { return std::move(output_); }) {}

Companions::~Companions() {
  if (sink_thread_.joinable()) stop();  // Nobody has seen the job to its end.
  join();
}

Status Companions::start() {
  if (const Result<Endpoint> bound = sink_.bind(); !bound) return bound.error();
  sink_thread_ = std::thread([this] { (void)sink_.run(); });
  if (worker_ != nullptr) worker_thread_ = std::thread([this] { (void)worker_->run(); });
  return {};
}

void Companions::finish(const Result<VentilatorReport>& report, SignalThread& signals) {
  if (report && report->ending == VentilatorEnding::done)
    signals.call_after(farewell_max, [this] { stop(); });
  else
    stop();
  join();
}

void Companions::stop() {
  if (worker_ != nullptr) worker_->abandon();
  sink_.leave();
}

void Companions::join() {
  if (worker_thread_.joinable()) worker_thread_.join();
  if (sink_thread_.joinable()) sink_thread_.join();
}

}  // namespace ventile
