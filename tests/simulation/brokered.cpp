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

Brokered::Brokered(const Scenario& scenario, std::uint64_t seed, std::ostream* trace)
    : scenario_(scenario), world_(seed, trace), network_(world_, scenario_.network) {}

ClientsOutcome Brokered::run() {
  start();
  plan_faults();
  run_until([this] { return jobs_over(); }, scenario_.faults_end + end_bound, "the jobs do not end");
  calm_down();
  run_until([this] { return idle(); }, world_.now() - TimePoint{} + idle_bound,
            "the jobs are over, and somebody still holds something of them");
  check_end();
  return outcome_;
}

std::uint64_t Brokered::one_of(std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  const std::uint64_t choice = world_.random().below(3);
  return choice == 0 ? a : choice == 1 ? b : c;
}

void Brokered::start() {
  world_.after(world_.draw(0s, 2s), [this] { start_broker(); });
  start_clients();
  workers_.resize(scenario_.workers);
  for (std::size_t at = 0; at < workers_.size(); ++at)
    world_.after(world_.draw(0s, 2s), [this, at] { start_worker(at); });
}

void Brokered::start_broker() {
  broker_ = std::make_shared<Ventilator>(network_, scenario_, options_, disk_, ++lives_);
  broker_->start();
}

void Brokered::start_worker(std::size_t at) {
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

void Brokered::lose_worker(std::size_t at) {
  world_.trace("a worker is dead");
  network_.drop(*workers_[at]);
  workers_[at].reset();
  world_.after(world_.draw(100ms, calm_ ? 1s : 5s), [this, at] { start_worker(at); });
}

// --- Faults ------------------------------------------------------------------------------------------------------

void Brokered::repeat(double per_second, std::function<void()> fault) {
  if (per_second == 0) return;
  const Duration pause = from_seconds(world_.random().exponential(1 / per_second));
  world_.after(pause, [this, per_second, fault = std::move(fault)]() mutable {
    if (calm_) return;
    ++outcome_.faults;
    fault();
    repeat(per_second, std::move(fault));
  });
}

void Brokered::plan_faults() {
  repeat(scenario_.cuts, [this] {
    const auto connections = network_.connections();
    if (!connections.empty()) connections[world_.random().below(connections.size())]->cut();
  });
  repeat(scenario_.partitions, [this] {
    if (broker_ == nullptr) return;
    const std::size_t one = world_.random().below(client_count() + workers_.size());
    const Process* const process = one < client_count() ? client(one) : workers_[one - client_count()].get();
    if (process != nullptr) network_.partition(broker_->name(), process->name(), world_.draw(10ms, 8s));
  });
  repeat(scenario_.crashes, [this] {
    const std::size_t at = world_.random().below(workers_.size());
    if (workers_[at] != nullptr) lose_worker(at);
  });
  plan_client_faults();
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

void Brokered::calm_down() {
  if (std::exchange(calm_, true)) return;
  world_.trace("no more faults");
  network_.calm();
}

// --- What must hold ----------------------------------------------------------------------------------------------

void Brokered::run_until(const std::function<bool()>& over, Duration end, const std::string& else_what) {
  while (!over()) {
    require(world_.step(), "nothing will ever happen again, and the jobs are not over");
    if (world_.now() - TimePoint{} > end) throw Violation{else_what + state()};
    require(world_.steps() < steps_max, "so much happens that it can only be going round in circles");
    if (!world_.has_one_left()) continue;
    replace_clients();
    for (std::size_t at = 0; at < workers_.size(); ++at)
      if (workers_[at] != nullptr && workers_[at]->exited()) lose_worker(at);
  }
}

std::string Brokered::state() const {
  if (broker_ == nullptr) return "; there is no broker";
  std::string text;
  for (const JobState& job : broker_->dispatcher().report(world_.now()).jobs) text += "; " + state_of(job);
  return text;
}

bool Brokered::idle() const {
  return nothing_kept() && std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) {
           return worker == nullptr || worker->session().held_tasks() == 0;
         });
}

}  // namespace ventile::simulation
