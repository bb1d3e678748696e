// Decides which worker runs which tasks, and accounts for every one of them.
//
// A Dispatcher owns no socket, file, thread or clock. Its owner tells it what happened and when; it answers with the
// actions to carry out, in order. It remembers batches, not tasks: leasing, acknowledging and retrying a batch of a
// thousand costs what it costs for one.
//
// The life of a batch (account.hpp has the life of a number):
//
//     offer            credit, room              stored (sink)
//   ---------> backlog ---------> lease at a worker ----------> settled; VERDICTS to the worker
//                 ^                    |
//                 |   returned, expired, worker dead: what remains of it
//                 '--------------------'
//
// The life of a job:
//
//    open_job           OPENED             end_job, all settled       CLOSED
//   ---------> [waiting] -----> [running] ---------------------> [ending] ------> [closed]
//                 ^                 |                                |
//                 '---- sink gone --'--------- sink gone ------------'
//
// The life of a peer's session:
//
//     HELLO, WELCOME            BYE, silence, unreachable
//   ------------------> [open] ---------------------------> gone: leases go back, HELLO-AGAIN to whatever still comes
//
// Jobs are its owner's (a ventilator's one), with a sink that is another peer; or a client's, who brings the tasks and
// is the sink. A client's job is forgotten when it is over. Of a durable dispatcher a client is told nothing that the
// disk does not know: that there is its job, that there are its tasks, that all is over.
//
// A client may ask that the results of its job be kept. The job's sink is then a local peer, the keeper, which its
// owner makes when it is told so (Keeping); the client brings the tasks and may leave. The job ends when a client, this
// or another with the same key, has fetched all results and has said so:
//
//     SUBMIT             all settled: the keeper's CLOSED           FETCH, all results, CLOSED
//   ---------> [running] ------------------------------> [whole] ----------------------------> [closed]
//
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/flat_table.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/queue/account.hpp>
#include <ventile/queue/client_job.hpp>
#include <ventile/queue/function_sets.hpp>
#include <ventile/queue/granularity.hpp>
#include <ventile/queue/key_quota.hpp>
#include <ventile/queue/notice.hpp>
#include <ventile/queue/on_lost.hpp>
#include <ventile/queue/refusals.hpp>
#include <ventile/queue/suspects.hpp>
#include <ventile/wire/codec.hpp>
#include <ventile/wire/messages.hpp>

namespace ventile {

// Whoever messages come from and go to, as the driver names them: one per routing id.
using PeerId = Id<struct PeerTag>;

// Ids that no transport gives: of peers that are a part of the dispatcher's own process. They are never taken for dead.
constexpr PeerId local_peer(std::uint64_t number) { return {(std::uint64_t{1} << 63) | number}; }
constexpr bool is_local(PeerId peer) { return (peer.value >> 63) != 0; }

// Whom a peer's key makes it. Without keys everybody is the same, and may do everything.
struct PeerIdentity {
  std::string key;        // The public one. Kept jobs are those of all clients with the same.
  bool is_admin = false;  // Other clients' jobs are its business, too.
};

struct DispatcherOptions {
  Duration heartbeat = std::chrono::milliseconds{500};  // Longer while so many peers would together send more than
                                                        // `heartbeats_per_second_max`.
  std::uint32_t heartbeats_per_second_max = 1'000;
  std::uint32_t dead_after_heartbeats = 4;       // Silence of so many intervals is death.
  std::uint32_t sink_dead_after_heartbeats = 4;  // The same for sinks, which are silent while they wait for whoever
                                                 // reads what they write.
  Duration lease = std::chrono::seconds{3};  // Without progress for so long (or the task's time-out, or the heartbeats
                                             // of a death) a lease is lost.
  Duration finished_lease = std::chrono::seconds{10};  // Finished, but no verdict while the sink acknowledges others.
  Duration sink_grace =
      std::chrono::seconds{10};  // The sink that has results of a job may be gone so long before another gets the job.
  std::uint64_t batch_bytes_max = 512 * 1024;  // Payload of one batch; a larger task goes alone.
  std::uint32_t max_crashes = 3;               // Deaths alone after which a task is dead.
  // What a dead worker had begun runs alone from then on, to find out which task it was. False where tasks cannot harm
  // their worker, as commands, which are processes of their own: then every death of a worker that had begun a task
  // counts for it, and nothing runs alone.
  bool isolate_suspects = true;
  Duration retry_delay = std::chrono::milliseconds{100};  // Before the second try; doubles up to retry_delay_max.
  Duration retry_delay_max = std::chrono::seconds{10};
  Duration straggler = std::chrono::seconds{1};      // Least age at which a lease is worth a second copy.
  Duration client_grace = std::chrono::seconds{10};  // A client may be gone so long before its jobs are dropped.
  std::uint64_t client_window_tasks = std::uint64_t{1} << 22;   // Of a client's job, without an outcome. More may not
  std::uint64_t client_window_bytes = std::uint64_t{16} << 20;  // be offered; nor more bytes of payload.
  std::size_t client_jobs_max = 4096;                           // Of one client. More are refused.
  bool durable =
      false;  // Clients' jobs outlive this dispatcher; see Persist. (Of its owner's jobs each says so itself.)
  bool speculate = true;
  GranularityOptions granularity;
  std::uint64_t leases_per_slot_max = 256;          // Of one worker, those that it lends included. It gets no more.
  KeyLimits key_limits;                             // Of those who have the same key.
  std::function<PeerIdentity(PeerId)> identity_of;  // None: there are no keys.
  // With keys: whether the seal of what a worker says that it holds is good. None: it is believed.
  std::function<bool(PeerId, const HeldRange&)> is_sealed;
  MachineId machine;  // Frames may be lent to this dispatcher by processes of the same; none: they may not.
  Duration kept_for = std::chrono::hours{24 * 7};  // Nobody's concern for so long, a kept job is removed.
};

struct JobOptions {
  std::string name;
  std::string function;
  std::vector<std::byte> constants;
  std::uint32_t constant_count = 0;
  IndexRule index;
  Duration timeout{0};
  std::uint32_t tries_max = 1;
  std::int64_t priority = 0;  // Jobs with a higher one are served first.
  OnLost on_lost = OnLost::rerun;

