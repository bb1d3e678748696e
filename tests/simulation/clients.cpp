#include "tests/simulation/clients.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/simulation/client.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/ventilator.hpp"
#include "tests/simulation/worker.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration end_bound = 20min;  // After the last fault, everything is over by then.
constexpr Duration idle_bound = 90s;
constexpr std::uint64_t steps_max = 3'000'000;

// What a job may be about, as far as it is a client's.
Scenario scenario_of(std::uint64_t seed) {
  Scenario scenario{seed};
  scenario.tasks = std::min<std::uint64_t>(scenario.tasks, 1500);
  scenario.ordered = scenario.sink_dies = false;
  scenario.hanging = 0;
  scenario.timeout = 0s;
  return scenario;
}

class Clients {
public:
  Clients(std::uint64_t seed, std::ostream* trace)
      : scenario_(scenario_of(seed)), world_(seed, trace), network_(world_, scenario_.network) {
    const auto one_of = [this](std::uint64_t a, std::uint64_t b, std::uint64_t c) {
      const std::uint64_t choice = world_.random().below(3);
      return choice == 0 ? a : choice == 1 ? b : c;
    };
    options_.client_grace = 10min;  // Nobody is away for longer.
    options_.client_window_tasks = one_of(8, 200, 1'000'000);
    options_.client_window_bytes = one_of(3'000, 100'000, 64'000'000);
    options_.durable = scenario_.durable;
    broker_crashes_ = world_.random().chance(0.4) ? 0.2 : 0;
  }

  ClientsOutcome run() {
    start();
    plan_faults();
    run_until([this] { return std::all_of(clients_.begin(), clients_.end(), [](auto& one) { return one->done(); }); },
              scenario_.faults_end + end_bound, "the jobs do not end");
    calm_down();
    run_until([this] { return idle(); }, world_.now() - TimePoint{} + idle_bound,
              "the jobs are over, and somebody still holds something of them");
    check_end();
    return outcome_;
  }

private:
  Scenario scenario_;
  Fates fates_;
  World world_;
  Network network_;
  DispatcherOptions options_;
  double broker_crashes_ = 0;
  BrokerDisk disk_;
  std::shared_ptr<Ventilator> broker_;  // None: it is down, and will be back.
  std::vector<std::shared_ptr<Client>> clients_;
  std::vector<std::shared_ptr<Worker>> workers_;
  std::uint64_t identities_ = 0;
  std::uint64_t lives_ = 0;
  std::uint64_t deaths_ = 0;  // Of workers, by poison.
  bool calm_ = false;
  ClientsOutcome outcome_;

  void start() {
    world_.after(world_.draw(0s, 2s), [this] { start_broker(); });
    clients_.resize(world_.random().between(1, 3));
    for (auto& client : clients_) {
      const std::uint64_t identity = ++identities_;
      client = std::make_shared<Client>(network_, scenario_, "client-" + std::to_string(identity), identity);
      const std::uint64_t jobs = world_.random().between(1, 3);
      outcome_.jobs += jobs;
      client->start(jobs);
    }
    workers_.resize(scenario_.workers);
    for (std::size_t at = 0; at < workers_.size(); ++at)
      world_.after(world_.draw(0s, 2s), [this, at] { start_worker(at); });
  }

  void start_broker() {
    broker_ = std::make_shared<Ventilator>(network_, scenario_, options_, disk_, ++lives_);
    broker_->start();
  }

  void start_worker(std::size_t at) {
    const std::uint64_t identity = 1000 + ++identities_;
    const auto die = [this, at, identity] {
      world_.after(0s, [this, at, name = "worker-" + std::to_string(identity)] {
        if (workers_[at] == nullptr || workers_[at]->name() != name) return;
        ++deaths_;
        lose_worker(at);
      });
    };
    workers_[at] =
        std::make_shared<Worker>(network_, scenario_, fates_, "worker-" + std::to_string(identity), identity, die);
    workers_[at]->start();
  }

  void lose_worker(std::size_t at) {
    world_.trace("a worker is dead");
    network_.drop(*workers_[at]);
    workers_[at].reset();
    world_.after(world_.draw(100ms, calm_ ? 1s : 5s), [this, at] { start_worker(at); });
  }

  // --- Faults ---

