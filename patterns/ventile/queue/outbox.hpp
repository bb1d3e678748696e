// The results that a worker keeps until the sink's verdict has come back, and when to send them again.
//
//            finished            sent              verdict on every number
//   [running] -----> [waiting] --------> [on its way] --------------> gone
//                        ^                    |
//                        '--------------------'
//             connection lost, new sink, overdue while others were acknowledged
//
// Sending a result again is cheaper than running its tasks again, and the sink counts it once whatever happens.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// Names a kept result between Outbox and its driver, which keeps the bytes.
using ResultId = Id<struct ResultTag>;

struct OutboxOptions {
  Duration overdue =
      std::chrono::seconds{1};  // Without a verdict for so long while later ones came: sent again. Doubles.
};

// Pure and not thread-safe, like every decider.
class Outbox {
public:
  explicit Outbox(OutboxOptions options = {}) : options_(options) {}

  // Tasks have finished; their result takes `bytes`. It waits until the job has a route.
  ResultId add(JobId job, LeaseId lease, Range range, std::uint64_t bytes, TimePoint now);

  // The job's results go to this sink from now on. What has no verdict yet is to be sent to it (again).
  void on_route(JobId job, IncarnationId sink);
  // Verdicts may have been lost: what has none is to be sent again.
  void send_again(JobId job);
  // The connection to the sink broke: nobody knows what arrived.
  void on_disconnected(IncarnationId sink);
  // The sink decided on some numbers of a lease. Returns the results that are thereby done with.
  std::vector<ResultId> on_verdict(JobId job, LeaseId lease, Range range, TimePoint now);
  // The job is over or unknown: its results are of no use to anybody.
  std::vector<ResultId> forget(JobId job);
  // Nobody wants these numbers of a lease that its dispatcher does not know.
  std::vector<ResultId> forget(JobId job, LeaseId lease, Range range);

  struct Send {
    ResultId result;
    JobId job;
    IncarnationId sink;
  };
  // The next result to hand to the transport, oldest first, for a sink that has room; it counts as on its way. None if
  // none waits: a sink that takes nothing holds up no other.
  using HasRoom = std::function<bool(IncarnationId sink)>;
  std::optional<Send> next(
      TimePoint now, const HasRoom& has_room = [](IncarnationId) { return true; });
  // The transport had no room for it after all; it waits at the front again.
  void put_back(ResultId result);
  // Marks overdue results as waiting again.
  void on_tick(TimePoint now);

  std::vector<HeldRange> held() const;  // For HELLO.
  bool holds(LeaseId lease) const { return by_lease_.contains(lease); }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t tasks() const { return tasks_; }
  std::size_t waiting() const { return waiting_.size(); }  // Results that are to be sent.
  bool empty() const { return entries_.empty(); }
  std::uint64_t resent() const { return resent_; }

private:
  struct Entry {
    JobId job;
    LeaseId lease;
    IntervalSet open;  // Numbers without a verdict.
    std::uint64_t bytes = 0;
    std::uint32_t sends = 0;
    bool waiting = true;
    TimePoint sent;
  };
  struct Route {
    IncarnationId sink;
    TimePoint last_verdict_sent = TimePoint::min();  // When the latest acknowledged result had been sent.
  };

  OutboxOptions options_;
  std::map<ResultId, Entry> entries_;
  std::unordered_map<LeaseId, std::vector<ResultId>> by_lease_;
  std::unordered_map<JobId, Route> routes_;
  std::map<ResultId, JobId> waiting_;
  std::uint64_t counter_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t tasks_ = 0;
  std::uint64_t resent_ = 0;

  void wait_again(ResultId id, Entry& entry);
  void erase(std::map<ResultId, Entry>::iterator it);
};

}  // namespace ventile
