// The source of a pipeline, beside the ventilator in whose process it is.
#pragma once

#include <optional>
#include <thread>

#include <nodes/options.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/pipeline/source.hpp>

namespace ventile {

class StreamThread {
public:
  StreamThread() = default;
  ~StreamThread();  // Stops it.
  StreamThread(const StreamThread&) = delete;
  StreamThread& operator=(const StreamThread&) = delete;

  // Binds the stream and starts to serve it. `dispatcher` is where the ventilator is bound, `keys` are its own.
  Status start(Context& context, const VentilatorCommand& command, const Endpoint& dispatcher, const Keys& keys,
               const Log& log);

private:
  std::optional<Source> source_;
  std::thread thread_;
};

}  // namespace ventile
