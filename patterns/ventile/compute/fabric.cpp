#include <ventile/compute/fabric.hpp>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <future>
#include <stdexcept>
#include <utility>

#include <ventile/queue/broker.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/queue/worker.hpp>
#include <ventile/task/blocking.hpp>

namespace ventile::detail {
namespace {

std::uint32_t processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(std::thread::hardware_concurrency(), 1U);
  return static_cast<std::uint32_t>(std::max(CPU_COUNT(&set), 1));
}

[[noreturn]] void refuse(const Error& error) { throw std::runtime_error("ventile::Pool: " + error.message); }

// Threads that are started meanwhile leave signals to the threads of their user.
class BlockedSignals {
public:
  BlockedSignals() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~BlockedSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;

private:
  sigset_t before_;
};

Keys client_keys(const PoolOptions& options) {
  if (options.keys.empty()) return {};
  Result<Keys> keys = Keys::open(options.keys, {KeyRole::client}, options.log);
  if (!keys) throw std::invalid_argument("ventile::Pool: " + keys.error().message);
  return *std::move(keys);
}

}  // namespace

Submit specification_of(const std::string& function, const TaskOptions& options) {
  Submit specification;
  specification.function = function;
  specification.priority = options.priority;
  specification.timeout_nanoseconds = static_cast<std::uint64_t>(std::max(options.timeout, Duration{0}).count());
  specification.tries_max = std::max(options.tries, 1U);
  specification.once = options.on_lost == OnLost::fail;
  return specification;
}

struct Fabric::Roles {
  Context& context;
  TaskRegistry tasks;
  WorkerOptions worker_options;
  Reactor reactor;
  std::unique_ptr<Broker> broker;
  std::vector<std::unique_ptr<Worker>> workers;  // The last one works; those before it hang in their tasks.
  std::unique_ptr<Client> client;

  Roles(Context& shared, TaskRegistry registry) : context(shared), tasks(std::move(registry)) {}

  // A worker of which every slot hangs in a task over its time-out is replaced.
  void add_worker() {
    workers.push_back(std::make_unique<Worker>(context, reactor, tasks, worker_options));
    const Status started = workers.back()->start([this](const WorkerReport& report) {
      if (report.ending == WorkerEnding::hung) reactor.post([this] { add_worker(); });
    });
    if (!started) refuse(started.error());
  }
};

Fabric::Fabric(const TaskRegistry& tasks, const std::optional<std::string>& address, PoolOptions options)
    : options_(std::move(options)), process_(getpid()), callbacks_(std::make_shared<Callbacks>(options_.log)) {
  Context* context = options_.context;
  if (context == nullptr) {
    own_context_ = std::make_unique<Context>(ContextOptions{}, options_.log);
    context = own_context_.get();
  }
  ClientOptions client;
  client.name = options_.name;
  client.log = options_.log;
  const BlockedSignals blocked;
  roles_ = std::make_unique<Roles>(*context, tasks);
  Roles& roles = *roles_;
  if (address) {
    const Result<Endpoint> endpoint = Endpoint::parse(*address);
    if (!endpoint) throw std::invalid_argument("ventile::Pool: " + endpoint.error().message);
    client.connect = *endpoint;
    client.keys = client_keys(options_);
  } else {
    const std::string unique = "ventile-pool-" + to_string(random_incarnation());
    client.connect = {Transport::inproc, unique, 0};
    client.results = Endpoint{Transport::inproc, unique + "-results", 0};
    DispatcherOptions dispatcher;
    dispatcher.speculate = false;  // One worker: there is nobody to race with.
    roles.broker = std::make_unique<Broker>(*context, roles.reactor, BrokerOptions{client.connect, dispatcher});
    if (const Result<Endpoint> bound = roles.broker->bind(); !bound) refuse(bound.error());
    roles.broker->start();
    roles.worker_options.connect = client.connect;
    roles.worker_options.slots = options_.threads > 0 ? options_.threads : processors();
    roles.worker_options.find_fold = [this](std::string_view name) { return find_fold(name); };
    roles.worker_options.log = options_.log;
    roles.add_worker();
  }
  roles.client = std::make_unique<Client>(*context, roles.reactor, std::move(client));
  if (const Status started = roles.client->start(); !started) refuse(started.error());
  roles.reactor.on_turn_end([&roles] {
    for (const auto& worker : roles.workers) worker->on_turn_end();
    roles.client->on_turn_end();
    if (roles.broker != nullptr) roles.broker->on_turn_end();
  });
  thread_ = std::thread([&roles] { roles.reactor.run(); });
  pthread_setname_np(thread_.native_handle(), "ventile-pool");
}

