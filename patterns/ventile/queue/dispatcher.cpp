#include <ventile/queue/dispatcher.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr std::size_t actions_kept_max = 4'096;  // Memory for more is given back.
constexpr std::size_t unread_max = 16;           // Peers. Of so many the fault is on this side.

}  // namespace

Dispatcher::Dispatcher(IncarnationId incarnation, DispatcherOptions options)
    : incarnation_(incarnation),
      options_(std::move(options)),
      borrows_(bool{options_.machine}),
      quota_(options_.key_limits) {}
Dispatcher::~Dispatcher() = default;

Actions Dispatcher::take_actions() {
  forget_jobs();
  return std::exchange(actions_, {});
}

bool Dispatcher::take_actions(Actions& done) {
  forget_jobs();
  done.clear();
  if (done.capacity() > actions_kept_max) done = Actions{};
  std::swap(done, actions_);
  return !done.empty();
}

void Dispatcher::send(const Peer& peer, JobId job, Message message) {
  actions_.push_back(Send{peer.id, job, peer.session, std::move(message)});
}

// Whether the peer was to be forgotten once the actions are carried out.
bool Dispatcher::take_back_forget(PeerId peer) {
  return std::erase_if(actions_, [peer](const Action& action) {
           const auto* forget = std::get_if<Forget>(&action);
           return forget != nullptr && forget->peer == peer;
         }) > 0;
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
  recall_suspects(job, range);
  // What a worker of the life before has not brought back by then is lost.
  for (const Range begun : job.options.begun)
    job.account.set_aside(intersection(begun, range), now + options_.sink_grace + options_.lease);
  job.granularity.observe_submit(now);
  feed_hungry(now);
}

void Dispatcher::persist(Job& job, JobRecord::Kind kind, Range range) {
  actions_.push_back(Persist{++next_token_, job.id, {kind, range}, {}});
}

void Dispatcher::on_persisted(std::uint64_t token, TimePoint now) {
  persisted_ = std::max(persisted_, token);
  for (const auto& [id, job] : jobs_) {
    if (job->ended_token != 0 && job->ended_token <= token) {
      job->ended_token = 0;
      if (job->kept && job->answer_token == 0) job->answer_token = token;
    }
    const std::uint64_t submitted = job->account.submitted();
    for (; !job->unpersisted.empty() && job->unpersisted.front().token <= token; job->unpersisted.pop_front())
      submit(*job, job->unpersisted.front().range, job->unpersisted.front().bytes, now);
    // Its client holds what it is not told of.
    if (job->kept && job->account.submitted() > submitted) give_room(*job, true);
    if (job->answer_token != 0 && job->answer_token <= token) {
      job->answer_token = 0;
      give_room(*job, true);
    }
    for (; !job->unsent.empty() && job->unsent.front().token <= token; job->unsent.pop_front())
      send_lease(*job, job->unsent.front(), now);
    if (job->report && job->closed_token <= token && !job->closed)
      job->discarded.empty() ? finish_job(*job, now) : finish_discarded(*job);
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

// It is death. A crowd that has come since makes everybody wait, the words of those in it that live, too.
Duration Dispatcher::silence_max(const Peer& peer) const {
  return std::max(peer.heartbeat_kept, heartbeat()) * patience(peer);
}

void Dispatcher::refuse(PeerId from, Peer* peer, const std::string& why, RefusedFor reason) {
  refused_.count(reason);
  notice(Level::warning, "refused a message" + (peer != nullptr ? " of " + peer->name : std::string{}) + ": " + why);
  actions_.push_back(Send{from, {}, peer != nullptr ? peer->session : SessionId{}, Refused{Refusal::malformed, why}});
}

void Dispatcher::on_malformed(PeerId from, const Error& error, std::optional<std::uint16_t> version, TimePoint now) {
  const bool is_foreign = version && *version != protocol_version;
  refused_.count(is_foreign ? RefusedFor::version : RefusedFor::malformed);
  auto it = peers_.find(from);
  if (is_foreign) {
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

void Dispatcher::on_unauthorized(PeerId from, RefusedFor reason, const std::string& why, TimePoint now) {
  refused_.count(reason);
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
  refused_.count(RefusedFor::revoked);
  notice(Level::warning, "refused a message: the key of its sender is not on the list any more");
}

void Dispatcher::on_unreadable(PeerId from, const Error& error, TimePoint now) {
  const auto it = peers_.find(from);
  if (it == peers_.end() || error.code == Code::disconnected) return ask_again(from);
  Peer& peer = *it->second;
  if (!peer.machine || peer.machine != options_.machine) return on_malformed(from, error, std::nullopt, now);
  if (borrows_ && unread_.insert(peer.incarnation).second) {
    borrows_ = unread_.size() < unread_max;
    notice(Level::warning,
           error.message + " From now on nothing is lent by " + (borrows_ ? peer.name : "anybody") + ".");
    if (!borrows_) unread_.clear();
  }
  ask_again(from);
  // What a worker says next does not depend on it; what is offered next does.
  if (peer.role == Role::client) end_session(peer, "a message that it lent is lost", false, now);
}

// Whoever said something has no session, or shall have another.
void Dispatcher::ask_again(PeerId from) {
  const bool is_going = take_back_forget(from);
  actions_.push_back(Send{from, {}, {}, HelloAgain{}});
  if (is_going) actions_.push_back(Forget{from});  // After it has been told.
}

void Dispatcher::on_part(PeerId from, TimePoint now) {
  if (auto it = peers_.find(from); it != peers_.end()) it->second->heard = now;
}

void Dispatcher::on_message(PeerId from, const Received& received, TimePoint now) {
  auto it = peers_.find(from);
  Peer* peer = it == peers_.end() ? nullptr : it->second.get();
  if (const auto* hello = std::get_if<Hello>(&received.message)) return on_hello(from, received.envelope, *hello, now);
  if (peer == nullptr && std::holds_alternative<Seek>(received.message)) return on_seek(from);
  if (peer == nullptr || received.envelope.session != peer->session) return ask_again(from);
  peer->heard = now;
  peer->heartbeat_kept = peer->heartbeat;
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
    on_waiting(*peer, waiting->tasks);
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

// --- What is known -----------------------------------------------------------------------------------------------

Audit Dispatcher::audit(JobId job) const { return jobs_.at(job)->account.audit(); }
const JobCounters& Dispatcher::counters(JobId job) const { return jobs_.at(job)->counters; }
const Account& Dispatcher::account(JobId job) const { return jobs_.at(job)->account; }
std::uint64_t Dispatcher::queued(JobId job) const { return jobs_.at(job)->account.backlog().count(); }
std::uint64_t Dispatcher::queued_bytes(JobId job) const { return jobs_.at(job)->account.backlog().bytes(); }
bool Dispatcher::job_running(JobId job) const { return jobs_.at(job)->account.leased_count() > 0; }

std::string Dispatcher::check() const {
  for (const auto& [id, job] : jobs_)
    if (std::string wrong = job->account.check(); !wrong.empty()) return "job " + to_string(id) + ": " + wrong;
  std::uint64_t slots = 0;
  std::size_t workers = 0;
  std::size_t leases = 0;
  for (const auto& [id, peer] : peers_) {
    if (sessions_.find(peer->session) != peer.get() || incarnations_.find(peer->incarnation) != peer.get())
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
