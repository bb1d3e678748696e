#include <nodes/stream_thread.hpp>

#include <utility>

#include <nodes/versions.hpp>

namespace ventile {
namespace {

Endpoint beside(const Endpoint& dispatcher) {
  Endpoint endpoint = dispatcher;
  if (dispatcher.transport == Transport::tcp)
    endpoint.port = 0;
  else
    endpoint.host += "-stream";
  return endpoint;
}

Endpoint from_here(Endpoint dispatcher) {
  if (dispatcher.is_wildcard()) dispatcher.host = dispatcher.host == "::" ? "::1" : "127.0.0.1";
  return dispatcher;
}

}  // namespace

StreamThread::~StreamThread() {
  if (source_) source_->stop();
  if (thread_.joinable()) thread_.join();
}

Status StreamThread::start(Context& context, const VentilatorCommand& command, const Endpoint& dispatcher,
                           const Keys& keys, const Log& log) {
  SourceOptions options;
  options.connect = from_here(dispatcher);
  options.bind = command.stream_bind.value_or(beside(dispatcher));
  options.keys = keys;
  options.functions = {command.function};
  options.build = versions().program;
  options.frame_bytes_max = command.frame_bytes_max;
  options.once = true;
  options.log = log;
  source_.emplace(context, std::move(options));
  const Result<Endpoint> bound = source_->bind();
  if (!bound) return bound.error();
  log.info("streaming on " + bound->to_string() + "; workers need --pattern pipeline");
  thread_ = std::thread([this, log] {
    if (const Result<SourceReport> report = source_->run(); !report)
      log.error(report.error().message);
    else if (report->ending != SourceEnding::done)
      log.error(report->why);
    else if (report->resent > 0)
      log.info("sent " + std::to_string(report->resent) + " tasks again that were lost on the stream");
  });
  return {};
}

}  // namespace ventile
