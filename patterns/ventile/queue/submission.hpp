// The client's side of the conversation with a broker: jobs are submitted, their tasks offered within credit, their
// results taken, each number once; and all of it goes on when the broker or the connection was away.
//
//              HELLO, WELCOME             silence, HELLO-AGAIN, BYE
//   [greeting] --------------> [open] ----------------------------> [greeting]
//
// The life of a job (in every session it is submitted anew, with what is known of it):
//
//     open          ACCEPTED              complete, all offered           all settled: END, CLOSED, CLOSE
//   -------> [said] --------> [offering] ----------------------> [complete] ----------------------------> over
//
// A kept job may be left when the broker has all of its tasks (Kept): its results stay there, and come to whoever
// fetches it, this client or another. A fetched job has no tasks here:
//
//    fetch          ACCEPTED, results          END, every number is here: Whole        confirm: CLOSED, CLOSE
//   -------> [said] ------------------> [taking] --------------------------> [whole] ------------------------> over
//
// Who asks decides: the first outcome of a number counts, be it a result, a proposal of the dispatcher, or the client's
// own word (cancelled, expired). Nothing is doubled, whatever is sent again, for a number keeps its task.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/interval_set.hpp>
#include <ventile/queue/ledger.hpp>
#include <ventile/queue/liveness.hpp>
#include <ventile/queue/notice.hpp>
#include <ventile/queue/settlement.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

struct SubmissionOptions {
  NodeId node;
  IncarnationId incarnation;
  std::string name;
  std::string build;
  std::string results_address;                               // Empty: results come by way of the dispatcher.
  MachineId machine;                                         // None: nothing is lent to it.
  std::uint64_t window_tasks = std::uint64_t{1} << 22;       // Results on their way, in tasks, for each job.
  std::uint64_t window_bytes = std::uint64_t{64} << 20;      // The same, in bytes.
  Duration hello_interval = std::chrono::milliseconds{200};  // Doubles while nobody answers.
  Duration hello_interval_max = std::chrono::seconds{2};
  // Of the payloads of these tasks, which were submitted together. None: they are as large as each other.
  std::function<std::uint64_t(JobId job, Range range)> bytes_of;
};

// Pure and not thread-safe, like every decider.
class Submission {
public:
  // --- Actions ---

  struct Say {
    JobId job;
    SessionId session;
    Message message;
  };
  // Say OFFER for these tasks, in as many messages as their size asks for; without payloads if it is an index job or
  // `bare`.
  struct SendOffer {
    JobId job;
    JobId known_as;  // By the broker.
    SessionId session;
    Range range;
    bool bare = false;
  };
  // These numbers' results, which are in this frame, are the ones that count.
  struct Deliver {
    FrameId frame;
    JobId job;
    Range range;
  };
  struct DeliverOutcome {  // The same without a result: why there is none.
    JobId job;
    Range range;
    Outcome outcome = Outcome::failed;
    std::uint32_t tries = 0;
    std::string kind;
    std::string message;
  };
  struct Release {  // The frame is not needed again.
    FrameId frame;
  };
  struct DropPayloads {  // These tasks' payloads are not needed again.
    JobId job;
    Range range;
  };
  // Of a kept job: the broker has the tasks below this number, and if `complete` it knows that there are no others.
  struct Kept {
    JobId job;
    std::uint64_t submitted = 0;
    bool complete = false;
  };
  // Of a fetched job: every one of its `total` results has been delivered. When they are safe, call confirm().
  struct Whole {
    JobId job;
    std::uint64_t total = 0;
  };
  // Nothing more comes of this job. Without an error every number has an outcome.
  struct Over {
    JobId job;
    std::string error;
    bool cancelled = false;  // By somebody else.
  };
  struct Answer {  // To the oldest question that has none.
    Message message;
  };
  enum class Ending : std::uint8_t { refused, version_mismatch };
  struct Leave {
    Ending ending = Ending::refused;
    std::string why;
  };
  using Action = std::variant<Say, SendOffer, Deliver, DeliverOutcome, Release, DropPayloads, Kept, Whole, Over, Answer,
                              Leave, Notice>;
  using Actions = std::vector<Action>;

  explicit Submission(SubmissionOptions options);

  // --- What its owner wants ---

  void start(TimePoint now);
  // A new job; its fields `have`, `exceptions` and `credit` are filled in here.
  void open(JobId job, Submit specification);
  // The next `count` tasks of the job, with `bytes` of payload in all; returns their numbers.
  Range submit(JobId job, std::uint64_t count, std::uint64_t bytes);
  void complete(JobId job);
  // What has no outcome yet of these numbers, which were submitted, gets this one.
  void settle(JobId job, Range range, Outcome outcome, const std::string& message);
  // A kept job of which the broker has all tasks, or which is given up here: nothing more is said or heard of it.
  void detach(JobId job);
  // The results of a kept job; its fields `have` and `credit` are filled in here. `job` is a name for it on this side.
  void fetch(JobId job, Fetch fetch);
  // Of a fetched job: so many bytes of what was delivered are not held any more; as many may come.
  void taken(JobId job, std::uint64_t bytes);
  // Of a fetched job, after Whole: all of it is safe, and the broker need keep it no longer.
  void confirm(JobId job);
  // INQUIRE, EXPLAIN, DISCARD or DRAIN; asked again in a new session.
  void ask(Message question);
  void leave();