  // A durable job survives its dispatcher: what must not be forgotten is a Persist, and waits for on_persisted().
  bool durable = false;
  bool reread = true;          // Its tasks can be read again; else they must be on the disk before a worker sees them.
  bool resumed = false;        // It has run before: the sink may have results of tasks that are yet to be offered.
  std::vector<Range> retired;  // Of a resumed job: settled tasks that cannot be had again if the sink has lost them.
  std::vector<Range> begun;    // Of a resumed job: tasks that were leased and not returned, and must not begin again.
  std::vector<Suspect> suspects;  // Of a resumed job: tasks that workers have died with.
};

// What an earlier life of the dispatcher knew of a client's job.
struct Remembered {
  std::vector<Range> retired;     // Cannot be run again: the client had their outcomes.
  std::vector<Suspect> suspects;  // Workers have died with these.
  std::vector<Range> begun;       // Were leased and not returned, and must not begin again.
};

// What a durable job writes down. (The driver adds what only it knows: payloads, how far the input was read.)
struct JobRecord {
  enum class Kind : std::uint8_t {
    offered,
    ended,
    cancelled,
    closed,
    leased,     // About to be sent to a worker; only what must not begin twice.
    returned,   // By that worker: it may begin after all.
    opened,     // A client has submitted it.
    suspected,  // A worker has died with them; or, without counts, they were found innocent.
  };
  Kind kind = Kind::offered;
  Range range;                  // Offered, leased, returned, suspected: these tasks. Else: all of them.
  std::uint32_t suspicion = 0;  // Suspected: as in Suspect.
  std::uint32_t deaths_alone = 0;

