#include <ventile/queue/dispatcher.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr std::size_t name_bytes_max = 255;       // Of a peer, in log lines; the rest is cut.
constexpr std::uint32_t slots_max = 65'536;       // Of one worker: it may hold leases for each of them.
constexpr std::uint64_t lent_slots_max = 10'000;  // Of one worker; more need not be believed.

std::string tasks_text(std::uint64_t count) { return std::to_string(count) + (count == 1 ? " task" : " tasks"); }

std::vector<RangeOutcome> exceptions_of(const std::vector<FailureNote>& notes) {
  std::vector<RangeOutcome> exceptions;
  exceptions.reserve(notes.size());
  for (const FailureNote& note : notes) exceptions.push_back({note.range, note.outcome});
  return exceptions;
}

}  // namespace

Dispatcher::Dispatcher(IncarnationId incarnation, DispatcherOptions options)
    : incarnation_(incarnation), options_(options) {}
Dispatcher::~Dispatcher() = default;

Actions Dispatcher::take_actions() {
  forget_jobs();
  return std::exchange(actions_, {});
}

void Dispatcher::send(const Peer& peer, JobId job, Message message) {
  actions_.push_back(Send{peer.id, job, peer.session, std::move(message)});
}

void Dispatcher::notice(Level level, std::string text) { actions_.push_back(Notice{level, std::move(text)}); }

// --- What its owner wants ----------------------------------------------------------------------------------------

Dispatcher::Job& Dispatcher::add_job(JobId id, JobOptions options) {
  auto job = std::make_unique<Job>();
  job->id = id;
  job->options = std::move(options);
  job->granularity = Granularity{options_.granularity, false};
  const auto lower = [](std::int64_t priority, const Job* other) { return priority > other->options.priority; };
  order_.insert(std::upper_bound(order_.begin(), order_.end(), job->options.priority, lower), job.get());
  return *jobs_.emplace(id, std::move(job)).first->second;
}

void Dispatcher::open_job(JobId id, JobOptions options, TimePoint now) {
  Job& opened = add_job(id, std::move(options));
  if (opened.options.resumed) opened.sink_lost = now;
  give_sink(opened, now);
  for (const auto& [peer_id, peer] : peers_) update_hunger(*peer);
  feed_hungry(now);
}

Range Dispatcher::offer(JobId id, std::uint64_t count, std::uint64_t bytes, TimePoint now) {
  Job& job = *jobs_.at(id);
  assert(!job.ended);
  const Range range{job.accepted, count};
  if (job.options.durable && !job.options.reread && !planted("a task is sent before it is on the disk")) {
    job.accepted += count;
    persist(job, JobRecord::Kind::offered, range);
    job.unpersisted.push_back({next_token_, range, bytes});
  } else {
    offer_again(id, count, bytes, now);
  }
  return range;
}

Range Dispatcher::offer_again(JobId id, std::uint64_t count, std::uint64_t bytes, TimePoint now) {
  Job& job = *jobs_.at(id);
  const Range range{job.accepted, count};
  job.accepted += count;
  submit(job, range, bytes, now);
  return range;
}

void Dispatcher::submit(Job& job, Range range, std::uint64_t bytes, TimePoint now) {
  [[maybe_unused]] const Range given = job.account.offer(range.count, bytes);
  assert(given == range);
  if (!planted("a resumed job runs what the sink has"))
    for (const Range known : job.sink_has.present(range)) settle_known(job, known);
  // What a worker of the life before has not brought back by then is lost.
  for (const Range begun : job.options.begun)
    job.account.set_aside(intersection(begun, range), now + options_.sink_grace + options_.lease);
  feed_hungry(now);
}

void Dispatcher::persist(Job& job, JobRecord::Kind kind, Range range) {
  actions_.push_back(Persist{++next_token_, job.id, {kind, range}, {}});
}

void Dispatcher::on_persisted(std::uint64_t token, TimePoint now) {
  for (const auto& [id, job] : jobs_) {
    for (; !job->unpersisted.empty() && job->unpersisted.front().token <= token; job->unpersisted.pop_front())
      submit(*job, job->unpersisted.front().range, job->unpersisted.front().bytes, now);
    if (job->answer_token != 0 && job->answer_token <= token) {
      job->answer_token = 0;
      give_room(*job, true);
    }
    for (; !job->unsent.empty() && job->unsent.front().token <= token; job->unsent.pop_front())
      send_lease(*job, job->unsent.front().lease, now);
    if (job->report && job->closed_token <= token && !job->closed) finish_job(*job, now);
    maybe_end(*job);
  }
  feed_hungry(now);
}

void Dispatcher::end_job(JobId id, TimePoint now) {
  Job& job = *jobs_.at(id);
  job.ended = true;
  take_in_beyond_end(job);
  if (job.options.durable) persist(job, JobRecord::Kind::ended, {0, job.accepted});
  maybe_end(job);
  feed_hungry(now);
}

void Dispatcher::cancel_job(JobId id, bool running, TimePoint now) {
  Job& job = *jobs_.at(id);
  job.ended = true;
  job.cancelled = true;
  take_in_beyond_end(job);
  if (job.options.durable) persist(job, JobRecord::Kind::cancelled, {0, job.accepted});
  if (running)
    for (const auto& [peer_id, peer] : peers_)
      if (peer->opened.contains(id)) send(*peer, id, Cancel{});
  if (!running) ask_for_unbegun(job);
  maybe_end(job);
  feed_hungry(now);
}

