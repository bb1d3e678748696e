#include "tests/simulation/kept.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/brokered.hpp"
#include "tests/simulation/kept_client.hpp"

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

// What a job may be about, as far as it is kept.
Scenario scenario_of(std::uint64_t seed) {
  Scenario scenario{seed};
  scenario.tasks = std::min<std::uint64_t>(scenario.tasks, 800);
  scenario.sink_dies = scenario.cancel = scenario.fails_lost = false;
  scenario.durable = true;
  scenario.disk_delay = std::max<Duration>(scenario.disk_delay, 1ms);
  scenario.hanging = 0;
  scenario.timeout = 0s;
  return scenario;
}

class Kept : public Brokered {
public:
  Kept(std::uint64_t seed, std::ostream* trace) : Brokered(scenario_of(seed), seed, trace) {
    options.client_window_tasks = one_of(8, 200, 1'000'000);
    options.client_window_bytes = one_of(3'000, 100'000, 64'000'000);
    options.durable = true;
    broker_crashes = world.random().chance(0.6) ? 0.2 : 0;
    client_crashes_ = world.random().chance(0.6) ? 0.3 : 0;
  }

protected:
  void start_clients() override {
    jobs_.resize(world.random().between(1, 3));
    clients_.resize(jobs_.size());
    report.jobs = jobs_.size();
    for (std::size_t at = 0; at < jobs_.size(); ++at) {
      jobs_[at].name = "job-" + std::to_string(at);
      jobs_[at].tasks = world.random().between(0, scenario.tasks);
      world.after(world.draw(0s, 2s), [this, at] { start_client(at); });
    }
  }
  std::size_t client_count() const override { return clients_.size(); }
  const Process* client(std::size_t at) const override { return clients_[at].get(); }
  void replace_clients() override {
    for (std::size_t at = 0; at < clients_.size(); ++at)
      if (clients_[at] != nullptr && clients_[at]->exited()) lose_client(at);
  }
  void plan_client_faults() override {
    repeat(client_crashes_, [this] {
      const std::size_t at = world.random().below(clients_.size());
      if (clients_[at] != nullptr) lose_client(at);
    });
  }
  bool jobs_over() const override {
    return std::all_of(jobs_.begin(), jobs_.end(), [](const KeptJob& job) { return job.over; });
  }
  bool nothing_kept() const override {
    return broker != nullptr && broker->dispatcher().report(world.now()).jobs.empty();
  }
  std::string state_of(const JobState& job) const override {
    return broker->dispatcher().explain({to_string(job.job), false, 0}, world.now()).text;
  }

  void check_end() override {
    require(disk.results.files().empty(), "results are kept of a job that is over");
    for (const KeptJob& job : jobs_) {
      report.tasks += job.tasks;
      require(job.seen.size() == job.tasks, "not every task has an outcome");
      for (const auto& [number, outcome] : job.seen) check(number, outcome);
    }
  }

private:
  double client_crashes_ = 0;
  std::vector<KeptJob> jobs_;
  std::vector<std::shared_ptr<KeptClient>> clients_;  // One for each job; none: it will be back.

  void start_client(std::size_t at) {
    clients_[at] = std::make_shared<KeptClient>(network, scenario, jobs_[at], ++identities);
    clients_[at]->start();
  }

  void lose_client(std::size_t at) {
    world.trace("client of " + jobs_[at].name + " is gone");
    report.duplicates += clients_[at]->duplicates();
    network.drop(*clients_[at]);
    clients_[at].reset();
    if (!jobs_[at].over) world.after(world.draw(100ms, calm ? 1s : 20s), [this, at] { start_client(at); });
  }

  void check(Number number, Outcome outcome) const {
    if (outcome == Outcome::dead && scenario.nature(number) != Nature::poisonous)
      return require(report.faults >= options.max_crashes, "an innocent task is dead");
    scenario.require_outcome(number, outcome);
  }
};

}  // namespace

ClientsOutcome simulate_kept(std::uint64_t seed, std::ostream* trace) { return Kept{seed, trace}.run(); }

}  // namespace ventile::simulation
