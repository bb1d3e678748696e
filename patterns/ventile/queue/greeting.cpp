// The part of Dispatcher that begins sessions and ends them: who comes, with what, and who is lost.
#include <algorithm>
#include <limits>
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr std::size_t name_bytes_max = 255;  // Of a peer, in log lines; the rest is cut.
constexpr std::uint32_t slots_max = 65'536;  // Of one worker: it may hold leases for each of them.

}  // namespace

// By this dispatcher or, for all it can know, by one before it.
bool Dispatcher::was_given(LeaseId lease) const {
  return lease && (lease.dispatcher != incarnation_ || lease.counter <= next_lease_);
}

void Dispatcher::on_hello(PeerId from, const Envelope& envelope, const Hello& hello, TimePoint now) {
  const auto end_earlier = [&](Peer& earlier, const char* why) {
    if (envelope.session != earlier.session) never_sent(earlier);
    end_session(earlier, why, false, now);
  };
  if (auto it = peers_.find(from); it != peers_.end()) end_earlier(*it->second, "it introduced itself again");
  // Whoever was to be forgotten stays, in a new session: its WELCOME must find it.
  take_back_forget(from);
  if (!envelope.incarnation || !hello.node)
    return refuse(from, nullptr, "its HELLO names no node or no incarnation", RefusedFor::malformed);
  if (hello.slots > slots_max)
    return refuse(
        from, nullptr,
        "its HELLO claims " + std::to_string(hello.slots) + " slots; a worker has at most " + std::to_string(slots_max),
        RefusedFor::over_limit);
  if (hello.role == Role::worker && std::any_of(hello.held.begin(), hello.held.end(),
                                                [this](const HeldRange& held) { return !was_given(held.lease); }))
    return refuse(from, nullptr, "its HELLO names a lease that was never given");
  if (Peer* const same = incarnations_.find(envelope.incarnation); same != nullptr) {
    // Others know a peer's incarnation, but not its node: nobody ends a session by taking its owner's name.
    if (same->node != hello.node) return refuse(from, nullptr, "its HELLO takes the name of another");
    end_earlier(*same, "it has connected anew");
  }
  const PeerIdentity identity = options_.identity_of ? options_.identity_of(from) : PeerIdentity{};
  const std::uint32_t slots = hello.role == Role::worker ? hello.slots : 0;
  if (const std::string why = quota_.objection_to(identity.key, slots); !why.empty())
    return refuse(from, nullptr, hello.name.substr(0, name_bytes_max) + " cannot come in: " + why,
                  RefusedFor::over_limit);
  auto owned = std::make_unique<Peer>();
  Peer& peer = *owned;
  peer.id = from;
  peer.session = {incarnation_.value ^ ++next_session_};
  peer.role = hello.role;
  peer.node = hello.node;
  peer.incarnation = envelope.incarnation;
  peer.name = hello.name.substr(0, name_bytes_max);
  peer.identity = identity;
  peer.slots = slots;
  quota_.begin(identity.key, slots);
  peer.heard = peer.spoken = now;
  peers_.emplace(from, std::move(owned));
  sessions_.insert(peer.session, peer);
  incarnations_.insert(peer.incarnation, peer);
  peer.machine = hello.machine;
  welcome(peer, hello.greeting);
  if (hello.role == Role::client) {
    peer.results_address = hello.results_address;
    return notice(Level::debug, "client " + peer.name + " is here");
  }
  if (hello.role == Role::sink) {
    ++sinks_open_;
    peer.results_address = hello.results_address;
    if (!is_local(from)) notice(Level::info, "sink " + peer.name + " is here");
    if (!hello.held.empty()) peer.claims = hello.held.front().job;
    if (auto it = jobs_.find(peer.claims); it != jobs_.end() && it->second->closed) {
      send(peer, std::exchange(peer.claims, {}), Close{});  // The first one was lost with a session.
    }
    for (const auto& [id, job] : jobs_) give_sink(*job, now);
    return;
  }
  ++workers_open_;
  worker_incarnations_.insert(peer.incarnation);
  slots_open_ += peer.slots;
  peer.results_address = hello.results_address;
  peer.credit = hello.credit;
  FunctionSet functions;
  for (const FunctionOffer& offer : hello.functions) functions.emplace(offer.name, offer.repeatable);
  peer.functions = function_sets_.share(std::move(functions));
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
  const Pace pace = set_pace(peer);
  peer.heartbeat_kept = peer.heartbeat;
  const bool may_lend = borrows_ && peer.machine == options_.machine && !unread_.contains(peer.incarnation);
  const MachineId machine = may_lend ? options_.machine : MachineId{};
  send(peer, {}, Welcome{pace.heartbeat_milliseconds, pace.dead_after_milliseconds, greeting, machine});
}

