// A ventilator: the real Dispatcher, driven as ventilator.cpp drives it, and an input that comes in bits. Or a broker,
// as broker.cpp drives it, whose clients bring the input.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/keeper.hpp>

#include "tests/simulation/disk.hpp"
#include "tests/simulation/network.hpp"
#include "tests/simulation/scenario.hpp"
#include "tests/simulation/wire.hpp"
#include "tests/simulation/world.hpp"

namespace ventile::simulation {

class Ventilator : public Process {
public:
  static constexpr JobId job{7, 7};

  // `disk` outlives it. Each life has another number.
  Ventilator(Network& network, const Scenario& scenario, JobDisk& disk, std::uint64_t life);
  // A broker: it has no job of its own. Only one life at a time. `disk` outlives it, and is used if `options.durable`.
  Ventilator(Network& network, const Scenario& scenario, const DispatcherOptions& options, BrokerDisk& disk,
             std::uint64_t life);

  void start();
  void cancel();
  void stall(Duration duration) { stalled_until_ = now() + duration; }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  bool offered_all() const { return offered_ == scenario_.tasks; }
  const std::optional<JobClosed>& closed() const { return closed_; }
  const std::optional<JobFailed>& failed() const { return failed_; }
  const IntervalSet& settled() { return settled_[job]; }
  // What must hold of it, after every turn.
  void check() override;

protected:
  void turn() override;

private:
  struct Peer {
    explicit Peer(std::size_t frame_bytes_max) : wire(frame_bytes_max) {}
    std::shared_ptr<Connection> connection;
    Wire wire;
    std::uint64_t sequence = 0;
  };

  Network& network_;
  const Scenario& scenario_;
  JobDisk* disk_;            // None: a broker.
  BrokerDisk* broker_disk_;  // None: no broker, or not a durable one.
  IncarnationId incarnation_;
  Dispatcher dispatcher_;
  Wire out_;
  std::map<PeerId, Peer> peers_;
  std::map<Connection*, PeerId> ids_;
  std::uint64_t next_peer_ = 0;
  std::uint64_t offered_ = 0;
  bool cancelled_ = false;
  std::map<JobId, IntervalSet> settled_;
  ClientJobs client_jobs_;          // Broker.
  std::unique_ptr<Keeper> keeper_;  // Of a durable broker.
  struct Awaited {                  // An entry of the journal that the keeper waits for.
    std::size_t entry = 0;
    JobId job;
    std::uint64_t token = 0;
  };
  std::deque<Awaited> awaited_;
  const Received* received_ = nullptr;  // Broker: the message that is being handled.
  IntervalSet told_;                    // What the sink has said that it has.
  SinkCredit credit_;                   // The most it has granted.
  Suspects suspects_;                   // As far as this life has noted them.
  std::optional<JobClosed> closed_;
  std::optional<JobFailed> failed_;
  std::optional<TimePoint> tick_;
  bool syncing_ = false;
  std::uint64_t last_token_ = 0;  // Broker.
  std::uint64_t turns_ = 0;
  TimePoint stalled_until_{};

  void note(const Received& received);
  void require_allowed(Range range) const;
  void require_remembered(const Tasks& tasks) const;
  void require_brought(JobId id, Range range) const;
  void require_safe(const Send& say);
  void require_kept(JobId id, Range range);
  KeeperHandlers keeper_handlers();
  void start_keeper();
  void take_results(const std::shared_ptr<Connection>& connection);
  void resume();
  void sync();
  void resume_clients();
  void write(std::optional<ClientJobs::Entry> entry);
  template <class Entry>
  void sync(DiskLog<Entry>& log);
  void read_input();
  void offer(std::uint64_t count);
  void tick();
  void schedule();
  void accept(const std::shared_ptr<Connection>& connection);
  PeerId peer_of(const std::shared_ptr<Connection>& connection);
  void send(PeerId to, const Envelope& envelope, std::vector<Buffer> frames);

  void carry_out();
  void act(const Send& send);
  void act(const SendTasks& send);
  void act(const Forget& forget);
  void act(const Settled& settled);
  void act(const JobClosed& closed);
  void act(const JobFailed& failed);
  void act(const Keep& keep);
  void act(const JobForgotten& forgotten);
  void act(const Persist& persist);
  void act(const JobResumed& resumed);
  void act(const Keeping& keeping);
  void act(const Notice& notice);
};

}  // namespace ventile::simulation