void Dispatcher::stop(ByeReason reason, const std::string& message) {
  for (const auto& [id, peer] : peers_) send(*peer, {}, Bye{reason, message});
}

// --- Conversations -----------------------------------------------------------------------------------------------

Duration Dispatcher::heartbeat() const {
  const Duration for_load =
      std::chrono::nanoseconds{std::chrono::seconds{1}} * peers_.size() / options_.heartbeats_per_second_max;
  return std::max(options_.heartbeat, for_load);
}

// In heartbeats.
std::uint32_t Dispatcher::patience(const Peer& peer) const {
  return peer.role == Role::sink ? options_.sink_dead_after_heartbeats : options_.dead_after_heartbeats;
}

void Dispatcher::refuse(PeerId from, Peer* peer, const std::string& why) {
  ++refused_;
  notice(Level::warning, "refused a message" + (peer != nullptr ? " of " + peer->name : std::string{}) + ": " + why);
  actions_.push_back(Send{from, {}, peer != nullptr ? peer->session : SessionId{}, Refused{Refusal::malformed, why}});
}

void Dispatcher::on_malformed(PeerId from, const Error& error, std::optional<std::uint16_t> version, TimePoint now) {
  ++refused_;
  auto it = peers_.find(from);
  if (version && *version != protocol_version) {
    const std::string why = "protocol version " + std::to_string(*version) + " here meets version " +
                            std::to_string(protocol_version) + " there; run the same release on both sides";
    notice(Level::error, "refused a peer: it speaks protocol version " + std::to_string(*version) +
                             ", this dispatcher version " + std::to_string(protocol_version) +
                             "; run the same release on both sides");
    actions_.push_back(Send{from, {}, {}, Refused{Refusal::version, why}});
  } else {
    notice(Level::warning, "refused a message" + (it != peers_.end() ? " of " + it->second->name : std::string{}) +
                               ": " + error.message);
  }
  if (it != peers_.end()) end_session(*it->second, "it sent a malformed message", false, now);
  feed_hungry(now);
}

void Dispatcher::on_unauthorized(PeerId from, const std::string& why, TimePoint now) {
  ++refused_;
  const auto it = peers_.find(from);
  notice(Level::warning,
         "refused a message" + (it != peers_.end() ? " of " + it->second->name : std::string{}) + ": " + why);
  actions_.push_back(Send{from, {}, {}, Refused{Refusal::unauthorized, why}});
  if (it != peers_.end()) end_session(*it->second, "it did what it has no right to", false, now);
  feed_hungry(now);
}

void Dispatcher::on_revoked(PeerId peer, TimePoint now) {
  if (const auto it = peers_.find(peer); it != peers_.end()) {
    notice(Level::warning, "the key of " + it->second->name + " was revoked");
    end_session(*it->second, "its key was revoked", false, now);
  }
  feed_hungry(now);
}

void Dispatcher::on_stranger() {
  ++refused_;
  notice(Level::warning, "refused a message: the key of its sender is not on the list any more");
}

void Dispatcher::on_part(PeerId from, TimePoint now) {
  if (auto it = peers_.find(from); it != peers_.end()) it->second->heard = now;
}

void Dispatcher::on_message(PeerId from, const Received& received, TimePoint now) {
  auto it = peers_.find(from);
  Peer* peer = it == peers_.end() ? nullptr : it->second.get();
  if (const auto* hello = std::get_if<Hello>(&received.message)) return on_hello(from, received.envelope, *hello, now);
  if (std::holds_alternative<Seek>(received.message)) return on_seek(from);
  if (peer == nullptr || received.envelope.session != peer->session) {
    actions_.push_back(Send{from, {}, {}, HelloAgain{}});
    return;
  }
  peer->heard = now;
  auto job_it = jobs_.find(received.envelope.job);
  Job* job = job_it == jobs_.end() ? nullptr : job_it->second.get();
  const bool is_worker = peer->role == Role::worker;
  const bool is_sink_of_job = peer->role != Role::worker && job != nullptr && job->sink == peer;
  if (const auto* returned = std::get_if<Return>(&received.message); returned != nullptr && is_worker) {
    if (job != nullptr) on_return(*peer, *job, *returned, now);
  } else if (const auto* progress = std::get_if<Progress>(&received.message); progress != nullptr && is_worker) {
    on_progress(*peer, *progress, now);
  } else if (const auto* said = std::get_if<Milestones>(&received.message); said != nullptr && is_worker) {
    peer->milestones = said->milestones;
  } else if (const auto* waiting = std::get_if<Waiting>(&received.message); waiting != nullptr && is_worker) {
    peer->waiting = std::min(waiting->tasks, lent_slots_max);
    update_hunger(*peer);
    feed_hungry(now);
  } else if (const auto* opened = std::get_if<Opened>(&received.message);
             opened != nullptr && is_sink_of_job && !job->sink_ready) {
    on_opened(*peer, *job, *opened, now);
  } else if (const auto* stored = std::get_if<Stored>(&received.message);
             stored != nullptr && is_sink_of_job && job->sink_ready) {
    on_stored(*peer, *job, *stored, now);
  } else if (const auto* closed = std::get_if<Closed>(&received.message); closed != nullptr && is_sink_of_job) {
    on_closed(*peer, *job, *closed, now);
  } else if (peer->role == Role::client && on_client_message(*peer, job, received, now)) {
    feed_hungry(now);
  } else if (const auto* bye = std::get_if<Bye>(&received.message)) {
    if (peer->role == Role::client) leave_client(*peer);
    if (bye->reason == ByeReason::leaving && is_worker) {
      if (!std::exchange(peer->leaving, true)) slots_open_ -= peer->slots;
      update_hunger(*peer);
    } else {
      send(*peer, {}, Bye{});  // So that it knows that its own has arrived.
      end_session(*peer, bye->message.empty() ? "it said goodbye" : bye->message, false, now);
      feed_hungry(now);
    }
  } else if (peer->role == Role::sink && job != nullptr && job->closed) {
    // It was on its way when the job ended.
  } else if (!std::holds_alternative<Heartbeat>(received.message)) {
    const char* const role = is_worker ? "worker" : peer->role == Role::sink ? "sink" : "client";
    refuse(from, peer, std::string{name_of(received.message)} + " is not for a " + role + " to send now");
    end_session(*peer, "it sent a message out of place", false, now);
    feed_hungry(now);
  }
}