  template <class Fault>
  void repeat(double per_second, Fault fault) {
    if (per_second == 0) return;
    world_.after(from_seconds(world_.random().exponential(1 / per_second)), [this, per_second, fault] {
      if (calm_) return;
      ++outcome_.faults;
      fault();
      repeat(per_second, fault);
    });
  }

  void plan_faults() {
    repeat(scenario_.cuts, [this] {
      const auto connections = network_.connections();
      if (!connections.empty()) connections[world_.random().below(connections.size())]->cut();
    });
    repeat(scenario_.partitions, [this] {
      if (broker_ == nullptr) return;
      const std::size_t one = world_.random().below(clients_.size() + workers_.size());
      const Process* const process =
          one < clients_.size() ? static_cast<Process*>(clients_[one].get()) : workers_[one - clients_.size()].get();
      if (process != nullptr) network_.partition(broker_->name(), process->name(), world_.draw(10ms, 8s));
    });
    repeat(scenario_.crashes, [this] {
      const std::size_t at = world_.random().below(workers_.size());
      if (workers_[at] != nullptr) lose_worker(at);
    });
    repeat(scenario_.departures, [this] {
      Worker* const worker = workers_[world_.random().below(workers_.size())].get();
      if (worker != nullptr) worker->run([worker] { worker->drain(); });
    });
    repeat(broker_crashes_, [this] {
      if (broker_ == nullptr) return;
      ++outcome_.restarts;
      world_.trace("the broker is dead, and will be back");
      network_.drop(*broker_);
      broker_.reset();
      disk_.crash(world_.random());
      world_.after(world_.draw(0s, 5s), [this] { start_broker(); });
    });
    repeat(scenario_.stalls, [this] {
      if (broker_ != nullptr) broker_->stall(world_.draw(0s, 5s));
    });
    world_.after(scenario_.faults_end, [this] { calm_down(); });
  }

  void calm_down() {
    if (std::exchange(calm_, true)) return;
    world_.trace("no more faults");
    network_.calm();
  }

  // --- What must hold ---

  template <class Over>
  void run_until(Over over, Duration end, const std::string& else_what) {
    while (!over()) {
      require(world_.step(), "nothing will ever happen again, and the jobs are not over");
      if (world_.now() - TimePoint{} > end) throw Violation{else_what + state()};
      require(world_.steps() < steps_max, "so much happens that it can only be going round in circles");
      if (!world_.has_one_left()) continue;
      for (std::size_t at = 0; at < workers_.size(); ++at)
        if (workers_[at] != nullptr && workers_[at]->exited()) lose_worker(at);
    }
  }

  std::string state() const {
    if (broker_ == nullptr) return "; there is no broker";
    std::string text;
    for (const JobState& job : broker_->dispatcher().report(world_.now()).jobs)
      text += "; " + to_string(job.job) + ": " + std::to_string(job.submitted) + " submitted, " +
              std::to_string(job.queued) + " queued, " + std::to_string(job.delayed) + " delayed, " +
              std::to_string(job.leased) + " leased, " + std::to_string(job.awaiting) + " awaiting, " +
              (job.complete ? "complete, " : "") + job.waiting_for;
    return text;
  }

  bool idle() const {
    return std::all_of(workers_.begin(), workers_.end(),
                       [](const auto& worker) { return worker == nullptr || worker->session().held_tasks() == 0; });
  }

  void check_end() {
    for (const auto& client : clients_) {
      outcome_.duplicates += client->duplicates();
      for (const auto& [id, job] : client->jobs()) {
        outcome_.tasks += job.tasks;
        for (Number number = 0; number < job.tasks; ++number) {
          const auto failure = job.output.failures().find(number);
          check(job, number, failure == job.output.failures().end() ? Outcome::done : failure->second);
        }
      }
    }
  }

  void check(const Client::Job& job, Number number, Outcome outcome) const {
    if (outcome == Outcome::cancelled) return require(job.cancelled, "a task is cancelled, but nobody cancelled");
    if (outcome == Outcome::lost)
      return require(scenario_.fails_lost && outcome_.faults + deaths_ > 0, "a task is lost, but nobody is");
    if (outcome == Outcome::dead && scenario_.nature(number) != Nature::poisonous)
      return require(outcome_.faults >= options_.max_crashes, "an innocent task is dead");
    scenario_.require_outcome(number, outcome);
  }
};

}  // namespace

ClientsOutcome simulate_clients(std::uint64_t seed, std::ostream* trace) { return Clients{seed, trace}.run(); }

}  // namespace ventile::simulation
