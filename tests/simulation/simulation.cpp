#include "tests/simulation/simulation.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration end_bound = 20min;  // After the last fault, everything is over by then.
constexpr std::uint64_t steps_max = 3'000'000;
constexpr Duration idle_bound = 150s;  // After the job, nobody holds anything by then.

}  // namespace

Simulation::Simulation(std::uint64_t seed, std::ostream* trace)
    : scenario_(seed), world_(seed, trace), network_(world_, scenario_.network) {}

Report Simulation::run() {
  if (world_.tracing()) world_.trace("seed " + std::to_string(scenario_.seed) + ": " + scenario_.describe());
  start();
  plan_faults();
  const auto over = [this] { return ventilator_ != nullptr && (ventilator_->closed() || ventilator_->failed()); };
  const TimePoint end = TimePoint{} + scenario_.faults_end + end_bound;
  while (!over()) {
    require(world_.step(), "nothing will ever happen again, and the job is not over");
    if (world_.now() >= end) throw Violation{"the job does not end: " + state()};
    check();
    replace_who_left();
  }
  report_.tasks = ventilator_->dispatcher().audit(Ventilator::job).submitted;
  calm_down();
  const TimePoint idle_end = world_.now() + idle_bound;
  while (!idle()) {
    require(world_.step(), "nothing will ever happen again, and somebody still holds something");
    require(world_.now() < idle_end, "the job is over, and somebody still holds something of it");
    check();
    replace_who_left();
  }
  check_end();
  report_.steps = world_.steps();
  report_.virtual_seconds = world_.seconds();
  return report_;
}

// --- Who takes part ----------------------------------------------------------------------------------------------

void Simulation::start() {
  world_.after(world_.draw(0s, 2s), [this] { start_ventilator(); });
  world_.after(world_.draw(0s, 2s), [this] { start_sink(); });
  members_.resize(scenario_.workers);
  for (std::size_t index = 0; index < members_.size(); ++index)
    world_.after(world_.draw(0s, 2s), [this, index] { start_worker(index); });
  if (scenario_.cancel)
    world_.after(world_.draw(2s, 10s), [this] {
      if (ventilator_ != nullptr) ventilator_->run([ventilator = ventilator_.get()] { ventilator->cancel(); });
    });
}

void Simulation::start_ventilator() {
  ventilator_ = std::make_shared<Ventilator>(network_, scenario_, job_disk_, ++lives_);
  ventilator_->start();
}

void Simulation::start_worker(std::size_t index) {
  const std::uint64_t identity = ++identities_;
  Member& member = members_[index];
  member.name = "worker-" + std::to_string(identity);
  const auto die = [this, index, identity] {
    world_.after(0s, [this, index, identity] {
      const Member& victim = members_[index];
      if (victim.worker != nullptr && victim.name == "worker-" + std::to_string(identity)) lose_worker(index);
    });
  };
  member.worker = std::make_shared<Worker>(network_, scenario_, fates_, member.name, identity, die);
  member.worker->start();
}

void Simulation::start_sink() {
  const std::uint64_t identity = ++identities_;
  sink_ = std::make_shared<Sink>(network_, scenario_, sink_disk_, "sink-" + std::to_string(identity), identity);
  sink_->start();
}

void Simulation::lose_worker(std::size_t index) {
  Member& member = members_[index];
  if (world_.tracing()) world_.trace(member.name + ": is dead");
  ++report_.deaths;
  network_.drop(*member.worker);
  member.worker.reset();
  world_.after(calm_ ? world_.draw(100ms, 1s) : world_.draw(100ms, 5s), [this, index] { start_worker(index); });
}

void Simulation::replace_who_left() {
  if (!world_.has_one_left()) return;
  for (std::size_t index = 0; index < members_.size(); ++index)
    if (members_[index].worker != nullptr && members_[index].worker->exited()) lose_worker(index);
}

// --- Faults ------------------------------------------------------------------------------------------------------

void Simulation::plan_faults() {
  if (scenario_.faults_end == 0s) return calm_down();
  repeat(scenario_.cuts, &Simulation::cut);
  repeat(scenario_.partitions, &Simulation::part);
  repeat(scenario_.pauses, &Simulation::pause);
  repeat(scenario_.crashes, &Simulation::crash);
  repeat(scenario_.departures, &Simulation::depart);
  repeat(scenario_.stucks, &Simulation::stick);
  repeat(scenario_.ventilator_crashes, &Simulation::crash_ventilator);
  repeat(scenario_.sink_crashes, &Simulation::crash_sink);
  repeat(scenario_.stalls, &Simulation::stall);
  if (scenario_.sink_dies) world_.after(world_.draw(0s, scenario_.faults_end), [this] { kill_sink(); });
  world_.after(scenario_.faults_end, [this] { calm_down(); });
}