// By this dispatcher or, for all it can know, by one before it.
bool Dispatcher::was_given(LeaseId lease) const {
  return lease && (lease.dispatcher != incarnation_ || lease.counter <= next_lease_);
}

void Dispatcher::on_hello(PeerId from, const Envelope& envelope, const Hello& hello, TimePoint now) {
  if (auto it = peers_.find(from); it != peers_.end()) {
    end_session(*it->second, "it introduced itself again", false, now);
    actions_.pop_back();  // The Forget: this peer stays, in a new session.
  }
  if (!envelope.incarnation || !hello.node) return refuse(from, nullptr, "its HELLO names no node or no incarnation");
  if (hello.slots > slots_max)
    return refuse(from, nullptr,
                  "its HELLO claims " + std::to_string(hello.slots) + " slots; a worker has at most " +
                      std::to_string(slots_max));
  if (hello.role == Role::worker && std::any_of(hello.held.begin(), hello.held.end(),
                                                [this](const HeldRange& held) { return !was_given(held.lease); }))
    return refuse(from, nullptr, "its HELLO names a lease that was never given");
  if (auto it = incarnations_.find(envelope.incarnation); it != incarnations_.end()) {
    // Others know a peer's incarnation, but not its node: nobody ends a session by taking its owner's name.
    if (it->second->node != hello.node) return refuse(from, nullptr, "its HELLO takes the name of another");
    end_session(*it->second, "it has connected anew", false, now);
  }
  auto owned = std::make_unique<Peer>();
  Peer& peer = *owned;
  peer.id = from;
  peer.session = {incarnation_.value ^ ++next_session_};
  peer.role = hello.role;
  peer.node = hello.node;
  peer.incarnation = envelope.incarnation;
  peer.name = hello.name.substr(0, name_bytes_max);
  peer.heard = peer.spoken = now;
  peers_.emplace(from, std::move(owned));
  sessions_.emplace(peer.session, &peer);
  incarnations_.emplace(peer.incarnation, &peer);
  welcome(peer, hello.greeting);
  if (hello.role == Role::client) {
    peer.results_address = hello.results_address;
    return notice(Level::debug, "client " + peer.name + " is here");
  }
  if (hello.role == Role::sink) {
    ++sinks_open_;
    peer.results_address = hello.results_address;
    notice(Level::info, "sink " + peer.name + " is here");
    if (!hello.held.empty()) peer.claims = hello.held.front().job;
    if (auto it = jobs_.find(peer.claims); it != jobs_.end() && it->second->closed) {
      send(peer, std::exchange(peer.claims, {}), Close{});  // The first one was lost with a session.
    }
    for (const auto& [id, job] : jobs_) give_sink(*job, now);
    return;
  }
  ++workers_open_;
  worker_incarnations_.insert(peer.incarnation);
  slots_open_ += hello.slots;
  peer.slots = hello.slots;
  peer.results_address = hello.results_address;
  peer.credit = hello.credit;
  for (const FunctionOffer& offer : hello.functions) peer.functions.emplace(offer.name, offer.repeatable);
  notice(Level::info, "worker " + peer.name + " is here with " + std::to_string(peer.slots) +
                          (peer.slots == 1 ? " slot" : " slots"));
  reconcile(peer, hello.held, now);
  feed_hungry(now);
}

// Whoever seeks a stream has no session here: it is told where it is, and asks again if it is not there any more.
void Dispatcher::on_seek(PeerId from) {
  for (const auto& [id, peer] : peers_)
    if (peer->role == Role::worker && !peer->results_address.empty())
      actions_.push_back(Send{from, {}, {}, Stream{peer->results_address}});
  actions_.push_back(Forget{from});
}

void Dispatcher::welcome(Peer& peer, std::uint64_t greeting) {
  using std::chrono::milliseconds;
  const auto interval = std::chrono::ceil<milliseconds>(heartbeat());
  peer.heartbeat = interval;
  const auto count = [](milliseconds time) { return static_cast<std::uint32_t>(time.count()); };
  send(peer, {}, Welcome{count(interval), count(interval * patience(peer)), greeting});
}