  bool operator==(const JobRecord&) const = default;
};

// What happened to a job that a person wants to read afterwards.
struct JobCounters {
  std::uint64_t batches = 0;
  std::uint64_t requeued_batches = 0;  // Leases that were lost with something in them.
  std::uint64_t requeued_tasks = 0;
  std::uint64_t retries = 0;
  std::uint64_t retracted = 0;    // Tasks that a worker handed back unbegun.
  std::uint64_t speculative = 0;  // Second copies of batches.
  std::uint64_t duplicates = 0;   // Results, in tasks, that came when there was an outcome already.
  std::uint64_t workers_lost = 0;
  std::uint64_t begun_again =
      0;  // Tasks that are not repeatable, may have begun on a lost worker, and went to another.
};

// --- Actions -----------------------------------------------------------------------------------------------------

// Send this message. Nothing follows from its being sent: what matters comes back as a message.
struct Send {
  PeerId to;
  JobId job;
  SessionId session;
  Message message;
};
// Send TASKS with the payloads of this range, in as many messages as its size asks for.
struct SendTasks {
  PeerId to;
  JobId job;
  SessionId session;
  Tasks tasks;
};
// Nothing more will be sent to this peer in this session.
struct Forget {
  PeerId peer;
};
// These numbers have an outcome. Their payloads are not needed again, once `failures` have been looked up.
struct Settled {
  JobId job;
  Range range;
  std::vector<FailureNote> failures;
};
// The sink has everything and has said so.
struct JobClosed {
  JobId job;
  Closed report;
};
// The job cannot end well: the sink lost results that cannot be had again, or refused the job.
struct JobFailed {
  JobId job;
  std::uint64_t lost = 0;
  std::string message;
};
// A client's tasks have come with the message that was just handled: keep the payloads of this range, which begin at
// payload `skip` of the message. Carry out before the next message.
struct Keep {
  JobId job;
  Range range;
  std::uint32_t skip = 0;
};
// A client's job is over: nothing of it is needed any more.
struct JobForgotten {
  JobId job;
};
// For the keeper of a client's job.
struct Keeping {
  struct Begin {};  // Be its sink, as a local peer: say HELLO and claim the job.
  struct Deliver {  // Send its results to this client, within the credit. Takes the place of one before it.
    PeerId to;
    SessionId session;
    Fetch fetch;
  };
  struct Grant {  // The client takes more.
    SinkCredit credit;
  };
  struct Stop {};  // No client takes results any more.

  JobId job;
  std::variant<Begin, Deliver, Grant, Stop> what;
};
// Write this behind all before it; when it is durable, call on_persisted().
struct Persist {
  std::uint64_t token = 0;  // Grows.
  JobId job;
  JobRecord record;
  std::shared_ptr<const ClientJob> opened;  // What, if that is the record.
};
// The sink of a resumed job is here, and has outcomes for so many of its tasks.
struct JobResumed {
  JobId job;
  std::uint64_t settled = 0;
};
using Action = std::variant<Send, SendTasks, Forget, Settled, JobClosed, JobFailed, Keep, JobForgotten, Persist,
                            JobResumed, Keeping, Notice>;
using Actions = std::vector<Action>;

// --- The decider -------------------------------------------------------------------------------------------------

class Dispatcher {
public:
  Dispatcher(IncarnationId incarnation, DispatcherOptions options);
  ~Dispatcher();
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // --- What its owner wants ---

  // A job exists from now on; it runs as soon as there is a sink for it.
  void open_job(JobId job, JobOptions options, TimePoint now);
  // The next `count` tasks of the job, with `bytes` of payload in all. Returns their numbers.
  Range offer(JobId job, std::uint64_t count, std::uint64_t bytes, TimePoint now);
  // The same for tasks that an earlier life of this job has made durable.
  Range offer_again(JobId job, std::uint64_t count, std::uint64_t bytes, TimePoint now);
  // A client's job of an earlier life of this dispatcher, which waits for its client from now on. Offer its tasks
  // again, and end it if it had ended.
  void resume_job(const ClientJob& job, Remembered remembered, TimePoint now);
  // There will be no more tasks.
  void end_job(JobId job, TimePoint now);
  // What has not begun gets the outcome cancelled, and workers are asked for what they have of it; with `running` also
  // what runs. Implies end_job.
  void cancel_job(JobId job, bool running, TimePoint now);
  // Says goodbye to everybody.
  void stop(ByeReason reason, const std::string& message);

  // --- What happened ---

  // A message, already decoded. Anything that does not fit the peer, its role or its session is refused and
  // counted; a peer can end its own session only.
  void on_message(PeerId from, const Received& received, TimePoint now);
  // A frame that could not be decoded. Ends the peer's session if it has one.
  void on_malformed(PeerId from, const Error& error, std::optional<std::uint16_t> version, TimePoint now);
  // A message that the peer's key does not entitle it to. The peer is told, and its session ends if it has one.
  void on_unauthorized(PeerId from, RefusedFor reason, const std::string& why, TimePoint now);
  // The peer's key is not wanted any more. Its session ends, and it is told nothing.
  void on_revoked(PeerId peer, TimePoint now);
  // A message of nobody in particular; counted.
  void on_stranger();
  // A message that the peer lent cannot be read: it is lost, so the peer is to introduce itself anew, and what follows
  // shall not be lent; by nobody, if it was so with many. Code::disconnected: the lender seems to be dead.
  void on_unreadable(PeerId from, const Error& error, TimePoint now);
  // A piece of a message has come from the peer: it lives.
  void on_part(PeerId from, TimePoint now);
  // The transport says that the peer cannot be reached.
  void on_unreachable(PeerId peer, TimePoint now);
  // Everything up to this Persist is on the disk.
  void on_persisted(std::uint64_t token, TimePoint now);
  // Time has passed; call at next_tick() or a little later.
  void on_tick(TimePoint now);
  TimePoint next_tick() const;
  // The driver holds so many bytes of payloads of a client's job.
  void on_held(JobId job, std::uint64_t bytes);
  // The keeper has so many bytes of results of a client's job. Full: no worker is given more of it.
  void on_kept(JobId job, std::uint64_t bytes, bool full, TimePoint now);