// How often this peer is to speak from now on.
Pace Dispatcher::set_pace(Peer& peer) {
  using std::chrono::milliseconds;
  const auto interval = std::chrono::ceil<milliseconds>(heartbeat());
  peer.heartbeat = interval;
  peer.heartbeat_kept = std::max(peer.heartbeat_kept, peer.heartbeat);
  const auto count = [](milliseconds time) {
    return static_cast<std::uint32_t>(std::min<std::int64_t>(time.count(), std::numeric_limits<std::uint32_t>::max()));
  };
  return {count(interval), count(interval * patience(peer))};
}

// A word to a peer to which nothing else was said, and news of how often it is to speak if that is worth telling.
void Dispatcher::say_heartbeat(Peer& peer, TimePoint now) {
  peer.spoken = now;
  const Duration wanted = heartbeat();
  const Duration difference = std::max(wanted, peer.heartbeat) - std::min(wanted, peer.heartbeat);
  if (difference > peer.heartbeat / 8)
    send(peer, {}, set_pace(peer));
  else
    send(peer, {}, Heartbeat{});
}

// --- Whoever comes with tasks in hand ----------------------------------------------------------------------------

// Adopted: still in the backlog, so the worker keeps it under its old lease. What has an outcome is of no use any
// more. What is leased elsewhere races: a finished result is sent to the sink all the same, which says what it is
// worth; the unfinished is dropped where it has not begun. While the job has no sink nothing can be said of it, and
// nothing is lost by waiting: nobody else is given the tasks either.
void Dispatcher::reconcile(Peer& worker, const std::vector<HeldRange>& held, TimePoint now) {
  std::map<LeaseId, bool> all_finished;
  for (const HeldRange& one : held) {
    auto it = jobs_.find(one.job);
    if (it == jobs_.end() || it->second->closed || !was_sealed(worker, one))
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

// Anybody could say that it holds all that is queued.
bool Dispatcher::was_sealed(const Peer& worker, const HeldRange& held) {
  if (!options_.is_sealed || options_.is_sealed(worker.id, held)) return true;
  refused_.count(RefusedFor::forged);
  notice(Level::warning, "worker " + worker.name + " says that it holds tasks without the seal of a lease of its own");
  return false;
}

void Dispatcher::reconcile_one(Peer& worker, Job& job, const HeldRange& held, TimePoint now) {
  open_on(worker, job);
  for (const Range innocent : job.account.exonerate(held.range)) note_suspect(job, innocent, {});
  IntervalSet left{held.range};
  const bool is_known = job.account.find(held.lease) != nullptr;
  if (is_known || may_have_more_leases(worker, worker.leases_kept)) {
    for (const Range adopted : job.account.adopt(held.lease, worker.session, held.range, now)) left.erase(adopted);
    if (!is_known && job.account.find(held.lease) != nullptr) ++worker.leases_kept;
  }
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

void Dispatcher::forget_undecided(Peer& worker, LeaseId lease, Range range) {
  std::vector<HeldRange> left;
  for (const HeldRange& one : worker.undecided) {
    if (one.lease != lease) {
      left.push_back(one);
      continue;
    }
    IntervalSet rest{one.range};
    rest.erase(range);
    for (const Range part : rest.ranges()) left.push_back({one.job, one.lease, part, one.finished, one.seal});
  }
  worker.undecided = std::move(left);
}

// --- Whoever goes ------------------------------------------------------------------------------------------------

void Dispatcher::end_session(Peer& peer, const std::string& why, bool crashed, TimePoint now) {
  if (peer.role == Role::worker)
    lose_worker(peer, why, crashed, now);
  else
    lose_sink(peer, why, now);
  if (peer.hunger) hungry_.erase({*peer.hunger, peer.id});
  quota_.end(peer.identity.key, peer.slots + peer.waiting);
  sessions_.erase(peer.session);
  incarnations_.erase(peer.incarnation);
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
      const bool may_have_begun = (lease.begun || place++ < worker.slots) && !lease.finished_since && !lease.unsent;
      if (crashed && may_have_begun && !fails_lost(*job, worker))
        suspect(*job, worker, lease_id, leases == 1, now);
      else
        lose_lease(*job, worker, lease_id, lease.history, now);
    }
    job->account.forget(worker.session);
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
    if (is_client) lose_client(sink, *job, now);
    if (job->sink != &sink) continue;
    job->sink = nullptr;
    job->sink_lost = now;
    job->sink_ready = false;
    if (!planted("END is not said again")) job->ending = false;
    if (!job->closed && !is_client)
      notice(Level::warning, "sink " + sink.name + " lost: " + why + "; its job waits for a sink");
  }
}

}  // namespace ventile