// Adopted: still in the backlog, so the worker keeps it under its old lease. What has an outcome is of no use any
// more. What is leased elsewhere races: a finished result is sent to the sink all the same, which says what it is
// worth; the unfinished is dropped where it has not begun. While the job has no sink nothing can be said of it, and
// nothing is lost by waiting: nobody else is given the tasks either.
void Dispatcher::reconcile(Peer& worker, const std::vector<HeldRange>& held, TimePoint now) {
  std::map<LeaseId, bool> all_finished;
  for (const HeldRange& one : held) {
    auto it = jobs_.find(one.job);
    if (it == jobs_.end() || it->second->closed)
      send(worker, one.job, Cancel{one.lease, one.range});
    else if (!it->second->sink_ready)
      worker.undecided.push_back(one);
    else
      reconcile_one(worker, *it->second, one, now);
    all_finished.try_emplace(one.lease, true).first->second &= one.finished;
  }
  for (const auto& [id, job] : jobs_)
    for (const LeaseId lease_id : job->account.leases_of(worker.session))
      if (auto it = all_finished.find(lease_id); it != all_finished.end() && it->second)
        job->account.find(lease_id)->finished_since = now;
  update_hunger(worker);
}

void Dispatcher::reconcile_one(Peer& worker, Job& job, const HeldRange& held, TimePoint now) {
  open_on(worker, job);
  job.account.exonerate(held.range);
  IntervalSet left{held.range};
  for (const Range adopted : job.account.adopt(held.lease, worker.session, held.range, now)) left.erase(adopted);
  for (const Range range : left.ranges()) {
    if (!held.finished) {
      send(worker, job.id, Cancel{held.lease, range});
      continue;
    }
    IntervalSet settled;  // Of a resumed job the sink has some that are not offered again yet.
    for (const Range part : job.account.ledger().settled().present(range)) settled.insert(part);
    for (const Range part : job.sink_has.present(range)) settled.insert(part);
    if (settled.empty()) continue;
    Verdicts verdicts;
    for (const Range part : settled.ranges()) {
      verdicts.verdicts.push_back({held.lease, part, Verdict::duplicate});
      count_duplicates(job, &worker, part.count);
    }
    send(worker, job.id, std::move(verdicts));
  }
}

void Dispatcher::end_session(Peer& peer, const std::string& why, bool crashed, TimePoint now) {
  if (peer.role == Role::worker)
    lose_worker(peer, why, crashed, now);
  else
    lose_sink(peer, why, now);
  if (peer.hunger) hungry_.erase({*peer.hunger, peer.id});
  sessions_.erase(peer.session);
  if (auto it = incarnations_.find(peer.incarnation); it != incarnations_.end() && it->second == &peer)
    incarnations_.erase(it);
  actions_.push_back(Forget{peer.id});
  peers_.erase(peer.id);  // Destroys `peer`.
}

void Dispatcher::lose_worker(Peer& worker, const std::string& why, bool crashed, TimePoint now) {
  --workers_open_;
  if (!worker.leaving) slots_open_ -= worker.slots;
  worker.leaving = true;
  const std::size_t leases = lease_count(worker);
  std::uint64_t tasks = 0;
  bool may_return = false;  // Some of it is not requeued.
  for (const auto& [id, job] : jobs_) {
    std::size_t place = 0;
    tasks += job->account.held_by(worker.session);
    may_return = may_return || (job->account.held_by(worker.session) > 0 && fails_lost(*job, worker));
    for (const LeaseId lease_id : job->account.leases_of(worker.session)) {
      const Lease& lease = *job->account.find(lease_id);
      const bool may_have_begun = (lease.begun || place++ < worker.slots) && !lease.finished_since;
      if (crashed && may_have_begun && !fails_lost(*job, worker))
        suspect(*job, worker, lease_id, leases == 1, now);
      else
        lose_lease(*job, worker, lease_id, lease.history, now);
    }
    if (crashed && worker.opened.contains(id)) ++job->counters.workers_lost;
    maybe_end(*job);
  }
  if (crashed || leases > 0)
    notice(Level::warning, "worker " + worker.name + " lost: " + why + "; " + std::to_string(leases) +
                               (leases == 1 ? " batch (" : " batches (") + tasks_text(tasks) +
                               (may_return ? ") lost unless it comes back" : ") requeued"));
  else
    notice(Level::info, "worker " + worker.name + " has left: " + why);
}

void Dispatcher::lose_sink(Peer& sink, const std::string& why, TimePoint now) {
  const bool is_client = sink.role == Role::client;
  if (is_client)
    notice(sink.has_submitted ? Level::info : Level::debug, "client " + sink.name + " has left: " + why);
  else
    --sinks_open_;
  for (const auto& [id, job] : jobs_) {
    if (job->sink != &sink) continue;
    job->sink = nullptr;
    job->sink_lost = now;
    job->sink_ready = false;
    if (!planted("END is not said again")) job->ending = false;
    if (!job->closed && !is_client)
      notice(Level::warning, "sink " + sink.name + " lost: " + why + "; its job waits for a sink");
  }
}

// --- Jobs and their sinks ----------------------------------------------------------------------------------------

Open Dispatcher::open_message(const Job& job, std::string fold) {
  const JobOptions& options = job.options;
  return {options.name,      options.function,
          options.constants, options.constant_count,
          options.index,     static_cast<std::uint64_t>(options.timeout.count()),
          options.tries_max, true,
          std::move(fold)};
}

// The sink that has results of the job, if it is there. Any other cannot have them, so that the job would fail: only
// when the first has not come back for a while.
void Dispatcher::give_sink(Job& job, TimePoint now) {
  if (job.sink != nullptr || job.closed || job.owner) return;
  const bool nobody_has_any = job.account.ledger().count() == 0 && !job.options.resumed;
  const bool any = nobody_has_any || now - job.sink_lost >= options_.sink_grace;
  for (const auto& [id, peer] : peers_) {
    if (peer->role != Role::sink || peer->serves || (job.sink != nullptr && peer->claims != job.id)) continue;
    if (peer->claims ? peer->claims == job.id : any) job.sink = peer.get();
  }
  if (job.sink == nullptr) return;
  job.sink->serves = job.id;
  send(*job.sink, job.id, open_message(job, {}));
}