Fabric::~Fabric() {
  if (thread_.joinable()) shut_down(options_.on_destruction);
}

bool Fabric::is_forked() const { return getpid() != process_; }

void Fabric::check_process() const {
  if (is_forked())
    throw std::logic_error(
        "ventile::Pool: this process is a fork of the one that made the pool, and has none of its "
        "threads; make pools after fork()");
}

// --- Jobs --------------------------------------------------------------------------------------------------------

std::shared_ptr<JobPort> Fabric::add_port(Submit specification) {
  specification.keep_nanoseconds = static_cast<std::uint64_t>(std::max(options_.keep, Duration{0}).count());
  auto port = std::make_shared<JobPort>(roles_->reactor, *roles_->client, std::move(specification), PortLimits{});
  std::erase_if(ports_, [](const auto& weak) { return weak.expired(); });
  ports_.push_back(port);
  return port;
}

std::shared_ptr<JobPort> Fabric::stream(const std::string& function, const TaskOptions& options) {
  check_process();
  const std::lock_guard lock{mutex_};
  if (over_) throw TaskError({Outcome::cancelled, "pool", *over_, function, {}, 0});
  const Key key{function, options.priority, options.timeout, options.tries, options.on_lost};
  const auto found = streams_.find(key);
  if (found != streams_.end() && !found->second->is_over()) return found->second;
  if (found != streams_.end()) streams_.erase(found);  // Somebody has cancelled its job: what comes now is another one.
  if (streams_.size() >= streams_max) end_idle_stream();
  return streams_.emplace(key, add_port(specification_of(function, options))).first->second;
}

void Fabric::end_idle_stream() {
  const auto oldest = std::min_element(streams_.begin(), streams_.end(), [](const auto& a, const auto& b) {
    return a.second->last_used() < b.second->last_used();
  });
  oldest->second->complete();
  streams_.erase(oldest);
}

std::shared_ptr<JobPort> Fabric::open(Submit specification) {
  check_process();
  const std::lock_guard lock{mutex_};
  if (over_) throw TaskError({Outcome::cancelled, "pool", *over_, specification.function, {}, 0});
  return add_port(std::move(specification));
}

std::shared_ptr<FetchCore> Fabric::fetch(const std::string& job, const std::string& function) {
  check_process();
  const std::lock_guard lock{mutex_};
  if (over_) throw TaskError({Outcome::cancelled, "pool", *over_, function, {}, 0});
  auto fetch = std::make_shared<FetchCore>(roles_->reactor, *roles_->client, job, function);
  std::erase_if(fetches_, [](const auto& weak) { return weak.expired(); });
  fetches_.push_back(fetch);
  fetch->start();
  return fetch;
}

bool Fabric::discard(const std::string& job) {
  check_process();
  const auto answer = std::make_shared<std::promise<bool>>();
  std::future<bool> answered = answer->get_future();
  roles_->reactor.post([client = roles_->client.get(), answer, job] {
    client->ask(Discard{job}, [answer](const Message& message) {
      const auto* explanation = std::get_if<Explanation>(&message);
      answer->set_value(explanation != nullptr && explanation->found);
    });
  });
  return wait_for(std::move(answered)).value_or(false);
}

