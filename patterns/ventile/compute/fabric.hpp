// What stands behind a Pool: a thread with a client and, if the pool is this process's own, a broker and a worker.
#pragma once

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/log.hpp>
#include <ventile/compute/callbacks.hpp>
#include <ventile/compute/fetch_core.hpp>
#include <ventile/compute/job_port.hpp>
#include <ventile/net/context.hpp>
#include <ventile/queue/on_lost.hpp>
#include <ventile/task/registry.hpp>

namespace ventile {

enum class Shutdown : std::uint8_t {
  finish,  // What was submitted is finished first.
  cancel,  // What has not begun is dropped, what runs sees its stop token; futures throw.
};

struct PoolOptions {
  std::uint32_t threads = 0;  // Tasks at once, in a pool of this process; 0: as many as it has processors.
  Shutdown on_destruction = Shutdown::finish;
  Context* context = nullptr;  // Shared with others, whom it must outlive; none: the pool makes its own.
  std::string name;            // For people, in a broker's status; empty: host:pid.
  std::string keys;            // A folder of `ventile keygen` with a client's key, for a broker that has keys.
  Duration keep{0};            // How long a broker keeps the tasks of a client that it has lost; at least 10 s.
  Log log;                     // Nothing is said anywhere else.
};

// How one task, or all of a map, is to be run.
struct TaskOptions {
  std::int64_t priority = 0;  // A higher one goes first.
  Duration timeout{0};        // One try may take so long; 0: as long as it wants.
  std::uint32_t tries = 1;    // In all; a task that throws is tried again if there are more.
  std::optional<TimePoint> deadline =
      std::nullopt;                // What has no result by then has expired, and is not begun any more.
  OnLost on_lost = OnLost::rerun;  // What a lost worker may have begun, if the function is not repeatable there.
};

// How a job is to be kept.
struct KeepOptions {
  TaskOptions task;
  // What the arguments come from, in words by which others are told from them: a job of this name with another source
  // is refused, and not mixed with the first.
  std::string source = {};
};

struct PoolStats {
  bool connected = false;  // With the broker.
  std::size_t workers = 0;
  std::uint64_t slots = 0;
  std::vector<JobState> jobs;  // Of all clients; each with its audit.
  std::vector<WorkerState> worker_states;
  std::vector<ClientState> clients;
  std::uint64_t open_tasks = 0;  // Of this pool: submitted, without an outcome.
  std::uint64_t duplicates = 0;  // Results that came more than once, and were dropped.
};

namespace detail {

// A job whose tasks are to be run so. The deadline is left to the client.
Submit specification_of(const std::string& function, const TaskOptions& options);

class Fabric {
public:
  // `address`: of a broker; none: everything is here.
  Fabric(const TaskRegistry& tasks, const std::optional<std::string>& address, PoolOptions options);
  ~Fabric();
  Fabric(const Fabric&) = delete;
  Fabric& operator=(const Fabric&) = delete;

  // The job that takes single tasks and maps of this function; made when it is first asked for.
  std::shared_ptr<JobPort> stream(const std::string& function, const TaskOptions& options);
  // A job of its own.
  std::shared_ptr<JobPort> open(Submit specification);
  // The results of a job that the broker keeps by this name.
  std::shared_ptr<FetchCore> fetch(const std::string& job, const std::string& function);
  bool discard(const std::string& job);
  // Makes a reducer known to the worker of this process and returns its name; empty if there is none here.
  std::string lend_fold(std::shared_ptr<const FoldFunction> fold);
  void return_fold(const std::string& name);

  const std::shared_ptr<Callbacks>& callbacks() const { return callbacks_; }
  PoolStats stats();
  void wait();
  void shut_down(Shutdown how);
  // Throws if this process is a fork of the one that made the pool.
  void check_process() const;
  bool is_forked() const;
  Shutdown on_destruction() const { return options_.on_destruction; }

private:
  struct Roles;  // The sockets' owners, on the reactor's thread.
  using Key = std::tuple<std::string, std::int64_t, Duration, std::uint32_t, OnLost>;
  static constexpr std::size_t streams_max = 256;  // The one unused for longest is ended when there is another.

  PoolOptions options_;
  int process_;
  std::shared_ptr<Callbacks> callbacks_;
  std::unique_ptr<Context> own_context_;
  std::unique_ptr<Roles> roles_;
  std::thread thread_;

  mutable std::mutex mutex_;  // Guards what follows.
  std::map<Key, std::shared_ptr<JobPort>> streams_;
  std::vector<std::weak_ptr<JobPort>> ports_;  // All, for shutting down.
  std::vector<std::weak_ptr<FetchCore>> fetches_;
  std::map<std::string, std::shared_ptr<const FoldFunction>, std::less<>> folds_;
  std::uint64_t fold_counter_ = 0;
  std::optional<std::string> over_;

  std::shared_ptr<JobPort> add_port(Submit specification);
  std::vector<std::shared_ptr<JobPort>> all_ports() const;
  // Waits for what the reactor's thread answers; none if the pool is shut down meanwhile.
  template <class Answer>
  std::optional<Answer> wait_for(std::future<Answer> answered) const;
  std::shared_ptr<const FoldFunction> find_fold(std::string_view name) const;
  void end_idle_stream();
};

}  // namespace detail
}  // namespace ventile
