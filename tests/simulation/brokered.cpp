#include "tests/simulation/brokered.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration end_bound = 20min;  // After the last fault, everything is over by then.
constexpr Duration idle_bound = 90s;
constexpr std::uint64_t steps_max = 3'000'000;

}  // namespace

Brokered::Brokered(Scenario about, std::uint64_t seed, std::ostream* trace)
    : scenario(std::move(about)), world(seed, trace), network(world, scenario.network) {}

ClientsOutcome Brokered::run() {
  start();
  plan_faults();
  run_until([this] { return jobs_over(); }, scenario.faults_end + end_bound, "the jobs do not end");
  calm_down();
  run_until([this] { return idle(); }, world.now() - TimePoint{} + idle_bound,
            "the jobs are over, and somebody still holds something of them");
  check_end();
  return report;
}

std::uint64_t Brokered::one_of(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const std::uint64_t choice = world.random().below(3);
  return choice == 0 ? a : choice == 1 ? b : c;
}

void Brokered::start() {
  world.after(world.draw(0s, 2s), [this] { start_broker(); });
  start_clients();
  workers.resize(scenario.workers);
  for (std::size_t at = 0; at < workers.size(); ++at) world.after(world.draw(0s, 2s), [this, at] { start_worker(at); });
}

void Brokered::start_broker() {
  broker = std::make_shared<Ventilator>(network, scenario, options, disk, ++lives_);
  broker->start();
}

void Brokered::start_worker(std::size_t at) {
  const std::uint64_t identity = 1000 + ++identities;
  const auto die = [this, at, identity] {
    world.after(0s, [this, at, name = "worker-" + std::to_string(identity)] {
      if (workers[at] == nullptr || workers[at]->name() != name) return;
      ++deaths;
      lose_worker(at);
    });
  };
  workers[at] = std::make_shared<Worker>(network, scenario, fates, "worker-" + std::to_string(identity), identity, die);
  workers[at]->start();
}

void Brokered::lose_worker(std::size_t at) {
  world.trace("a worker is dead");
  network.drop(*workers[at]);
  workers[at].reset();
  world.after(world.draw(100ms, calm ? 1s : 5s), [this, at] { start_worker(at); });
}

// --- Faults ------------------------------------------------------------------------------------------------------

void Brokered::repeat(double per_second, std::function<void()> fault) {
  if (per_second == 0) return;
  const Duration pause = from_seconds(world.random().exponential(1 / per_second));
  world.after(pause, [this, per_second, fault = std::move(fault)]() mutable {
    if (calm) return;
    ++report.faults;
    fault();
    repeat(per_second, std::move(fault));
  });
}

void Brokered::plan_faults() {
  repeat(scenario.cuts, [this] {
    const auto connections = network.connections();
    if (!connections.empty()) connections[world.random().below(connections.size())]->cut();
  });
  repeat(scenario.partitions, [this] {
    if (broker == nullptr) return;
    const std::size_t one = world.random().below(client_count() + workers.size());
    const Process* const process = one < client_count() ? client(one) : workers[one - client_count()].get();
    if (process != nullptr) network.partition(broker->name(), process->name(), world.draw(10ms, 8s));
  });
  repeat(scenario.crashes, [this] {
    const std::size_t at = world.random().below(workers.size());
    if (workers[at] != nullptr) lose_worker(at);
  });
  plan_client_faults();
  repeat(broker_crashes, [this] {
    if (broker == nullptr) return;
    ++report.restarts;
    world.trace("the broker is dead, and will be back");
    network.drop(*broker);
    broker.reset();
    disk.crash(world.random());
    world.after(world.draw(0s, 5s), [this] { start_broker(); });
  });
  repeat(scenario.stalls, [this] {
    if (broker != nullptr) broker->stall(world.draw(0s, 5s));
  });
  world.after(scenario.faults_end, [this] { calm_down(); });
}

void Brokered::calm_down() {
  if (std::exchange(calm, true)) return;
  world.trace("no more faults");
  network.calm();
}

// --- What must hold ----------------------------------------------------------------------------------------------

void Brokered::run_until(const std::function<bool()>& over, Duration end, const std::string& else_what) {
  while (!over()) {
    require(world.step(), "nothing will ever happen again, and the jobs are not over");
    if (world.now() - TimePoint{} > end) throw Violation{else_what + state()};
    require(world.steps() < steps_max, "so much happens that it can only be going round in circles");
    if (!world.has_one_left()) continue;
    replace_clients();
    for (std::size_t at = 0; at < workers.size(); ++at)
      if (workers[at] != nullptr && workers[at]->exited()) lose_worker(at);
  }
}

std::string Brokered::state() const {
  if (broker == nullptr) return "; there is no broker";
  std::string text;
  for (const JobState& job : broker->dispatcher().report(world.now()).jobs) text += "; " + state_of(job);
  return text;
}

bool Brokered::idle() const {
  return nothing_kept() && std::all_of(workers.begin(), workers.end(), [](const auto& worker) {
           return worker == nullptr || worker->session().held_tasks() == 0;
         });
}

}  // namespace ventile::simulation