  // What to do, in order. Call after any of the above, until there is nothing.
  Actions take_actions();
  // The same in the memory of `done`, which are carried out: a turn of a sink that stores for hundreds of workers asks
  // for thousands. False: there is nothing.
  bool take_actions(Actions& done);

  // --- What is known ---

  Audit audit(JobId job) const;
  const JobCounters& counters(JobId job) const;
  // Why nothing moves, in words: "no worker has the function 'fetch'". Empty if something does.
  std::string why_waiting(JobId job) const;
  // Lets the workers that lack the job's function say so where they run; once each.
  void tell_unfit_workers(JobId job);
  bool job_running(JobId job) const;
  std::uint64_t queued(JobId job) const;  // Tasks that wait for a worker.
  std::uint64_t queued_bytes(JobId job) const;
  std::size_t worker_count() const { return workers_open_; }
  std::size_t workers_seen() const { return worker_incarnations_.size(); }
  std::uint64_t slot_count() const { return slots_open_; }
  const RefusalCounts& refusals() const { return refused_; }
  bool has_job(JobId job) const { return jobs_.contains(job); }
  // To whom results of a client's job are passed on; none if it is gone, or has them sent to an address of its own.
  struct Passage {
    PeerId client;
    SessionId session;
  };
  std::optional<Passage> passage(JobId job) const;
  bool knows(PeerId peer) const { return peers_.contains(peer); }
  Report report(TimePoint now) const;
  Explanation explain(const Explain& question, TimePoint now) const;
  std::string check() const;  // Every invariant it can check by itself; empty if all hold.
  // The worker that a lease is held by, and how much of it remains; for tests and tools.
  const Account& account(JobId job) const;

private:
  struct Peer;
  struct Job;
  struct Unsent;

  IncarnationId incarnation_;
  DispatcherOptions options_;
  Actions actions_;
  FunctionSets function_sets_;  // Outlives the peers and jobs.
  std::unordered_map<PeerId, std::unique_ptr<Peer>> peers_;
  FlatIndex<SessionId, Peer, CountedHash> sessions_;
  FlatIndex<IncarnationId, Peer> incarnations_;  // Workers: where verdicts go.
  std::set<IncarnationId> worker_incarnations_;
  std::map<JobId, std::unique_ptr<Job>> jobs_;
  std::vector<Job*> order_;                 // By priority, the highest first; of the same, the oldest.
  std::vector<JobId> over_;                 // Clients' jobs to forget.
  std::map<JobId, std::string> discarded_;  // Those that are not kept, and why: their clients may not have heard of it.
  std::deque<JobId> discarded_order_;       // The oldest first.
  std::uint64_t closed_jobs_ = 0;
  std::array<std::uint64_t, outcome_count> closed_outcomes_{};
  std::map<std::pair<double, PeerId>, Peer*> hungry_;  // Workers with credit, the least loaded first.
  std::uint64_t next_session_ = 0;
  std::uint64_t next_lease_ = 0;
  std::uint64_t lives_ = 0;  // Of clients' jobs.
  std::uint64_t next_token_ = 0;
  std::uint64_t persisted_ = 0;     // The highest token that is.
  std::set<IncarnationId> unread_;  // Of whom something cannot be read that they lent.
  bool borrows_;
  RefusalCounts refused_;
  KeyQuota quota_;
  std::uint64_t slots_open_ = 0;
  std::size_t workers_open_ = 0;
  std::size_t sinks_open_ = 0;
  TimePoint next_liveness_ = TimePoint::min();
  TimePoint next_balance_ = never;  // Some worker idles while others have work: look often.
  TimePoint last_balance_ = TimePoint::min();