void Dispatcher::open_on(Peer& worker, Job& job) {
  auto [it, fresh] = worker.opened.try_emplace(job.id);
  if (fresh) send(worker, job.id, open_message(job, job.fold));
  if (it->second == job.sink->incarnation) return;
  if (job.owner) introduce(worker, *job.sink);
  it->second = job.sink->incarnation;
  send(worker, job.id, Route{job.sink->incarnation, job.sink->results_address});
}

void Dispatcher::on_opened(Peer& sink, Job& job, const Opened& opened, TimePoint now) {
  if (!opened.refusal.empty()) {
    actions_.push_back(JobFailed{job.id, 0, "the sink refused the job: " + opened.refusal});
    return close_job(job, now);
  }
  job.fold = opened.fold;
  job.granularity = Granularity{options_.granularity, !job.fold.empty()};
  (void)attach(sink, job, opened.have, opened.exceptions, opened.credit, now);
}

// The sink, new or back again, says what it has of the job. False if results are lost that it should have.
bool Dispatcher::attach(Peer& sink, Job& job, const std::vector<Range>& have,
                        const std::vector<RangeOutcome>& exceptions, const SinkCredit& credit, TimePoint now) {
  job.sink_has.clear();
  if (!planted("the failures that a sink has are forgotten")) job.sink_exceptions = exceptions;
  for (const Range range : have) job.sink_has.insert(range);
  take_in_beyond_end(job);
  for (const Range range : job.sink_has.present({0, job.account.submitted()})) settle_known(job, range);
  std::uint64_t lost = 0;
  for (const Range range : job.account.ledger().settled().ranges())
    for (const Range gone : job.sink_has.missing(range)) lost += gone.count;
  if (planted("lost results go unnoticed")) lost = 0;
  if (lost > 0) {
    actions_.push_back(JobFailed{
        job.id, lost,
        "the sink that stored " + tasks_text(lost) + " is gone, and the new one does not have their results"});
    close_job(job, now);
    return false;
  }
  for (const Range retired : job.options.retired)
    for (const Range gone : job.sink_has.missing(retired)) lost += gone.count;
  if (lost > 0) {
    actions_.push_back(JobFailed{job.id, lost,
                                 "the sink does not have " + tasks_text(lost) +
                                     " that were settled before this job was resumed, and their input is gone"});
    close_job(job, now);
    return false;
  }
  if (job.options.resumed && !std::exchange(job.resume_said, true))
    actions_.push_back(JobResumed{job.id, job.sink_has.count()});
  job.sink_ready = true;
  job.credit = credit;
  job.stored_bytes = 0;
  if (!planted("a proposal is made once only"))
    for (const Propose& proposal : job.proposals) send(sink, job.id, proposal);
  for (const auto& [id, peer] : peers_) {
    if (auto it = peer->opened.find(job.id); it != peer->opened.end()) {
      it->second = {};  // Verdicts may have been lost with the sink's session: the route is said again.
      open_on(*peer, job);
    }
    reconcile(*peer, std::exchange(peer->undecided, {}), now);
  }
  for (const auto& [id, peer] : peers_) update_hunger(*peer);
  maybe_end(job);
  feed_hungry(now);
  return true;
}

// The sink had outcomes for these numbers before it could tell us.
void Dispatcher::settle_known(Job& job, Range range) {
  for (const Range fresh : job.account.ledger().missing(range)) {
    std::vector<FailureNote> failures;
    for (const RangeOutcome& exception : job.sink_exceptions)
      if (const Range part = intersection(exception.range, fresh); !part.empty())
        failures.push_back({part, exception.outcome, {}, {}});
    for (const Account::Loser& loser : job.account.settle(fresh, exceptions_of(failures), {})) cancel_loser(job, loser);
    actions_.push_back(Settled{job.id, fresh, std::move(failures)});
  }
}

void Dispatcher::cancel_loser(const Job& job, const Account::Loser& loser) {
  auto it = sessions_.find(loser.holder);
  if (it == sessions_.end()) return;
  send(*it->second, job.id, Cancel{loser.lease, loser.range});
  lease_ended(*it->second);
}

void Dispatcher::propose(Job& job, const std::vector<Range>& ranges, Outcome outcome, std::uint32_t tries,
                         const std::string& kind, const std::string& message) {
  if (ranges.empty()) return;
  if (job.proposals.size() >= job.proposals_limit) {
    std::erase_if(job.proposals, [&job](const Propose& old) {
      return std::all_of(old.ranges.begin(), old.ranges.end(),
                         [&job](Range range) { return job.account.ledger().has(range); });
    });
    job.proposals_limit = std::max<std::size_t>(64, 2 * job.proposals.size());
  }
  job.proposals.push_back({ranges, outcome, tries, kind, message});
  if (job.sink_ready) send(*job.sink, job.id, job.proposals.back());
}

void Dispatcher::maybe_end(Job& job) {
  if (job.cancelled)  // What has come back since, too.
    propose(job, job.account.propose_waiting(), Outcome::cancelled, 0, "cancelled",
            "the job was ended before this task ran");
  const bool input_ended = job.ended || planted("END comes before the input has ended");
  if (!input_ended || job.ending || job.closed || !job.sink_ready || !job.account.all_settled() ||
      !job.unpersisted.empty())
    return;
  job.ending = true;
  send(*job.sink, job.id, End{job.account.submitted()});
}

