// How many workers one dispatcher keeps busy: the real deciders, and messages that take time on their way and at
// whoever sends or receives them. Nothing fails here; what does is in simulation.hpp.
//
// Flat, every worker is a peer of the head, and sends its results to the one sink. With relays, a worker is a peer of
// its relay, which is to the head a worker of a few slots that work as fast as all of its own workers together: a relay
// takes batches as a Session does, offers their tasks to its Dispatcher, collects the results as a Collector does, and
// passes them on when it has all of a batch. So the head decides on few large batches, however many and small those of
// the workers are.
#pragma once

#include <cstdint>

#include <ventile/base/clock.hpp>

namespace ventile::simulation {

// What a process pays for its part in the conversation, on one thread. Measured, see bench/README.md.
struct ScaleCosts {
  Duration turn = std::chrono::microseconds{5};      // To wake and to look for what has come.
  Duration received = std::chrono::microseconds{5};  // For each message.
  Duration sent = std::chrono::microseconds{5};
};

struct ScaleOptions {
  std::uint32_t workers = 10;                            // Of one slot each.
  std::uint32_t relays = 0;                              // 0: flat. Else the workers are dealt out among so many.
  std::uint32_t relay_slots = 4;                         // Of each: of so many batches not all end at once.
  Duration relay_batch = std::chrono::milliseconds{40};  // How long one of the head's keeps such a slot.
  Duration link = std::chrono::milliseconds{1};          // One way, between any two processes.
  Duration task = std::chrono::milliseconds{10};  // Of one slot, on the average; between a half and one and a half.
  Duration run = std::chrono::seconds{2};         // So long they have work for, if nobody ever waits.
  std::uint64_t batches_max = 2'000'000;          // There is less work than that if it would be more batches.
  ScaleCosts costs;
  std::uint64_t seed = 1;
};

// All of the steady state: while the second, third and fourth fifth of the tasks got their outcomes.
struct ScaleReport {
  std::uint64_t tasks = 0;
  double seconds = 0;  // Virtual, of the whole job.
  double tasks_per_second = 0;
  double utilisation = 0;      // The part of the slots' time in which they ran tasks.
  double tasks_per_batch = 0;  // Of a worker.
  std::uint64_t requeued = 0;  // Batches that were given up: of workers who heard nothing for too long.
  double head_busy = 0;        // The part of its time in which the head's thread was busy.
  double sink_busy = 0;
  double relay_busy = 0;  // Of the relays together.
};

// Throws Violation if a task is lost or counted twice.
ScaleReport simulate_scale(const ScaleOptions& options);

}  // namespace ventile::simulation