  // dispatcher.cpp: what its owner wants, and conversations.
  Job& add_job(JobId id, JobOptions options);
  void submit(Job& job, Range range, std::uint64_t bytes, TimePoint now);
  void persist(Job& job, JobRecord::Kind kind, Range range);
  void refuse(PeerId from, Peer* peer, const std::string& why, RefusedFor reason = RefusedFor::out_of_place);
  void send(const Peer& peer, JobId job, Message message);
  void notice(Level level, std::string text);
  void ask_again(PeerId from);
  bool take_back_forget(PeerId peer);
  Duration heartbeat() const;
  std::uint32_t patience(const Peer& peer) const;
  Duration silence_max(const Peer& peer) const;

  // greeting.cpp: sessions begin and end.
  bool was_given(LeaseId lease) const;
  void on_hello(PeerId from, const Envelope& envelope, const Hello& hello, TimePoint now);
  void on_seek(PeerId from);
  void welcome(Peer& peer, std::uint64_t greeting);
  Pace set_pace(Peer& peer);
  void say_heartbeat(Peer& peer, TimePoint now);
  bool was_sealed(const Peer& worker, const HeldRange& held);
  void reconcile(Peer& worker, const std::vector<HeldRange>& held, TimePoint now);
  void reconcile_one(Peer& worker, Job& job, const HeldRange& held, TimePoint now);
  static void forget_undecided(Peer& worker, LeaseId lease, Range range);
  void end_session(Peer& peer, const std::string& why, bool crashed,
                   TimePoint now);  // Destroys `peer`; feed_hungry() is due.
  void lose_worker(Peer& worker, const std::string& why, bool crashed, TimePoint now);
  void lose_sink(Peer& sink, const std::string& why, TimePoint now);

  // settling.cpp: sinks, what they have, and the end of a job.
  static Open open_message(const Job& job, std::string fold);
  void give_sink(Job& job, TimePoint now);
  void open_on(Peer& worker, Job& job);
  void on_opened(Peer& sink, Job& job, const Opened& opened, TimePoint now);
  bool attach(Peer& sink, Job& job, const std::vector<Range>& have, const std::vector<RangeOutcome>& exceptions,
              const SinkCredit& credit, TimePoint now);
  void maybe_end(Job& job);
  void on_closed(Peer& sink, Job& job, const Closed& closed, TimePoint now);
  void finish_job(Job& job, TimePoint now);
  void close_job(Job& job, TimePoint now);
  void fetch_ahead(const Job& job, const std::vector<Settlement>& settlements, std::size_t at) const;
  void on_stored(Peer& sink, Job& job, const Stored& stored, TimePoint now);
  void remember_stored(Job& job, const Settlement& settlement);
  void take_in_beyond_end(Job& job);
  void settle(Job& job, const Settlement& settlement, Peer* worker, TimePoint now);
  void settle_known(Job& job, Range range);
  void count_duplicates(Job& job, const Peer* worker, std::uint64_t count);
  void cancel_loser(const Job& job, const Account::Loser& loser);
  void propose(Job& job, const std::vector<Range>& ranges, Outcome outcome, std::uint32_t tries,
               const std::string& kind, const std::string& message);

  // returning.cpp: what workers say of their leases.
  void on_return(Peer& worker, Job& job, const Return& returned, TimePoint now);
  void on_stopped(const Peer& worker, Job& job, const Lease& lease, const Return& returned);
  void drop_function(Peer& worker, const std::string& name);
  void note_returned(Job& job, const Peer& worker, const std::vector<Range>& ranges);
  void on_failed_try(Job& job, const Lease& lease, const Return& returned, TimePoint now);
  void on_progress(Peer& worker, const Progress& progress, TimePoint now);
  static bool is_in_time(const Job& job, const RunningLease& said);
  bool renew(const Peer& worker, const Job& job, Lease& lease, const RunningLease& said, TimePoint now) const;
  void on_waiting(Peer& worker, std::uint64_t tasks);

  // suspecting.cpp: which task kills its workers.
  void suspect(Job& job, const Peer& worker, LeaseId id, bool alone, TimePoint now);
  void note_suspect(Job& job, Range range, const History& history);
  void recall_suspects(Job& job, Range range);
  std::string crashes_text(std::uint32_t deaths) const;