std::string Fabric::lend_fold(std::shared_ptr<const FoldFunction> fold) {
  if (roles_->broker == nullptr) return {};
  const std::lock_guard lock{mutex_};
  std::string name = "pool-fold-" + std::to_string(++fold_counter_);
  folds_.emplace(name, std::move(fold));
  return name;
}

void Fabric::return_fold(const std::string& name) {
  const std::lock_guard lock{mutex_};
  folds_.erase(name);
}

std::shared_ptr<const FoldFunction> Fabric::find_fold(std::string_view name) const {
  const std::lock_guard lock{mutex_};
  const auto it = folds_.find(name);
  return it == folds_.end() ? nullptr : it->second;
}

std::vector<std::shared_ptr<JobPort>> Fabric::all_ports() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::shared_ptr<JobPort>> all;
  for (const auto& weak : ports_)
    if (auto port = weak.lock()) all.push_back(std::move(port));
  return all;
}

// --- The whole ---------------------------------------------------------------------------------------------------

template <class Answer>
std::optional<Answer> Fabric::wait_for(std::future<Answer> answered) const {
  const BlockingScope lent;
  while (answered.wait_for(std::chrono::milliseconds{100}) != std::future_status::ready) {
    const std::lock_guard lock{mutex_};
    if (over_) return std::nullopt;
  }
  return answered.get();
}

PoolStats Fabric::stats() {
  check_process();
  PoolStats stats;
  for (const auto& port : all_ports()) stats.open_tasks += port->open_tasks();
  const auto answer = std::make_shared<std::promise<PoolStats>>();
  std::future<PoolStats> answered = answer->get_future();
  roles_->reactor.post([client = roles_->client.get(), answer, stats]() mutable {
    stats.connected = client->connected();
    stats.duplicates = client->duplicates();
    if (!stats.connected) return answer->set_value(std::move(stats));
    client->ask(Inquire{}, [answer, stats](const Message& message) mutable {
      if (const auto* report = std::get_if<Report>(&message)) {
        stats.jobs = report->jobs;
        stats.worker_states = report->workers;
        stats.clients = report->clients;
      }
      stats.workers = stats.worker_states.size();
      for (const WorkerState& worker : stats.worker_states) stats.slots += worker.slots;
      answer->set_value(std::move(stats));
    });
  });
  return wait_for(std::move(answered)).value_or(stats);
}

void Fabric::wait() {
  check_process();
  for (const auto& port : all_ports()) port->wait_until_idle();
}

void Fabric::shut_down(Shutdown how) {
  check_process();
  {
    const std::lock_guard lock{mutex_};
    if (std::exchange(over_, "the pool was shut down")) return;
  }
  std::vector<std::shared_ptr<JobPort>> cancelled;
  for (const auto& port : all_ports()) {
    if (port->is_kept())
      port->leave("the pool was shut down");
    else if (how == Shutdown::cancel)
      cancelled.push_back(port);
    else
      port->complete();
  }
  // All at once: a slot in which one job's task was stopped would begin one of the next job, and bring its result.
  roles_->reactor.post([cancelled] {
    for (const auto& port : cancelled) port->cancel_all("the pool was shut down");
    for (const auto& port : cancelled) port->carry_out();
  });
  for (const auto& port : all_ports()) port->wait_until_idle();
  Roles& roles = *roles_;
  roles.reactor.post([&roles] {
    for (const auto& worker : roles.workers) worker->abandon();
    roles.client->leave([&roles] { roles.reactor.stop(); });
  });
  thread_.join();
  for (const auto& port : all_ports()) port->on_over("the pool was shut down");
  for (const auto& weak : fetches_)
    if (const auto fetch = weak.lock()) fetch->on_over("the pool was shut down");
  roles_->workers.clear();  // Waits a moment for what still runs.
  roles_->client.reset();
  roles_->broker.reset();
}

}  // namespace ventile::detail