void Dispatcher::on_closed(Peer& sink, Job& job, const Closed& closed, TimePoint now) {
  if (!job.ending && closed.error.empty()) return refuse(sink.id, &sink, "CLOSED before END");
  if (job.report) return;  // It said so before, and the disk has not.
  if (closed.error.empty()) {
    job.report = closed;
    if (!job.options.durable || planted("a job is over before the disk knows")) return finish_job(job, now);
    persist(job, JobRecord::Kind::closed, {0, job.account.submitted()});
    job.closed_token = next_token_;
    return;
  }
  actions_.push_back(JobFailed{job.id, 0, "the sink could not write its output: " + closed.error});
  close_job(job, now);
}

void Dispatcher::finish_job(Job& job, TimePoint now) {
  actions_.push_back(JobClosed{job.id, *job.report});
  close_job(job, now);
}

void Dispatcher::close_job(Job& job, TimePoint now) {
  job.closed = true;
  for (const auto& [id, peer] : peers_)
    if (peer->opened.erase(job.id) +
            std::erase_if(peer->undecided, [&job](const HeldRange& held) { return held.job == job.id; }) >
        0)
      send(*peer, job.id, Close{});
  if (job.sink != nullptr) {
    send(*job.sink, job.id, Close{});
    job.sink->serves = {};
  }
  job.sink = nullptr;
  job.sink_ready = false;
  if (job.owner) over_.push_back(job.id);
  for (const auto& [id, other] : jobs_) give_sink(*other, now);
}

// --- Results -----------------------------------------------------------------------------------------------------

void Dispatcher::on_stored(Peer& sink, Job& job, const Stored& stored, TimePoint now) {
  job.credit = {std::max(job.credit.tasks, stored.credit.tasks), std::max(job.credit.bytes, stored.credit.bytes),
                std::max(job.credit.number_limit, stored.credit.number_limit)};
  std::map<IncarnationId, Verdicts> verdicts;
  for (const Settlement& settlement : stored.settlements) {
    const bool known = !settlement.range.empty() && settlement.range.end() <= job.account.submitted();
    const bool waits = settlement.range.end() <= job.accepted;  // For the disk.
    if (!known && (settlement.range.empty() || !(waits || job.options.resumed)))
      return refuse(sink.id, &sink, "STORED names numbers that were never submitted");
    known ? settle(job, settlement, now) : remember_stored(job, settlement);
    const bool lost = planted("verdicts are lost") ||
                      (planted("verdicts of duplicates are lost") && settlement.verdict == Verdict::duplicate);
    if (settlement.worker && !lost)
      verdicts[settlement.worker].verdicts.push_back({settlement.lease, settlement.range, settlement.verdict});
  }
  for (auto& [incarnation, message] : verdicts)
    if (auto it = incarnations_.find(incarnation); it != incarnations_.end())
      send(*it->second, job.id, std::move(message));
  if (job.owner) give_room(job, false);
  maybe_end(job);
  feed_hungry(now);
}

// A worker that outlived the dispatcher before this one had it, and the input has not been read so far again; or a
// client has settled what it had just offered, and the disk does not know it yet.
void Dispatcher::remember_stored(Job& job, const Settlement& settlement) {
  job.stored_bytes += settlement.bytes;
  if (settlement.verdict != Verdict::stored) return;
  if (planted("what is stored ahead of the input is forgotten")) return;
  job.sink_has.insert(settlement.range);
  for (const RangeOutcome& exception : exceptions_of(settlement.failures)) job.sink_exceptions.push_back(exception);
  take_in_beyond_end(job);
  const Range submitted{0, job.account.submitted()};
  if (const Range part = intersection(submitted, settlement.range); !part.empty()) settle_known(job, part);
}

// The job has ended earlier than its life before had read: what the sink has beyond belongs to it, and what lies
// between can neither be read nor run any more.
void Dispatcher::take_in_beyond_end(Job& job) {
  if (!job.options.resumed || !job.ended || job.sink_has.empty() || !job.unpersisted.empty()) return;
  const Number end = job.sink_has.ranges().back().end();
  if (end <= job.accepted) return;
  const Range beyond{job.accepted, end - job.accepted};
  job.accepted = end;
  job.account.offer(beyond.count, 0);
  for (const Range known : job.sink_has.present(beyond)) settle_known(job, known);
  propose(job, job.account.propose(beyond), Outcome::cancelled, 0, "cancelled",
          "the job was ended before this task ran");
}

