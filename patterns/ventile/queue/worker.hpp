// A worker: takes batches from a dispatcher, runs them in its slots, sends results to sinks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/base/result.hpp>
#include <ventile/keys/keys.hpp>
#include <ventile/net/context.hpp>
#include <ventile/net/endpoint.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/session.hpp>
#include <ventile/task/registry.hpp>
#include <ventile/wire/frame.hpp>

namespace ventile {

struct WorkerOptions {
  Endpoint connect;              // The dispatcher's address.
  Keys keys;                     // A worker's, if the dispatcher has any.
  std::uint32_t slots = 1;       // Tasks at once, each on a thread of its own.
  std::string name;              // For people; empty: host:pid.
  std::string build;             // Version of the program, for people.
  bool once = false;             // Leave when the first job that it worked for is over.
  bool stop_when_alone = false;  // Stop what runs when the dispatcher is gone, instead of going on for one that comes
                                 // back.
  Duration drain_timeout = std::chrono::seconds{30};
  std::size_t frame_bytes_max = frame_bytes_default;
  std::uint64_t credit_tasks = std::uint64_t{1} << 32;
  std::uint64_t credit_bytes = std::uint64_t{64} << 20;
  std::uint64_t kept_bytes_max = std::uint64_t{256} << 20;
  // A result waits so long for others to go with it, but not while nothing runs, nor for more than half of the slots'.
  // Saves wake-ups where tasks last about a millisecond and there are always some that wait for a slot.
  Duration gather{0};
  // Asked for a reducer before the registry is; may answer null. On the reactor's thread.
  std::function<std::shared_ptr<const FoldFunction>(std::string_view name)> find_fold;
  // Called ten times a second on the reactor's thread, whatever the slots do: whether it has a session. May be empty.
  std::function<void(bool in_session, TimePoint now)> on_tick;
  Log log;
};

enum class WorkerEnding : std::uint8_t {
  done,              // Drained, or the one job is over.
  handed_back,       // The drain deadline passed, or it was abandoned: tasks went back.
  hung,              // Every slot hangs in a task over its time-out.
  refused,           // The dispatcher does not want it.
  version_mismatch,  // The dispatcher speaks another version of the protocol.
};

struct WorkerReport {
  WorkerEnding ending = WorkerEnding::done;
  std::string why;
  std::uint64_t tasks = 0;   // Finished here.
  std::uint64_t resent = 0;  // Results sent more than once.
};

class Worker {
public:
  // The registry is not changed and must outlive the worker.
  Worker(Context& context, const TaskRegistry& tasks, WorkerOptions options);
  // Shares its owner's reactor; see start().
  Worker(Context& context, Reactor& reactor, const TaskRegistry& tasks, WorkerOptions options);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Works until it leaves; its thread becomes the reactor's. Code::unavailable if the address cannot be resolved.
  Result<WorkerReport> run();

  // Instead of run(), on the thread of a shared reactor or before it runs: `on_left` is called once, when the worker is
  // finished. It must then neither be destroyed at once nor before the reactor's run has ended.
  Status start(std::function<void(const WorkerReport&)> on_left);
  // To be called at the end of each of the shared reactor's turns.
  void on_turn_end();

  // From any thread. The first takes nothing more and leaves when all that runs is acknowledged; the second stops what
  // runs, too.
  void drain();
  void abandon();

private:
  class Driver;
  std::unique_ptr<Reactor> reactor_;  // Null if it is shared.
  std::unique_ptr<Driver> driver_;
};

}  // namespace ventile