  // serving.cpp: clients.
  static bool brings_tasks(const Peer& client, const Job* job);
  static bool is_of_another(const Peer& client, const Job& job);
  bool on_client_message(Peer& client, Job* job, const Received& received, TimePoint now);  // False: not for a client.
  Job& add_client_job(const ClientJob& job);
  void on_submit(Peer& client, JobId id, const Submit& submit, TimePoint now);
  void on_offer(Peer& client, Job& job, const Offer& offer, TimePoint now);
  void on_complete(Peer& client, Job& job, const Complete& complete);
  void on_drain(Peer& client, const Drain& drain);
  void give_room(Job& job, bool at_once);
  void introduce(const Peer& worker, Peer& client);
  void leave_client(Peer& client);
  void drop_abandoned(TimePoint now);
  void drop_job(Job& job, const std::string& why);
  void forget_jobs();

  // keeping.cpp: jobs whose results are kept.
  Job* find_kept(const std::string& key, const std::string& name);
  std::string objection_to(const Peer& client, const Submit& submit) const;
  bool redirect(Peer& client, JobId id, const Submit& submit);
  void take_up_kept(Peer& client, Job& job, TimePoint now);
  void on_fetch(Peer& client, JobId id, const Fetch& fetch, TimePoint now);
  bool on_fetcher_message(Peer& client, Job& job, const Received& received);
  void on_kept_whole(Job& job, const Closed& closed);
  void lose_client(Peer& client, Job& job, TimePoint now);
  void on_discard(Peer& client, const Discard& discard, TimePoint now);
  void discard(Job& job, const std::string& why, TimePoint now);
  void finish_discarded(Job& job);
  void remember_discarded(const Job& job);
  void say_discarded(Peer& client, JobId id, std::vector<Range> open, const std::string& why);
  void remove_unwanted(TimePoint now);

  // sharing.cpp: what clients have of a worker.
  struct Shares {
    double each = 0;                // Seconds of its slots that a client may hold; 0: no two wait for it.
    double most = 0;                // The same, whoever waits: more would be in a newcomer's way. 0: there is one job.
    std::map<NodeId, double> held;  // What each of them holds.
  };
  bool has_rivals(const Peer& worker) const;
  Shares shares_of(const Peer& worker) const;
  static bool has_its_share(const Peer& worker, const Job& job, const Shares& shares);
  std::vector<Job*> jobs_in_turn() const;

  // leasing.cpp: who gets what.
  void feed_hungry(TimePoint now);
  bool feed_one(Peer& worker, Job& job, Shares& shares, TimePoint now);
  static bool may_prefetch(const Peer& worker, const Job& job);
  std::uint64_t window_of(const Peer& worker, const Job& job) const;
  Granularity::Pace pace_of(const Job& job) const;
  std::uint64_t appetite(const Peer& worker, const Job& job, const Shares& shares) const;
  std::uint64_t room(const Peer& worker, const Job& job, const Shares& shares) const;
  std::uint64_t sink_room(const Job& job) const;
  bool may_lease(const Job& job) const;
  std::uint64_t credit_left(const Peer& worker) const;
  bool others_wait(const Job& job) const;
  std::size_t lease_count(const Peer& worker) const;
  Duration standstill_max(const Job& job, const Peer& worker) const;
  static bool is_on_trial(const Peer& worker);
  bool may_have_more_leases(const Peer& worker, std::size_t leases) const;
  void dispatch(Peer& worker, Job& job, Lease& lease);
  void send_tasks(const Peer& worker, const Job& job, const Lease& lease);
  void send_lease(Job& job, const Unsent& unsent, TimePoint now);
  bool is_forgettable(const Job& job) const;
  std::uint64_t window_of(const Job& job) const;
  void return_credit(Peer& worker, const Unsent& unsent, std::uint64_t left);
  void forget_unsent(Job& job);
  void never_sent(Peer& worker);
  static bool may_repeat(const Job& job, const Peer& worker);
  static bool fails_lost(const Job& job, const Peer& worker);
  void lease_ended(Peer& worker);
  void update_hunger(Peer& worker);
  void lose_lease(Job& job, const Peer& holder, LeaseId id, History history, TimePoint now);
  void give_up_lost(Job& job, TimePoint now);
  void ask_for_unbegun(Job& job);
  void expire_leases(Job& job, TimePoint now);

  // balancing.cpp: the tail of a job.
  void balance_soon();
  void balance(TimePoint now);
  std::vector<Peer*> overloaded(const Job& job) const;
  bool worth_relieving(const Peer& worker, const Job& job, TimePoint now) const;
  void speculate(Job& job, Peer& idle, TimePoint now);

  // explaining.cpp: what people ask.
  std::string explain_job(const Job& job) const;
  std::string explain_kept(const Job& job) const;
  std::string explain_task(const Job& job, Number number, TimePoint now) const;
};

}  // namespace ventile
