// The worker's side of the conversation: hello, credit, what to run, what to hand back, when to leave.
//
//               HELLO            WELCOME                 drain()          nothing left
//   [greeting] ------> [greeting] -----> [open] -------------------> [draining] ------> [gone]
//        ^                                 |  HELLO-AGAIN, silence      |
//        '---------------------------------'----------------------------'
//
// What was leased in an earlier session stays: running tasks go on, finished results are kept, and the next HELLO
// lists both. The life of a result is in outbox.hpp.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/queue/liveness.hpp>
#include <ventile/queue/notice.hpp>
#include <ventile/queue/outbox.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct SessionOptions {
  NodeId node;
  IncarnationId incarnation;
  std::string name;
  std::string build;
  MachineId machine;  // None: nothing is lent to it.
  std::uint32_t slots = 1;
  std::vector<FunctionOffer> functions;
  std::uint64_t credit_tasks = std::uint64_t{1} << 32;   // Tasks held at once, running or kept. Those of an index job
                                                         // take no memory; payloads are limited by their bytes.
  std::uint64_t credit_bytes = std::uint64_t{64} << 20;  // Of payloads received for them.
  std::uint64_t kept_bytes_max = std::uint64_t{256} << 20;  // Of results; above it no more credit is given.
  Duration hello_interval = std::chrono::seconds{1};        // Doubles while nobody answers.
  Duration hello_interval_max = std::chrono::seconds{8};
  bool once = false;  // Leave when a job that was worked for is over.
  // What runs goes on without a dispatcher, for one that comes back. With this it is stopped and forgotten when the
  // dispatcher leaves, is silent, or is not heard again so soon after its connection broke: nothing outlives the one
  // who wanted it.
  bool stop_when_alone = false;
  Duration alone_grace = std::chrono::seconds{2};
  OutboxOptions outbox;
};

// A task that runs now, as the driver sees its slots.
struct RunningTask {
  JobId job;
  LeaseId lease;
  Number number = 0;
  Duration running{0};
  std::optional<Milestone> milestone = std::nullopt;
};

class Session {
public:
  // --- Actions ---

  // Send this to the dispatcher, in this session. If the transport has no room, keep it and go on.
  struct Say {
    JobId job;
    SessionId session;
    Message message;
  };
  // The job exists; find its function and fold. Answer with on_job_refused() if there is none.
  struct PrepareJob {
    JobId job;
    Open open;
  };
  // Run what has just come in as TASKS.
  struct Start {
    JobId job;
    LeaseId lease;
    Range range;
    std::uint32_t tries = 0;
  };
  // Take back what has not begun of the lease, at most `count` tasks, and call on_retracted().
  struct TakeBack {
    JobId job;
    LeaseId lease;
    std::uint64_t count = 0;
  };
  struct TakeBackAll {};  // Everything that has not begun; call on_retracted() for each lease.
  // Stop what runs and drop what has not begun; reported through the on_… functions as it ends.
  struct CancelLease {
    LeaseId lease;
    Range range;
  };
  struct CancelJob {
    JobId job;
  };
  struct ForgetJob {  // After CancelJob: nothing of it is wanted any more.
    JobId job;
  };
  // Results for this sink go to this address.
  struct ConnectSink {
    IncarnationId sink;
    std::string address;
    MachineId machine;
  };
  struct DisconnectSink {
    IncarnationId sink;
  };
  struct DropResult {
    ResultId result;
  };
  enum class Ending : std::uint8_t { done, hung, refused, version_mismatch };
  // The worker is finished: leave.
  struct Leave {
    Ending ending = Ending::done;
    std::string why;
  };
  using Action = std::variant<Say, PrepareJob, Start, TakeBack, TakeBackAll, CancelLease, CancelJob, ForgetJob,
                              ConnectSink, DisconnectSink, DropResult, Leave, Notice>;
  using Actions = std::vector<Action>;

  explicit Session(SessionOptions options);

  // --- What happens ---

  void start(TimePoint now);
  void on_message(const Received& received, TimePoint now);
  void on_part(TimePoint now) { liveness_.on_heard(now); }  // A piece of a message: the dispatcher lives.
  void on_disconnected(TimePoint now);
  // A message that was lent to this worker cannot be read: it is lost, and what follows shall not be lent. Only once;
  // notes that come later are passed over.
  void on_unreadable(const Error& error, TimePoint now);
  bool borrows() const { return bool{options_.machine}; }
  void on_malformed(const Error& error, std::optional<std::uint16_t> version, TimePoint now);
  void on_tick(TimePoint now, const std::vector<RunningTask>& running);
  TimePoint next_tick() const;