void Dispatcher::settle(Job& job, const Settlement& settlement, TimePoint now) {
  const Range range = settlement.range;
  const Lease* lease = job.account.find(settlement.lease);
  const History history = lease != nullptr ? lease->history : History{};
  const SessionId holder = lease != nullptr ? lease->holder : SessionId{};
  if (lease != nullptr) job.slowest_batch = std::max(job.slowest_batch, now - lease->granted);
  if (settlement.verdict == Verdict::stored) {
    if (job.account.ledger().touches(range)) {
      notice(Level::error, "the sink says that it stored tasks which have an outcome already; ignored");
      return;
    }
    job.last_settled = now;
    job.stored_bytes += settlement.bytes;
    const double bytes_each = static_cast<double>(settlement.bytes) / static_cast<double>(range.count);
    if (settlement.worker)
      job.result_bytes = job.result_bytes == 0 ? bytes_each : 0.9 * job.result_bytes + 0.1 * bytes_each;
    if (settlement.busy_nanoseconds > 0)
      job.granularity.observe(range.count, std::chrono::nanoseconds{settlement.busy_nanoseconds});
    for (const Account::Loser& loser : job.account.settle(range, exceptions_of(settlement.failures), settlement.lease))
      cancel_loser(job, loser);
    actions_.push_back(Settled{job.id, range, settlement.failures});
  } else if (settlement.verdict == Verdict::refused) {
    propose(job, job.account.propose(range, settlement.lease), Outcome::failed, history.tries + 1, "result",
            "the sink could not read its result");
  } else {
    auto it = incarnations_.find(settlement.worker);
    count_duplicates(job, it == incarnations_.end() ? nullptr : it->second, range.count);
    if (settlement.verdict == Verdict::duplicate) settle_known(job, range);
    // A folded result dropped as a whole frees numbers that nobody else has.
    job.account.release(settlement.lease, range, history);
  }
  if (auto it = sessions_.find(holder); it != sessions_.end()) lease_ended(*it->second);
}

void Dispatcher::count_duplicates(Job& job, const Peer* worker, std::uint64_t count) {
  job.counters.duplicates += count;
  notice(Level::info, "dropped late results of " + tasks_text(count) +
                          (worker != nullptr ? " from worker " + worker->name : std::string{}) +
                          ": they had an outcome already");
}

void Dispatcher::forget_undecided(Peer& worker, LeaseId lease, Range range) {
  std::vector<HeldRange> left;
  for (const HeldRange& one : worker.undecided) {
    if (one.lease != lease) {
      left.push_back(one);
      continue;
    }
    IntervalSet rest{one.range};
    rest.erase(range);
    for (const Range part : rest.ranges()) left.push_back({one.job, one.lease, part, one.finished});
  }
  worker.undecided = std::move(left);
}

void Dispatcher::on_return(Peer& worker, Job& job, const Return& returned, TimePoint now) {
  const Lease* lease = job.account.find(returned.lease);
  if (returned.reason == ReturnReason::not_begun && worker.retracts_open > 0) --worker.retracts_open;
  if (returned.ranges.empty()) worker.nothing_to_retract = true;
  if (lease == nullptr || lease->holder != worker.session) {  // Settled, expired, somebody else's or undecided.
    for (const Range range : returned.ranges) forget_undecided(worker, returned.lease, range);
    return;
  }
  const Lease before = *lease;
  switch (returned.reason) {
    case ReturnReason::failed:
      on_failed_try(job, before, returned, now);
      note_returned(job, worker, returned.ranges);
      break;
    case ReturnReason::cancelled:
      for (const Range range : returned.ranges)
        for (const Range held : before.remaining.present(range))
          propose(job, job.account.propose(held, before.id), Outcome::cancelled, before.history.tries, "cancelled",
                  "the job was cancelled while this task ran");
      break;
    case ReturnReason::dead:
      for (const Range range : returned.ranges)
        for (const Range held : before.remaining.present(range))
          propose(job, job.account.propose(held, before.id), Outcome::dead, before.history.tries + 1, returned.kind,
                  returned.message);
      break;
    case ReturnReason::unknown:
      worker.functions.erase(job.options.function);
      notice(Level::warning,
             "worker " + worker.name + " cannot run '" + job.options.function + "': " + returned.message);
      [[fallthrough]];
    case ReturnReason::not_begun:
      for (const Range range : returned.ranges)
        job.counters.retracted += job.account.release(before.id, range, before.history);
      note_returned(job, worker, returned.ranges);
      break;
    case ReturnReason::stopped:
      on_stopped(worker, job, before, returned);
      break;
  }
  lease_ended(worker);
  maybe_end(job);
  feed_hungry(now);
}

// They had begun, and their worker has left without waiting for them.
void Dispatcher::on_stopped(const Peer& worker, Job& job, const Lease& lease, const Return& returned) {
  for (const Range range : returned.ranges) {
    if (!fails_lost(job, worker)) {
      job.account.release(lease.id, range, lease.history);
      continue;
    }
    for (const Range held : lease.remaining.present(range))
      propose(job, job.account.propose(held, lease.id), Outcome::lost, lease.history.tries + 1, "lost",
              "it was stopped, for worker " + worker.name + " was told to leave at once");
  }
}

void Dispatcher::note_returned(Job& job, const Peer& worker, const std::vector<Range>& ranges) {
  if (!job.options.durable || !fails_lost(job, worker)) return;
  for (const Range range : ranges) persist(job, JobRecord::Kind::returned, range);
}

void Dispatcher::on_failed_try(Job& job, const Lease& lease, const Return& returned, TimePoint now) {
  History history = lease.history;
  history.tries += planted("tries are not counted") ? 0 : planted("a try is counted twice") ? 2 : 1;
  for (const Range range : returned.ranges) {
    for (const Range held : lease.remaining.present(range)) {
      if (history.tries >= job.options.tries_max) {
        propose(job, job.account.propose(held, lease.id), Outcome::failed, history.tries, returned.kind,
                returned.message);
        continue;
      }
      const Duration delay = std::min(options_.retry_delay_max,
                                      options_.retry_delay * (std::int64_t{1} << std::min(history.tries - 1, 20U)));
      job.account.release(lease.id, held, history, now + delay);
      job.counters.retries += held.count;
    }
  }
}