void Simulation::repeat(double per_second, void (Simulation::*fault)()) {
  if (per_second == 0) return;
  world_.after(from_seconds(world_.random().exponential(1 / per_second)), [this, per_second, fault] {
    if (calm_) return;
    (this->*fault)();
    repeat(per_second, fault);
  });
}

Process* Simulation::some_process() {
  const std::uint64_t choice = world_.random().below(members_.size() + 2);
  if (choice < members_.size()) return members_[choice].worker.get();
  return choice == members_.size() ? static_cast<Process*>(ventilator_.get()) : sink_.get();
}

void Simulation::cut() {
  const auto connections = network_.connections();
  if (connections.empty()) return;
  ++report_.faults;
  connections[world_.random().below(connections.size())]->cut();
}

void Simulation::part() {
  const Process* a = some_process();
  const Process* b = some_process();
  if (a == nullptr || b == nullptr || a == b) return;
  ++report_.faults;
  const Duration duration = world_.draw(10ms, 8s);
  if (world_.tracing()) world_.trace("network: " + a->name() + " and " + b->name() + " are apart");
  network_.partition(a->name(), b->name(), duration);
}

void Simulation::pause() {
  Process* process = some_process();
  if (process == nullptr || process->paused()) return;
  ++report_.faults;
  process->pause();
  const std::weak_ptr<Process> life = process->weak_from_this();
  world_.after(world_.draw(10ms, 6s), [life] {
    if (const auto alive = life.lock()) alive->go_on();
  });
}

void Simulation::crash() {
  const std::size_t index = some_member();
  if (members_[index].worker == nullptr) return;
  ++report_.faults;
  lose_worker(index);
}

void Simulation::depart() {
  Worker* worker = members_[some_member()].worker.get();
  if (worker == nullptr) return;
  ++report_.faults;
  worker->run([worker] { worker->drain(); });
}

void Simulation::stick() {
  Worker* worker = members_[some_member()].worker.get();
  if (worker == nullptr || worker->stuck_since()) return;
  ++report_.faults;
  worker->stick(world_.draw(1s, 120s));
}

void Simulation::kill_sink() {
  if (calm_ || sink_ == nullptr) return;
  ++report_.faults;
  if (world_.tracing()) world_.trace(sink_->name() + ": is dead");
  network_.drop(*sink_);
  sink_.reset();
  sink_died_ = true;
  world_.after(world_.draw(0s, 5s), [this] { start_sink(); });
}

void Simulation::crash_sink() {
  if (sink_ == nullptr || sink_->exited()) return;
  ++report_.faults;
  ++report_.restarts;
  if (world_.tracing()) world_.trace(sink_->name() + ": is dead, and will be back");
  network_.drop(*sink_);
  sink_.reset();
  sink_disk_.crash(world_.random());
  world_.after(world_.draw(0s, 5s), [this] { start_sink(); });
}

// Not in the moment between the end of the job and that everybody knows: whoever starts it again is told that it is
// over, and so must be whoever waits for it.
void Simulation::crash_ventilator() {
  if (ventilator_ == nullptr || job_disk_.has(JobRecord::Kind::closed)) return;
  ++report_.faults;
  ++report_.restarts;
  world_.trace("ventilator: is dead, and will be back");
  network_.drop(*ventilator_);
  ventilator_.reset();
  job_disk_.journal.crash(world_.random());
  world_.after(world_.draw(0s, 5s), [this] { start_ventilator(); });
}

void Simulation::stall() {
  ++report_.faults;
  const Duration duration = world_.draw(100ms, 8s);
  if (sink_ != nullptr && world_.random().chance(0.5))
    sink_->stall(duration);
  else if (ventilator_ != nullptr)
    ventilator_->stall(duration);
}

void Simulation::calm_down() {
  if (std::exchange(calm_, true)) return;
  world_.trace("no more faults");
  calm_since_ = world_.now();
  network_.calm();
  if (ventilator_ != nullptr) ventilator_->go_on();
  if (sink_ != nullptr) sink_->go_on();
  for (const Member& member : members_)
    if (member.worker != nullptr) member.worker->go_on();
}

// --- What must hold ----------------------------------------------------------------------------------------------

void Simulation::check() {
  require(world_.steps() < steps_max, "so much happens that it can only be going round in circles");
  if (!calm_ || world_.steps() % 16 != 0) return;  // Time must pass before anybody is stuck for too long.
  for (const Member& member : members_)
    if (member.worker != nullptr) check_stuck(*member.worker);
}

