// The begin of a pipeline: puts the batches of a dispatcher on a stream that stages pull from.
//
//    dispatcher <-- worker's conversation --> [source] == PUSH/PULL ==> stages == PUSH/PULL ==> drain --> dispatcher
//
// To its dispatcher it is a worker with many slots. It does not run what it is given, but sends it, keeps a copy until
// the verdict comes back, and sends what got lost again (resend.hpp). So everything that a job has is there: the
// account, the outcomes, the summary; and what a stage took along comes out all the same, once. The drain is a Sink,
// with everything that a sink can do: order, folds, files.
//
// For functions that may run twice, only.
//
// With keys, who pulls is asked for its key when it connects. A PUSH cannot say to whom it sends; so when a key is
// revoked, all connections are closed and the stream opens anew at the same address, and what was on its way there and
// then is sent again.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/pipeline/resend.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

// The largest message on a stream. It cannot travel in parts, for the parts would go to different stages; a larger task
// fails.
inline constexpr std::size_t flow_bytes_max = std::size_t{64} << 20;

struct SourceOptions {
  Endpoint connect;                    // The dispatcher's address.
  Endpoint bind;                       // Where stages pull.
  Keys keys;                           // The dispatcher's, if it has any; then workers' keys may pull and no others.
  std::vector<std::string> functions;  // Whose tasks it takes.
  std::string name;                    // For people; empty: host:pid.
  std::string build;
  std::uint32_t lanes = 16;  // Batches are made for as many slots as this, and three for each are under way.
  bool once = false;         // Leave when the dispatcher says goodbye; otherwise wait for the next.
  ResendOptions resend;      // Its window_batches is set from `lanes`.
  std::size_t frame_bytes_max = frame_bytes_default;
  Log log;
};

enum class SourceEnding : std::uint8_t { done, refused, version_mismatch };

struct SourceReport {
  SourceEnding ending = SourceEnding::done;
  std::string why;
  std::uint64_t tasks = 0;   // Done.
  std::uint64_t resent = 0;  // Tasks sent again.
};

class Source {
public:
  Source(Context& context, SourceOptions options);
  ~Source();
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  // Binds the stream. Returns the address with its real port.
  Result<Endpoint> bind();
  // Streams until it leaves; its thread becomes the reactor's. Binds if that was not done.
  Result<SourceReport> run();

  void stop();  // From any thread: leave now. What is under way goes back to the dispatcher.

private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace ventile