  // What the runner says. Each number of a Start comes in exactly one of these.
  // Returns the name under which to keep the result, or none if it is not wanted: `failures` of its tasks failed, and
  // a task that was told to stop has not failed.
  ResultId on_finished(JobId job, LeaseId lease, Range range, std::uint64_t bytes, std::size_t failures, TimePoint now);
  void on_failed_try(JobId job, LeaseId lease, Number number, std::string kind, std::string message, TimePoint now);
  void on_retracted(JobId job, LeaseId lease, const std::vector<Range>& ranges, TimePoint now);  // Answers TakeBack.
  void on_cancelled(JobId job, LeaseId lease, Range range, TimePoint now);  // Never begun, because of a Cancel….
  void on_job_refused(JobId job, const std::string& why, TimePoint now);
  void on_waiting(std::uint64_t tasks);  // So many tasks wait for others, and need no slot.
  void on_slots_left(std::uint32_t slots, const std::string& why, TimePoint now);

  // First SIGTERM: take nothing more, hand back what has not begun, finish what runs, see it acknowledged, leave.
  void drain(TimePoint now);
  // Second one: stop what runs too.
  void abandon(TimePoint now);
  // The deadline of a drain has passed: say goodbye and leave what is left.
  void leave_now(TimePoint now);

  // What came with tasks of this lease that hold the range; none if nothing did.
  Seal seal_of(LeaseId lease, Range range) const;

  Outbox& outbox() { return outbox_; }
  std::uint64_t running_tasks() const { return running_tasks_; }  // That the runner has, begun or not.
  Actions take_actions();

  bool open() const { return state_ == State::open || state_ == State::draining; }
  bool draining() const { return leaving_; }
  SessionId id() const { return session_; }  // None while nobody has answered.
  std::uint64_t held_tasks() const { return running_tasks_ + outbox_.tasks(); }
  std::uint64_t finished_tasks() const { return finished_; }

private:
  enum class State : std::uint8_t { greeting, open, draining, gone };
  // Numbers of one lease that the runner has.
  struct Held {
    JobId job;
    IntervalSet running;
    std::uint64_t bytes = 0;
    std::uint64_t total = 0;
    std::uint64_t finished = 0;
    bool begun = false;
    std::vector<Seal> seals;  // One for each range in which it came.
    IntervalSet cancelled;    // Settled, or somebody else's: a task of these that failed may have been stopped.
    bool unwanted = false;    // Its job is over or unknown: what still runs is dropped when it ends.
  };

  SessionOptions options_;
  State state_ = State::greeting;
  bool leaving_ = false;
  bool abandoned_ = false;
  SessionId session_;
  SessionId entered_;  // The last one.
  Liveness liveness_;
  std::uint64_t greetings_ = 0;
  Duration hello_pause_;
  TimePoint next_hello_ = TimePoint::min();
  std::uint32_t slots_;
  Outbox outbox_;
  Actions actions_;

  std::map<JobId, Open> jobs_;
  std::set<JobId> cancelled_;  // Jobs whose tasks are given back as cancelled.
  std::unordered_map<JobId, IncarnationId> routes_;
  std::unordered_map<IncarnationId, MachineId> machines_;  // Of the sinks, as they were routed to last.
  std::set<JobId> routed_;                                 // In this session.
  std::unordered_map<LeaseId, Held> leases_;
  std::uint64_t running_tasks_ = 0;
  std::uint64_t running_bytes_ = 0;
  std::uint64_t received_tasks_ = 0;  // In this session.
  std::uint64_t received_bytes_ = 0;
  Credit granted_;                          // Highest so far in this session.
  Credit said_;                             // As last sent.
  std::vector<RunningTask> running_;        // As of
  TimePoint looked_;                        // this moment.
  std::vector<Milestone> said_milestones_;  // In this session.
  std::uint64_t finished_ = 0;
  std::map<JobId, std::string> refused_;  // Jobs that this worker cannot run, and why.
  bool worked_ = false;
  std::uint64_t waiting_ = 0;

  void say(Message message, JobId job = {});
  void hello(TimePoint now);
  void forget_session(TimePoint now, const std::string& why);
  void stop_orphans();
  void on_tasks(JobId job, const Tasks& tasks);
  void on_cancel(JobId job, const Cancel& cancel);
  void on_close(JobId job, TimePoint now);
  void on_route(JobId job, const Route& route);
  void disconnect(IncarnationId sink);
  void take_from_lease(LeaseId lease, Range range);
  void forget_if_done(LeaseId lease);
  void give_back(JobId job, LeaseId lease, Range range, ReturnReason reason);
  void update_credit(TimePoint now);
  void say_progress(TimePoint now);
  void say_milestones();
  std::vector<HeldRange> held() const;
  void drop(const std::vector<ResultId>& results);
  void leave_if_idle();
  void leave(Ending ending, std::string why);
};

}  // namespace ventile
