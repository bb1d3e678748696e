// One run of a whole fabric, from its seed to its end: the same seed is the same run, event by event.
#pragma once

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/sink.hpp"
#include "tests/simulation/ventilator.hpp"
#include "tests/simulation/worker.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

struct Report {
  std::uint64_t steps = 0;
  std::uint64_t faults = 0;
  std::uint64_t deaths = 0;    // Of workers, for whatever reason.
  std::uint64_t restarts = 0;  // Of ventilators and sinks that came back to their disks.
  double virtual_seconds = 0;
  std::uint64_t tasks = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t innocent_dead = 0;  // Given up though they kill nobody: too many workers died around them.
};

class Simulation {
public:
  explicit Simulation(std::uint64_t seed, std::ostream* trace = nullptr);

  // Throws Violation if something that must hold does not.
  Report run();

private:
  struct Member {
    std::string name;
    std::shared_ptr<Worker> worker;  // None: it is down, and will be back.
  };

  Scenario scenario_;
  Fates fates_;
  World world_;
  Network network_;
  JobDisk job_disk_;
  SinkDisk sink_disk_;
  std::shared_ptr<Ventilator> ventilator_;  // None: it is down, and will be back; so is
  std::shared_ptr<Sink> sink_;
  std::vector<Member> members_;
  std::uint64_t identities_ = 0;
  bool calm_ = false;
  TimePoint calm_since_ = never;
  bool sink_died_ = false;
  std::uint64_t lives_ = 0;  // Of the ventilator.
  Report report_;

  void start();
  void start_worker(std::size_t index);
  void start_sink();
  void start_ventilator();
  void lose_worker(std::size_t index);
  void replace_who_left();

  // Faults.
  void plan_faults();
  void repeat(double per_second, void (Simulation::*fault)());
  void cut();
  void part();
  void pause();
  void crash();
  void depart();
  void stick();
  void kill_sink();
  void crash_sink();
  void crash_ventilator();
  void stall();
  void calm_down();
  Process* some_process();
  std::size_t some_member() { return world_.random().below(members_.size()); }

  // What must hold.
  void check();
  bool idle() const;
  std::string state() const;  // Of the job, in words.
  void check_stuck(const Worker& worker) const;
  void check_end();
  void check_outcome(Number number, Outcome outcome);
};

}  // namespace ventile::simulation
