// One job of a client as the threads of a program use it: tasks in, results out to whoever waits for them.
//
//   any thread ---- submit ----> port ---- posted, many at once ----> reactor: Client ----> broker
//   receivers  <--- results ---- port <------------------------------ reactor: Client <---- workers
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/base/range.hpp>
#include <ventile/compute/pieces.hpp>
#include <ventile/compute/task_error.hpp>
#include <ventile/queue/client.hpp>
#include <ventile/wire/pack.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile::detail {

// Waits for the results of consecutive tasks. Called on the reactor's thread, for each number once; must neither block
// nor throw.
class Receiver {
public:
  Receiver() = default;
  virtual ~Receiver() = default;
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  // Without results: these numbers are part of a folded value that was given with those before, or the broker keeps
  // their results.
  virtual void on_results(const Arrival& arrival) = 0;
  virtual void on_outcome(Range range, const TaskReport& report) = 0;
};

struct PortLimits {
  std::uint64_t tasks = std::uint64_t{1} << 20;   // Without an outcome. More wait in submit(), but not in a task.
  std::uint64_t bytes = std::uint64_t{64} << 20;  // Of their arguments.
};

// Any thread, unless it says otherwise.
class JobPort : public JobListener, public std::enable_shared_from_this<JobPort> {
public:
  JobPort(Reactor& reactor, Client& client, Submit specification, PortLimits limits);

  // One task; `pack` writes its payload and may throw, and then nothing has happened.
  Number submit(const std::function<void(Packer&)>& pack, std::shared_ptr<Receiver> receiver);
  // Many.
  Range submit(PayloadWriter&& payloads, std::shared_ptr<Receiver> receiver);
  // The tasks of an index job.
  Range submit_index(std::uint64_t count, std::shared_ptr<Receiver> receiver);
  // There will be no more.
  void complete();
  // What has no outcome yet of these numbers gets this one, now or at that time.
  void settle(Range range, Outcome outcome, std::string why);
  void settle_at(TimePoint when, Range range, Outcome outcome, std::string why);
  // Everything that has no outcome, and whatever comes later.
  void cancel_all(const std::string& why);

  // Of a kept job. Waits until the broker has all of it, after complete(); TaskError if it does not take it. And: has
  // nothing to do with the job any more, be it whole or not.
  void wait_until_kept();
  void leave(const std::string& why);
  bool is_kept() const { return specification_.kept; }

  // Tasks without an outcome, or of a kept job those that the broker has not.
  std::uint64_t open_tasks() const;
  void wait_until_idle();
  const std::string& function() const { return specification_.function; }
  TimePoint last_used() const;
  bool is_over() const { return is_over_; }  // Nothing more can be submitted. Does not wait for who packs a task.

  // On the reactor's thread. Does now what was asked for so far, as it would soon by itself.
  void carry_out();
  void on_results(const Arrival& arrival) override;
  void on_outcome(const Submission::DeliverOutcome& outcome) override;
  void on_kept(const Submission::Kept& kept) override;
  void on_over(const std::string& error) override;

private:
  struct Waiting {
    std::uint64_t count = 0;
    std::uint64_t left = 0;  // Without an outcome.
    std::uint64_t bytes = 0;
    std::shared_ptr<Receiver> receiver;
    IntervalSet settled;  // Of more than one.
  };
  struct Index {
    std::uint64_t count = 0;
  };
  struct End {};
  struct Leave {
    std::string why;
  };
  struct Settle {
    std::optional<TimePoint> when;
    Range range;
    Outcome outcome = Outcome::cancelled;
    std::string why;
  };
  using Order = std::variant<PayloadWriter, Index, End, Settle, Leave>;

  Reactor& reactor_;
  Client& client_;
  Submit specification_;
  PortLimits limits_;
  JobId job_;                      // Known to the reactor's thread only, once the job is open.
  std::uint64_t handed_over_ = 0;  // The reactor's: tasks of a kept job.
  Number given_ = 0;               // The same: tasks below have been given to the client.

  std::atomic<bool> is_over_ = false;

  mutable std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  std::vector<Order> orders_;
  std::map<Number, Waiting> waiting_;  // By first number.
  Number next_ = 0;
  std::uint64_t open_tasks_ = 0;
  std::uint64_t open_bytes_ = 0;
  TimePoint last_used_;
  bool posted_ = false;
  bool completed_ = false;
  bool kept_ = false;                // The broker has all of it.
  std::optional<std::string> over_;  // Why nothing more can be submitted.

  void wait_for_room(std::unique_lock<std::mutex>& lock);
  Range expect(std::uint64_t count, std::uint64_t bytes, std::shared_ptr<Receiver> receiver);
  void post(std::unique_lock<std::mutex>& lock);
  void tell_left(const std::map<Number, Waiting>& left, const std::string& why) const;
  void act(PayloadWriter& payloads);
  void act(Index& index);
  void act(End&);
  void act(Settle& settle);
  void act(Leave& leave);
  // Calls `tell` for each receiver of a part of the range, which has its outcomes now.
  void settle_part(Range range, const std::function<void(Receiver&, Range)>& tell);
};

}  // namespace ventile::detail
