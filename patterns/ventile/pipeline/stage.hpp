// A stage of a pipeline: pulls batches, runs them in its slots and pushes what comes out.
//
//    PULL                                            PUSH
//   ------> at most two a slot ---> slots, stealing ------> the drain, or the next stage
//
// A stage remembers nothing and promises nothing: whatever it takes along when it is killed, the source sends again to
// whoever pulls. It pulls no more while its slots have enough or those behind it have no room, so that a slow stage
// slows the source.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct StageOptions {
  // Where batches come from, one of these three. The dispatcher knows where its source's stream is.
  std::optional<Endpoint> dispatcher;
  std::optional<Endpoint> pull;  // A stream, as Source::bind() named it.
  std::optional<Endpoint> bind;  // An address of its own, where stages before it push.

  std::optional<Endpoint> push;  // The next stage's `bind`; none: the drain that each batch names.

  // A worker's, if the dispatcher has any. Stages in a row know each other by their workers' keys: one that binds lets
  // in the workers in its `peers`, and one that pushes to it finds it there by its name, `push_key`. `keygen` puts no
  // workers there: add their lines from the `peers` of the sink, which has all.
  Keys keys;
  std::string push_key;

  std::string function;  // Empty: the one that the batch names, for the first stage.
  std::uint32_t slots = 1;
  std::string name;   // For people; empty: host:pid.
  bool once = false;  // Leave when the stream that it pulled from is gone. Not with `bind`.
  Duration drain_timeout = std::chrono::seconds{30};
  std::size_t frame_bytes_max = frame_bytes_default;  // Towards dispatcher and drain.
  Log log;
};

enum class StageEnding : std::uint8_t {
  done,         // Told to leave, or its stream is gone.
  interrupted,  // The drain deadline passed, or it was abandoned: what it had is lost, and sent again by the source.
  hung,         // Every slot hangs in a task over its time-out.
  refused,      // The dispatcher or its stream does not want this key, or only one of the two has keys.
};

struct StageReport {
  StageEnding ending = StageEnding::done;
  std::string why;
  std::uint64_t tasks = 0;
};

class Stage {
public:
  // The registry is not changed and must outlive the stage.
  Stage(Context& context, const TaskRegistry& tasks, StageOptions options);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // With `bind`, binds; returns the address with its real port. Otherwise nothing to do, and it returns what it has.
  Result<Endpoint> bind();
  Result<StageReport> run();

  // From any thread. The first pulls nothing more, finishes what it has and leaves; the second stops what runs.
  void drain();
  void abandon();

private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace ventile
