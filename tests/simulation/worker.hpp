// A worker: the real Session and Outbox, driven as worker.cpp drives them, over simulated sockets and slots.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <ventile/queue/session.hpp>

#include "tests/simulation/network.hpp"
#include "tests/simulation/runner.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/wire.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

class Worker : public Process {
public:
  // `die` kills it, from outside and a little later.
  Worker(Network& network, const Scenario& scenario, Fates& fates, std::string name, std::uint64_t identity,
         std::function<void()> die);

  void start();
  void drain();
  void stick(Duration duration);
  // Since when its slots have stood still; nothing if they do not.
  std::optional<TimePoint> stuck_since() const { return now() < stuck_until_ ? stuck_since_ : std::nullopt; }

  const Session& session() const { return session_; }
  // What must hold of it at any time.
  void check() override;

protected:
  void turn() override;

private:
  struct SinkLink {
    std::unique_ptr<Connector> connector;
    std::deque<Buffer> queue;
  };

  Network& network_;
  const Scenario& scenario_;
  IncarnationId incarnation_;
  Session session_;
  Runner runner_;
  Wire wire_;
  Connector dispatcher_;
  std::deque<Buffer> to_dispatcher_;
  std::map<IncarnationId, SinkLink> sinks_;
  std::set<IncarnationId> unwanted_sinks_;
  std::map<JobId, bool> folded_;
  std::map<ResultId, Buffer> kept_;
  std::uint64_t sequence_ = 0;
  std::optional<TimePoint> stuck_since_;
  TimePoint stuck_until_{};

  static SessionOptions session_options(const Scenario& scenario, const std::string& name, std::uint64_t identity);
  void tick();
  void on_frame(Bytes frame);
  void on_runner(std::vector<RunnerEvent> events);
  void on_event(const Finished& finished);
  void on_event(const Retry& retry);
  void on_event(const Returned& returned);
  void on_event(const SlotAbandoned& abandoned);

  void carry_out();
  void act(const Session::Say& say);
  void act(const Session::PrepareJob& prepare);
  void act(const Session::Start& start);
  void act(const Session::TakeBack& take);
  void act(const Session::TakeBackAll&);
  void act(const Session::CancelLease& cancel);
  void act(const Session::CancelJob& cancel);
  void act(const Session::ForgetJob& forget);
  void act(const Session::ConnectSink& connect);
  void act(const Session::DisconnectSink& disconnect);
  void act(const Session::DropResult& drop);
  void act(const Session::Leave& leave);
  void act(const Notice& notice);

  void flush_to_dispatcher();
  void send_results();
  bool flush(SinkLink& link);
};

// The payload of a task's result, and of several folded into one: how many, and the sum of their values.
void write_value(const Scenario& scenario, Number number, Buffer& out);
void write_fold(const Scenario& scenario, Range range, Buffer& out);
void write_failure(Buffer& out);

}  // namespace ventile::simulation
