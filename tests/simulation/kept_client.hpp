// One life of a client of a kept job: the real Submission, driven as client.cpp drives it. It brings the job's tasks,
// unless the broker has all of them, and then leaves or fetches the results.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include <ventile/queue/submission.hpp>

#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/sink.hpp"
#include "tests/simulation/wire.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

// What outlives the lives of its clients.
struct KeptJob {
  std::string name;
  std::uint64_t tasks = 0;
  bool handed_over = false;        // Some client was told that the broker has all of it.
  bool safe = false;               // Some client had all results.
  bool over = false;               // And was told that the broker keeps them no more.
  std::map<Number, Outcome> seen;  // By any client.
};

class KeptClient : public Process {
public:
  KeptClient(Network& network, const Scenario& scenario, KeptJob& job, std::uint64_t identity);

  void start();
  std::uint64_t duplicates() const { return submission_.duplicates(); }

protected:
  void turn() override;

private:
  const Scenario& scenario_;
  KeptJob& job_;
  IncarnationId incarnation_;
  Submission submission_;
  Wire wire_;
  Connector dispatcher_;
  std::deque<Buffer> to_dispatcher_;
  SimulatedOutput output_;
  std::map<FrameId, HeldResults> held_;
  std::uint64_t submitted_ = 0;
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;

  JobId bringing() const { return {incarnation_.value, 1}; }
  JobId fetching() const { return {incarnation_.value, 2}; }
  void submit();
  void read_input();
  void fetch();
  void tick();
  void hear(Bytes frame);
  void take(const Received& received);
  void see(Number number, Outcome outcome);

  void carry_out();
  void act(const Submission::Say& say);
  void act(const Submission::SendOffer& offer);
  void act(const Submission::Deliver& deliver);
  void act(const Submission::DeliverOutcome& outcome);
  void act(const Submission::Release& release) { held_.erase(release.frame); }
  void act(const Submission::DropPayloads&) {}
  void act(const Submission::Kept& kept);
  void act(const Submission::Whole& whole);
  void act(const Submission::Over& over);
  void act(const Submission::Answer&) {}
  void act(const Submission::Leave& leave) { throw Violation{"a client left: " + leave.why}; }
  void act(const Notice& notice);
  void send(const Envelope& envelope, const Message& message, PayloadWriter&& payloads);
  void flush();
};

}  // namespace ventile::simulation
