// What one run is about, all of it drawn from its seed: the job, who works for it, and what goes wrong.
#pragma once

#include <cstdint>
#include <string>

#include <ventile/queue/collector.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/session.hpp>

#include "tests/simulation/network.hpp"

namespace ventile::simulation {

// What a task does when it is run.
enum class Nature : std::uint8_t { good, fails_once, fails, poisonous, hangs };

struct Scenario {
  explicit Scenario(std::uint64_t seed);

  std::uint64_t seed;

  // The job.
  std::uint64_t tasks = 0;
  bool index_job = false;
  bool folded = false;
  bool ordered = false;
  bool repeatable = true;
  bool fails_lost = false;  // What a lost worker may have begun never begins again.
  std::uint32_t tries_max = 1;
  Duration timeout{0};
  Duration typical{0};  // What a task takes, more or less.
  double spread = 0;    // Of the logarithm.
  double failing = 0;   // How many fail at first, and of these half for good.
  std::uint64_t poisonous = 0;
  std::uint64_t hanging = 0;
  std::uint64_t payload_bytes = 0;
  Duration input_interval{0};  // Between two chunks of input; 0: all at once.
  bool cancel = false;

  // The fabric.
  std::uint32_t workers = 1;
  std::uint32_t slots = 1;
  std::uint64_t worker_credit_tasks = 0;
  std::uint64_t worker_credit_bytes = 0;
  std::uint64_t sink_window_tasks = 0;
  std::uint64_t sink_window_bytes = 0;
  std::uint64_t ordered_window = 0;
  Duration sink_service{0};  // To take one message of results.
  std::size_t push_high_water = 0;
  std::size_t frame_bytes_max = 0;
  NetworkOptions network;

  // Faults, until they stop; each is how many a second.
  Duration faults_end{0};
  double cuts = 0;
  double partitions = 0;
  double pauses = 0;
  double crashes = 0;
  double departures = 0;
  double stucks = 0;       // A worker's slots stand still, and it goes on talking.
  bool sink_dies = false;  // Once, and a new one comes without a memory.

  // Whether ventilator and sink have disks, and come back to what is on them.
  bool durable = false;
  bool reread = true;      // The input can be read again.
  Duration disk_delay{0};  // Of one sync, at most.
  double ventilator_crashes = 0;
  double sink_crashes = 0;
  double stalls = 0;  // The disk is full for a while.

  // What is always the same of task `number`, however often it runs.
  Nature nature(Number number) const;
  std::uint64_t bytes(Number number) const;
  std::uint64_t value(Number number) const { return number * 3 + 1; }

  // Throws Violation if a task of its nature cannot end like that. Whether one that is none of its own doing may be
  // dead, lost or cancelled is for the caller to know.
  void require_outcome(Number number, Outcome outcome) const;

  std::string describe() const;

private:
  std::uint64_t hash(Number number, std::uint64_t salt) const;
};

}  // namespace ventile::simulation
