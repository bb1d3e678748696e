#include "tests/simulation/clients.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/brokered.hpp"
#include "tests/simulation/client.hpp"

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

// What a job may be about, as far as it is a client's.
Scenario scenario_of(std::uint64_t seed) {
  Scenario scenario{seed};
  scenario.tasks = std::min<std::uint64_t>(scenario.tasks, 1500);
  scenario.ordered = scenario.sink_dies = false;
  scenario.hanging = 0;
  scenario.timeout = 0s;
  return scenario;
}

class Clients : public Brokered {
public:
  Clients(std::uint64_t seed, std::ostream* trace) : Brokered(scenario_of(seed), seed, trace) {
    options.client_grace = 10min;  // Nobody is away for longer.
    options.client_window_tasks = one_of(8, 200, 1'000'000);
    options.client_window_bytes = one_of(3'000, 100'000, 64'000'000);
    options.durable = scenario.durable;
    broker_crashes = world.random().chance(0.4) ? 0.2 : 0;
  }

protected:
  void start_clients() override {
    clients_.resize(world.random().between(1, 3));
    for (auto& client : clients_) {
      const std::uint64_t identity = ++identities;
      client = std::make_shared<Client>(network, scenario, "client-" + std::to_string(identity), identity);
      const std::uint64_t jobs = world.random().between(1, 3);
      report.jobs += jobs;
      client->start(jobs);
    }
  }
  std::size_t client_count() const override { return clients_.size(); }
  const Process* client(std::size_t at) const override { return clients_[at].get(); }
  void plan_client_faults() override {
    repeat(scenario.departures, [this] {
      Worker* const worker = workers[world.random().below(workers.size())].get();
      if (worker != nullptr) worker->run([worker] { worker->drain(); });
    });
  }
  bool jobs_over() const override {
    return std::all_of(clients_.begin(), clients_.end(), [](const auto& one) { return one->done(); });
  }
  std::string state_of(const JobState& job) const override {
    return to_string(job.job) + ": " + std::to_string(job.submitted) + " submitted, " + std::to_string(job.queued) +
           " queued, " + std::to_string(job.delayed) + " delayed, " + std::to_string(job.leased) + " leased, " +
           std::to_string(job.awaiting) + " awaiting, " + (job.complete ? "complete, " : "") + job.waiting_for;
  }

  void check_end() override {
    for (const auto& client : clients_) {
      report.duplicates += client->duplicates();
      for (const auto& [id, job] : client->jobs()) {
        report.tasks += job.tasks;
        for (Number number = 0; number < job.tasks; ++number) {
          const auto failure = job.output.failures().find(number);
          check(job, number, failure == job.output.failures().end() ? Outcome::done : failure->second);
        }
      }
    }
  }

private:
  std::vector<std::shared_ptr<Client>> clients_;

  void check(const Client::Job& job, Number number, Outcome outcome) const {
    if (outcome == Outcome::cancelled) return require(job.cancelled, "a task is cancelled, but nobody cancelled");
    if (outcome == Outcome::lost)
      return require(scenario.fails_lost && report.faults + deaths > 0, "a task is lost, but nobody is");
    if (outcome == Outcome::dead && scenario.nature(number) != Nature::poisonous)
      return require(report.faults >= options.max_crashes, "an innocent task is dead");
    scenario.require_outcome(number, outcome);
  }
};

}  // namespace

ClientsOutcome simulate_clients(std::uint64_t seed, std::ostream* trace) { return Clients{seed, trace}.run(); }

}  // namespace ventile::simulation
