// A client: the real Submission, driven as client.cpp drives it, with jobs whose input comes in bits.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include <ventile/base/interval_set.hpp>
#include <ventile/queue/submission.hpp>

#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/sink.hpp"
#include "tests/simulation/wire.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

class Client : public Process {
public:
  struct Job {
    explicit Job(const Scenario& scenario) : output(scenario) {}
    SimulatedOutput output;
    IntervalSet payloads;  // Of tasks that may have to be offered (again).
    std::uint64_t tasks = 0;
    std::uint64_t submitted = 0;
    bool over = false;
    bool cancelled = false;  // Some of it.
  };

  Client(Network& network, const Scenario& scenario, std::string name, std::uint64_t identity);

  void start(std::uint64_t jobs);
  bool done() const;
  const std::map<JobId, Job>& jobs() const { return jobs_; }
  std::uint64_t duplicates() const { return submission_.duplicates(); }

protected:
  void turn() override;

private:
  Network& network_;
  const Scenario& scenario_;
  IncarnationId incarnation_;
  std::string address_;
  Submission submission_;
  Wire wire_;
  Connector dispatcher_;
  std::deque<Buffer> to_dispatcher_;
  ResultsInbox inbox_;
  std::map<JobId, Job> jobs_;
  std::map<FrameId, HeldResults> held_;
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;

  static SubmissionOptions submission_options(const Scenario& scenario, const std::string& name,
                                              const std::string& address, std::uint64_t identity);
  void open(JobId id);
  void read_input(JobId id);
  void cancel_some(JobId id);
  void tick();
  void accept(const std::shared_ptr<Connection>& connection);
  void take(Buffer frame);

  void carry_out();
  void act(const Submission::Say& say);
  void act(const Submission::SendOffer& offer);
  void act(const Submission::Deliver& deliver);
  void act(const Submission::DeliverOutcome& outcome);
  void act(const Submission::Release& release);
  void act(const Submission::DropPayloads& drop);
  void act(const Submission::Kept&) {}
  void act(const Submission::Whole&) {}
  void act(const Submission::Over& over);
  void act(const Submission::Answer&) {}
  void act(const Submission::Leave& leave);
  void act(const Notice& notice);
  void send(const Envelope& envelope, const Message& message, PayloadWriter&& payloads);
  void flush();
};

}  // namespace ventile::simulation
