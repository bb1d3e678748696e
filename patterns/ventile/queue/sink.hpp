// A sink: takes a job's results from workers, writes each number once, and says so.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/queue/output.hpp>
#include <ventile/queue/refusals.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct SinkOptions {
  Endpoint connect;                   // The dispatcher's address.
  Keys keys;                          // A sink's, if the dispatcher has any.
  std::optional<Endpoint> bind;       // For results; none: chosen after the dispatcher's, see below.
  std::optional<Endpoint> advertise;  // What workers are told; none: what was bound.
  std::string name;                   // For people; empty: host:pid.
  std::string build;
  std::string fold;      // Name of a reducer in the registry, or empty.
  bool ordered = false;  // Write by number. Not with a fold.
  bool stay = false;     // Wait for the next job when one is over.
  std::size_t frame_bytes_max = frame_bytes_default;
  std::uint64_t window_tasks = std::uint64_t{1} << 32;
  std::uint64_t window_bytes = std::uint64_t{64} << 20;
  std::uint64_t ordered_window = std::uint64_t{1} << 20;
  std::string durable;  // A folder for its journal: a sink that is killed and started again goes on. Empty: none.
  // Called twice a second on the reactor's thread: whether it has a session with the dispatcher. May be empty.
  std::function<void(bool in_session, TimePoint now)> on_tick;
  Log log;
};

// left: before its job was over.
enum class SinkEnding : std::uint8_t { done, left, failed, refused, version_mismatch };

struct SinkReport {
  SinkEnding ending = SinkEnding::done;
  std::string why;
  std::array<std::uint64_t, outcome_count> outcomes{};  // Of the last job.
  std::uint64_t duplicates = 0;
  std::uint64_t refused = 0;  // Messages, of the dispatcher and on the results socket.
  RefusalCounts refusals;     // Of those the ones on the results socket.
};

class Sink {
public:
  // Called when a job begins, with its number from 0; what it returns belongs to that job.
  using OpenOutput = std::function<Result<std::unique_ptr<Output>>(std::uint64_t job)>;

  // The registry (for folds) must outlive the sink. Without `bind`, a sink of a dispatcher on tcp binds the interface
  // by which it reaches it, on port 5571 or, if that is taken, any; on ipc and inproc an address beside the
  // dispatcher's.
  Sink(Context& context, const TaskRegistry& tasks, SinkOptions options, OpenOutput open_output);
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  // Binds, so that errors come before anything runs. Returns the address that workers are told.
  Result<Endpoint> bind();
  // Collects until it leaves; its thread becomes the reactor's. Binds if that was not done.
  Result<SinkReport> run();

  // From any thread.
  void drain();  // Collect what is still missing of the job that it has, then leave; without one leave at once.
  void leave();  // Say goodbye and stop. A job that is not over has lost what it stored.

private:
  class Driver;
  std::unique_ptr<Driver> driver_;
};

}  // namespace ventile
