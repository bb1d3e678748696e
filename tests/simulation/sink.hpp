// A sink: the real Collector, driven as sink.cpp drives it, and an output that knows what belongs into it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ventile/base/interval_set.hpp>
#include <ventile/queue/collector.hpp>

#include "tests/simulation/disk.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/wire.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

// What was written: every number at most once, in order if that was asked for, and with the right contents.
class SimulatedOutput {
public:
  explicit SimulatedOutput(const Scenario& scenario) : scenario_(scenario) {}

  void write(Number number, Outcome outcome, Bytes payload);
  void combine(Range range, Bytes folded);  // The folded value of these.
  void add(Number number, Bytes value);     // One value, to be folded here.
  void close();

  bool closed() const { return closed_; }
  const IntervalSet& written() const { return written_; }
  std::uint64_t count(Outcome outcome) const { return outcomes_[static_cast<std::size_t>(outcome)]; }
  const std::map<Number, Outcome>& failures() const { return failures_; }

private:
  const Scenario& scenario_;
  IntervalSet written_;
  Number next_ = 0;
  std::uint64_t sum_ = 0;           // Of what was folded.
  std::uint64_t expected_sum_ = 0;  // Of the values that should have been.
  std::map<Number, Outcome> failures_;
  std::array<std::uint64_t, outcome_count> outcomes_{};
  bool closed_ = false;

  void record(Number number, Outcome outcome);
};

class Sink : public Process {
public:
  // `disk` outlives it.
  Sink(Network& network, const Scenario& scenario, SinkDisk& disk, std::string name, std::uint64_t identity);

  void start();
  const Collector& collector() const { return *collector_; }
  const SimulatedOutput& output() const { return output_; }
  bool left_well() const { return left_well_; }
  void stall(Duration duration) { stalled_until_ = now() + duration; }
  // What must hold of it, after every turn.
  void check() override;

protected:
  void turn() override;

private:
  Network& network_;
  const Scenario& scenario_;
  SinkDisk& disk_;
  IncarnationId incarnation_;
  std::string address_;
  std::unique_ptr<Collector> collector_;
  SimulatedOutput output_;
  Wire wire_;
  Connector dispatcher_;
  std::deque<Buffer> to_dispatcher_;
  std::deque<Callback> unread_;  // Frames of results, and who sent them.
  bool serving_ = false;
  ResultsInbox inbox_;
  std::map<FrameId, HeldResults> held_;
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;
  bool left_well_ = false;
  bool syncing_ = false;
  TimePoint stalled_until_{};
  std::vector<KeptFrame> folded_;  // All that was combined, as a snapshot has it.

  void restore();
  void restore(const SinkDisk::Entry& entry);
  FrameId keep(HeldResults held);
  void combine(const Results& results, Range range, bool write);
  void write(Number number, Outcome outcome, Bytes payload);
  void sync();
  void write_snapshot();
  void require_safe(const Message& message);
  void tick();
  void accept(const std::shared_ptr<Connection>& connection);
  void serve();
  void take(Buffer frame);

  void carry_out();
  void act(const Collector::Say& say);
  void act(const Collector::OpenOutput&);
  void act(const Collector::Write& write);
  void act(const Collector::WriteOutcome& write);
  void act(const Collector::Combine& combine);
  void act(const Collector::Persist& persist);
  void act(const Collector::Release& release);
  void act(const Collector::Finalise&);
  void act(const Collector::Leave& leave);
  void act(const Notice& notice);
  void flush();
};

}  // namespace ventile::simulation
