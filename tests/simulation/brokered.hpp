// A broker and its workers on a simulated network, and what befalls them. Who its clients are is a subclass's business.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tests/simulation/clients.hpp"
#include "tests/simulation/disk.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/ventilator.hpp"
#include "tests/simulation/worker.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

class Brokered {
public:
  virtual ~Brokered() = default;
  Brokered(const Brokered&) = delete;
  Brokered& operator=(const Brokered&) = delete;

  // Until every job is over and nobody holds anything any more. Throws Violation.
  ClientsOutcome run();

protected:
  Brokered(Scenario about, std::uint64_t seed, std::ostream* trace);

  // --- The clients ---

  virtual void start_clients() = 0;
  virtual std::size_t client_count() const = 0;
  virtual const Process* client(std::size_t at) const = 0;  // None: it will be back.
  virtual void replace_clients() {}                         // That have left.
  virtual void plan_client_faults() = 0;
  virtual bool jobs_over() const = 0;
  virtual bool nothing_kept() const { return true; }
  // For whoever reads why the jobs do not end.
  virtual std::string state_of(const JobState& job) const = 0;
  virtual void check_end() = 0;

  // One of three values, as options are drawn.
  std::uint64_t one_of(std::uint64_t a, std::uint64_t b, std::uint64_t c);
  // Again and again until it is calm, so often on the average.
  void repeat(double per_second, std::function<void()> fault);
  void lose_worker(std::size_t at);

  Scenario scenario;
  Fates fates;
  World world;
  Network network;
  DispatcherOptions options;
  double broker_crashes = 0;
  BrokerDisk disk;
  std::shared_ptr<Ventilator> broker;  // None: it is down, and will be back.
  std::vector<std::shared_ptr<Worker>> workers;
  std::uint64_t identities = 0;
  std::uint64_t deaths = 0;  // Of workers, by poison.
  bool calm = false;
  ClientsOutcome report;

private:
  std::uint64_t lives_ = 0;

  void start();
  void start_broker();
  void start_worker(std::size_t at);
  void plan_faults();
  void calm_down();
  void run_until(const std::function<bool()>& over, Duration end, const std::string& else_what);
  std::string state() const;
  bool idle() const;
};

}  // namespace ventile::simulation