void Dispatcher::on_progress(Peer& worker, const Progress& progress, TimePoint now) {
  worker.credit = {std::max(worker.credit.tasks, progress.credit.tasks),
                   std::max(worker.credit.bytes, progress.credit.bytes)};
  if (!worker.leaving) slots_open_ = slots_open_ - worker.slots + std::min(worker.slots, progress.slots);
  worker.slots = std::min(worker.slots, progress.slots);
  // What has not begun waits its turn, as long as there is something to wait for.
  const bool alive = planted("a lease is renewed by being alive");
  const auto in_time = [this](const RunningLease& running) {
    const auto it = jobs_.find(running.job);
    const Duration timeout = it == jobs_.end() ? Duration{0} : it->second->options.timeout;
    return running.running_nanoseconds > 0 &&
           (timeout.count() == 0 || std::chrono::nanoseconds{running.running_nanoseconds} < timeout);
  };
  const bool busy = std::exchange(worker.finished, progress.finished) != progress.finished ||
                    std::any_of(progress.running.begin(), progress.running.end(), in_time);
  for (const auto& [id, job] : jobs_)
    for (const LeaseId lease_id : job->account.leases_of(worker.session))
      if (Lease& lease = *job->account.find(lease_id); alive || (busy && !lease.begun)) lease.renewed = now;
  for (const RunningLease& running : progress.running) {
    auto it = jobs_.find(running.job);
    Lease* lease = it == jobs_.end() ? nullptr : it->second->account.find(running.lease);
    if (lease == nullptr || lease->holder != worker.session) continue;
    lease->begun = true;
    if (running.finished > lease->finished || in_time(running)) lease->renewed = now;
    lease->finished = running.finished;
    if (running.finished >= lease->total && running.running_nanoseconds == 0 && !lease->finished_since)
      lease->finished_since = now;
  }
  update_hunger(worker);
  feed_hungry(now);
}

// --- What is known -----------------------------------------------------------------------------------------------

Audit Dispatcher::audit(JobId job) const { return jobs_.at(job)->account.audit(); }
const JobCounters& Dispatcher::counters(JobId job) const { return jobs_.at(job)->counters; }
const Account& Dispatcher::account(JobId job) const { return jobs_.at(job)->account; }
std::uint64_t Dispatcher::queued(JobId job) const { return jobs_.at(job)->account.backlog().count(); }
std::uint64_t Dispatcher::queued_bytes(JobId job) const { return jobs_.at(job)->account.backlog().bytes(); }
bool Dispatcher::job_running(JobId job) const { return jobs_.at(job)->account.leased_count() > 0; }

std::string Dispatcher::why_waiting(JobId id) const {
  const Job& job = *jobs_.at(id);
  if (job.closed) return {};
  if (job.sink == nullptr && job.owner) return "its client " + job.owner_name + " is gone";
  if (job.sink == nullptr && job.account.ledger().count() > 0)
    return "the sink that stored " + tasks_text(job.account.ledger().count()) + " has not come back";
  if (job.sink == nullptr) return sinks_open_ == 0 ? "no sink has connected" : "every sink serves another job";
  if (!job.sink_ready) return "the sink " + job.sink->name + " has not opened the job yet";
  if (job.ending) return "the sink " + job.sink->name + " has not finished its output yet";
  if (job.account.leased_count() > 0 || job.account.backlog().empty()) return {};
  if (workers_open_ == 0) return "no worker has connected";
  const bool served = std::any_of(peers_.begin(), peers_.end(), [&](const auto& entry) {
    return entry.second->role == Role::worker && job.serves(*entry.second);
  });
  if (!served)
    return "none of the " + std::to_string(workers_open_) + " workers has the function '" + job.options.function + "'";
  if (sink_room(job) == 0)
    return "the " + std::string{job.owner ? "client " : "sink "} + job.sink->name + " has no room for results";
  return {};
}

void Dispatcher::tell_unfit_workers(JobId id) {
  Job& job = *jobs_.at(id);
  if (job.closed || !job.sink_ready) return;
  for (const auto& [peer_id, peer] : peers_)
    if (peer->role == Role::worker && !job.serves(*peer)) open_on(*peer, job);
}

std::string Dispatcher::check() const {
  for (const auto& [id, job] : jobs_)
    if (std::string wrong = job->account.check(); !wrong.empty()) return "job " + to_string(id) + ": " + wrong;
  std::uint64_t slots = 0;
  std::size_t workers = 0;
  std::size_t leases = 0;
  for (const auto& [id, peer] : peers_) {
    if (sessions_.at(peer->session) != peer.get() || incarnations_.at(peer->incarnation) != peer.get())
      return "a peer is not where it is looked for";
    if (peer->hunger.has_value() != hungry_.contains({peer->hunger.value_or(0), id}))
      return "the hungry are not those who say so";
    if (peer->role != Role::worker) continue;
    ++workers;
    slots += peer->leaving ? 0 : peer->slots;
    leases += lease_count(*peer);
    if (peer->quarantined && lease_count(*peer) != 1) return "a suspect does not run alone";
  }
  std::size_t granted = 0;
  for (const auto& [id, job] : jobs_) granted += job->account.lease_count();
  if (leases != granted) return "a lease is held by nobody";
  if (slots != slots_open_ || workers != workers_open_) return "the workers are miscounted";
  if (sessions_.size() != peers_.size() || incarnations_.size() != peers_.size()) return "a session has no peer";
  return {};
}

}  // namespace ventile