  // --- What happened ---

  void on_message(const Received& received, TimePoint now);  // Anything but results.
  void on_part(TimePoint now) { liveness_.on_heard(now); }   // A piece of a message: the dispatcher lives.
  // A message that was lent to this client cannot be read: it is lost, and what follows shall not be lent. Only once;
  // notes that come later are passed over.
  void on_unreadable(const Error& error, TimePoint now);
  bool borrows() const { return bool{options_.machine}; }
  void on_malformed(const Error& error, std::optional<std::uint16_t> version);
  // The frame is kept by the driver until the Release that follows.
  void on_results(FrameId frame, const Envelope& envelope, const Results& results);
  // What was decided in this turn is told to the dispatcher.
  void on_turn_end();
  void on_tick(TimePoint now);
  TimePoint next_tick() const;

  Actions take_actions();

  // --- What is known ---

  bool is_open() const { return state_ == State::open; }
  bool has_job(JobId job) const { return jobs_.contains(job); }
  std::size_t job_count() const { return jobs_.size(); }
  const Ledger& ledger(JobId job) const { return jobs_.at(job).ledger; }
  std::uint64_t submitted(JobId job) const { return jobs_.at(job).submitted; }
  std::uint64_t duplicates() const { return duplicates_; }
  std::string worker_name(IncarnationId worker) const;
  JobId known_as(JobId job) const;  // The broker's id of it.

private:
  enum class State : std::uint8_t { greeting, open, gone };
  struct Block {  // Tasks that were submitted together.
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
  };
  struct Job {
    JobId known_as;  // By the broker; another id if it knew the kept job before.
    Submit specification;
    std::uint64_t kept = 0;      // Of a kept job: tasks that the broker has;
    bool kept_complete = false;  // and it knows that there are no others.
    std::optional<Fetch> fetch;
    std::uint64_t taken_bytes = 0;  // Of a fetched job, in this session.
    bool whole = false;
    bool confirmed = false;
    std::map<Number, Block> blocks;  // By first number; those with an open number.
    Number submitted = 0;
    bool completed = false;
    LifeId life;       // At the dispatcher, by which
    Number shown = 0;  // numbers below were offered, in this session or before.
    Ledger ledger;
    std::vector<Settlement> unsent;
    std::uint64_t duplicates = 0;

    // Of this session.
    bool accepted = false;
    bool said_complete = false;
    bool ending = false;         // END has come.
    bool has_cancelled = false;  // A task has the outcome that somebody else has cancelled it,
    Number offered = 0;          // Numbers below are known to the dispatcher.
    std::uint64_t offered_bytes = 0;
    Credit room;
    IntervalSet said;   // What it was told of at SUBMIT.
    IntervalSet early;  // Settled here before they were offered: their payloads are still needed.
    std::uint64_t received_bytes = 0;
    std::string cancelled;  // and why. Empty: nobody has.
  };

  static constexpr std::size_t names_max = 10'000;  // Of workers; then they are forgotten and told anew by session.

  SubmissionOptions options_;
  State state_ = State::greeting;
  SessionId session_;
  Liveness liveness_;
  std::uint64_t greetings_ = 0;
  Duration hello_pause_;
  TimePoint next_hello_ = TimePoint::min();
  std::map<JobId, Job> jobs_;
  std::vector<JobId> unsettled_;  // Jobs with something to tell at the end of the turn.
  std::vector<Message> questions_;
  std::map<IncarnationId, std::string> workers_;
  std::uint64_t duplicates_ = 0;
  Actions actions_;

  void say(JobId job, Message message) { actions_.push_back(Say{known_as(job), session_, std::move(message)}); }
  JobId id_of(JobId known_as) const;
  void say_fetch(JobId id, Job& job);
  void on_kept(JobId id, Job& job, const Accepted& accepted);
  bool hand_over(JobId id, Job& job);
  void on_fetched(FrameId frame, JobId id, Job& job, const Results& results);
  void maybe_whole(JobId id, Job& job);
  void hello(TimePoint now);
  void on_welcome(const Received& received, const Welcome& welcome, TimePoint now);
  void say_submit(JobId id, Job& job);
  void on_accepted(JobId id, Job& job, const Accepted& accepted);
  // Whether what a dispatcher of another life was offered has been given up, and the job was submitted again.
  bool give_up_shown(JobId id, Job& job, LifeId life);
  void offer(JobId id, Job& job);
  std::uint64_t bytes(JobId id, const Block& block, Range range) const;
  std::uint64_t fitting(JobId id, const Job& job, const Block& block, Range range) const;
  void send_offer(JobId id, Job& job, Range range, std::uint64_t bytes);
  void record(JobId id, Job& job, Range range, const std::vector<RangeOutcome>& exceptions);
  void on_propose(JobId id, Job& job, const Propose& propose);
  void settle_one(JobId id, Job& job, Settlement settlement);
  static void split_at(Number number, std::vector<Settlement>& settlements);
  void tell(JobId id, Job& job);
  void maybe_close(JobId id, Job& job);
  void end(JobId id, const std::string& error, bool cancelled = false);
  SinkCredit credit(const Job& job) const;
};

}  // namespace ventile