// A lease must be earned: whoever gets nothing done for long has lost it, however alive it is.
void Simulation::check_stuck(const Worker& worker) const {
  constexpr Duration slack = 4s;
  const auto since = worker.stuck_since();
  if (!since || ventilator_ == nullptr || !calm_) return;
  const DispatcherOptions options;
  // What has not begun waits for what runs, which has its time-out.
  const Duration limit = scenario_.timeout + std::max(options.lease, scenario_.timeout + options.lease / 2) + slack;
  if (ventilator_->closed() || ventilator_->failed() || world_.now() - *since < limit ||
      world_.now() - calm_since_ < slack)
    return;
  const Account& account = ventilator_->dispatcher().account(Ventilator::job);
  for (const LeaseId id : account.leases_of(worker.session().id())) {
    const Lease& lease = *account.find(id);
    require(lease.finished_since || world_.now() - lease.granted < limit, "who gets nothing done keeps its tasks");
  }
}

std::string Simulation::state() const {
  if (ventilator_ == nullptr) return "there is no ventilator";
  const Audit audit = ventilator_->dispatcher().audit(Ventilator::job);
  return std::to_string(audit.queued) + " queued, " + std::to_string(audit.delayed) + " delayed, " +
         std::to_string(audit.leased) + " leased, " + std::to_string(audit.awaiting) + " awaiting, " +
         std::to_string(audit.settled()) + " settled; " + ventilator_->dispatcher().why_waiting(Ventilator::job);
}

bool Simulation::idle() const {
  const bool workers_idle = std::all_of(members_.begin(), members_.end(), [](const Member& member) {
    return member.worker == nullptr || member.worker->session().held_tasks() == 0;
  });
  return workers_idle && (ventilator_->failed() || (sink_ != nullptr && sink_->exited()));
}

void Simulation::check_end() {
  const Audit audit = ventilator_->dispatcher().audit(Ventilator::job);
  if (const auto& failed = ventilator_->failed()) {
    if (!sink_died_) throw Violation{"the job failed without a reason: " + failed->message};
    require(failed->lost == audit.settled(), "it lost another number of results than it had settled");
    return;
  }
  const Range all{0, audit.submitted};
  require(scenario_.cancel || audit.submitted == scenario_.tasks, "the job ended before its input");
  require(audit.settled() == audit.submitted, "the job ended with a task that has no outcome");
  require(ventilator_->settled().count() == audit.submitted && ventilator_->settled().contains(all),
          "not everything was settled");
  const SimulatedOutput& output = sink_->output();
  require(sink_->left_well() && output.closed(), "the sink did not end well");
  require(output.written().count() == audit.submitted && output.written().contains(all), "not everything was written");
  require(sink_->collector().ledger().settled() == output.written(), "the sink's ledger is not what it has written");
  for (std::size_t i = 0; i < outcome_count; ++i) {
    const auto outcome = static_cast<Outcome>(i);
    const std::uint64_t written = output.count(outcome);
    const std::string name{to_string(outcome)};
    if (audit.outcomes[i] != written || ventilator_->closed()->report.outcomes[i] != written)
      throw Violation{"the dispatcher counts " + std::to_string(audit.outcomes[i]) + " tasks as " + name + ", CLOSED " +
                      std::to_string(ventilator_->closed()->report.outcomes[i]) + ", the output " +
                      std::to_string(written)};
  }
  for (Number number = 0; number < audit.submitted; ++number) {
    const auto failure = output.failures().find(number);
    check_outcome(number, failure == output.failures().end() ? Outcome::done : failure->second);
  }
  report_.duplicates = ventilator_->closed()->report.duplicates;
}

void Simulation::check_outcome(Number number, Outcome outcome) {
  const Nature nature = scenario_.nature(number);
  if (outcome == Outcome::lost)
    return require(scenario_.fails_lost && report_.deaths + report_.faults > 0, "a task is lost, but no worker is");
  if (outcome == Outcome::cancelled) return require(scenario_.cancel, "a task is cancelled, but nobody cancelled");
  if (outcome == Outcome::dead && nature != Nature::poisonous) {
    ++report_.innocent_dead;
    // Its worker died while it ran there alone. Poison cannot have done it, for that stood in no other's batch.
    return require(report_.faults >= DispatcherOptions{}.max_crashes, "an innocent task is dead");
  }
  scenario_.require_outcome(number, outcome);
  if (nature == Nature::fails)
    require(fates_.failures[number] >= scenario_.tries_max, "a task has failed before it was tried as often as it may");
}

}  // namespace ventile::simulation
