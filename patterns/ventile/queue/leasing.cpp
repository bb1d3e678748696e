// The half of Dispatcher that decides who gets what, and when to take it back.
#include <algorithm>
#include <cmath>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr Duration tail_interval = std::chrono::milliseconds{5};  // How often idle workers look for others' work.
constexpr Duration stuck_after =
    std::chrono::milliseconds{20};  // A lease older than this may hold up what is queued behind it.
constexpr Duration worth_moving = std::chrono::milliseconds{1};
constexpr std::uint64_t batch_tasks_max = std::uint64_t{1} << 31;  // A worker counts the tasks of a batch in 32 bits.

}  // namespace

// --- Giving ------------------------------------------------------------------------------------------------------

std::uint64_t Dispatcher::sink_room(const Job& job) const {
  const std::uint64_t leased = planted("the sink's credit is not counted") ? 0 : job.account.leased_count();
  // What is proposed counts as stored: the sink's credit has it already when its verdict is yet to come.
  const std::uint64_t stored = job.account.ledger().count() + job.account.awaiting_count();
  const std::uint64_t tasks = job.credit.tasks > stored + leased ? job.credit.tasks - stored - leased : 0;
  if (job.result_bytes == 0) return tasks;
  const double bytes_left = static_cast<double>(job.credit.bytes) - static_cast<double>(job.stored_bytes) -
                            job.result_bytes * static_cast<double>(leased);
  if (bytes_left <= 0) return leased == 0 ? std::min<std::uint64_t>(tasks, 1) : 0;
  return std::min(tasks, static_cast<std::uint64_t>(std::min(bytes_left / std::max(job.result_bytes, 0.01), 1e18)) +
                             (leased == 0 ? 1 : 0));
}

// Whether anything of the job may go to a worker now. Asked before all hungry workers are, who may be thousands.
bool Dispatcher::may_lease(const Job& job) const {
  const std::optional<Pending> front = job.account.backlog().front();
  return front && front->range.first < job.credit.number_limit && job.sink_ready && !job.closed && sink_room(job) > 0;
}

std::uint64_t Dispatcher::credit_left(const Peer& worker) const {
  return worker.credit.tasks > worker.sent_tasks ? worker.credit.tasks - worker.sent_tasks : 0;
}

std::size_t Dispatcher::lease_count(const Peer& worker) const {
  std::size_t count = 0;
  for (const auto& [id, job] : jobs_) count += job->account.lease_count_of(worker.session);
  return count;
}

bool Dispatcher::may_prefetch(const Peer& worker, const Job& job) {
  return worker.functions.find(job.options.function)->second;
}

// How many tasks of the job keep the worker busy.
std::uint64_t Dispatcher::window_of(const Peer& worker, const Job& job) const {
  return job.granularity.window(worker.slots, may_prefetch(worker, job)) + worker.waiting;
}

// How many tasks of the job the worker would take at once; less than a batch is not worth a message. Beside the larger
// batches of a rival there must be more of the smaller ones.
std::uint64_t Dispatcher::appetite(const Peer& worker, const Job& job, const Shares& shares) const {
  if (has_its_share(job, shares)) return 0;
  const bool prefetch = may_prefetch(worker, job);
  const std::uint64_t held = job.account.held_by(worker.session);
  std::uint64_t window = job.granularity.window(worker.slots, prefetch) + worker.waiting;
  if (shares.each > 0 && prefetch && job.granularity.known())
    window = std::max(window, static_cast<std::uint64_t>(shares.each / job.granularity.seconds_per_task()));
  const std::uint64_t batch = prefetch ? job.granularity.batch() : 1;
  if (held >= window || (held > 0 && window - held < batch)) return 0;
  return std::min(batch, window - held);
}

// How many it should get now, if there are so many. Towards the end everybody gets a share of what is left.
std::uint64_t Dispatcher::room(const Peer& worker, const Job& job, const Shares& shares) const {
  const std::uint64_t wanted = appetite(worker, job, shares);
  const std::uint64_t share = job.account.backlog().count() / (2 * std::max<std::uint64_t>(slots_open_, 1)) + 1;
  const std::uint64_t least = job.granularity.batch() / 16;
  std::uint64_t credit = credit_left(worker);
  if (others_wait(job)) {  // Then no job holds more than half of a worker's credit.
    std::uint64_t all = credit;
    for (const auto& [id, other] : jobs_) all += other->account.held_by(worker.session);
    const std::uint64_t held = job.account.held_by(worker.session);
    credit = std::min(credit, all / 2 > held ? all / 2 - held : 0);
    if (held == 0) credit = std::max<std::uint64_t>(credit, std::min<std::uint64_t>(credit_left(worker), 1));
  }
  return std::min({wanted, credit, std::max(share, least), sink_room(job), batch_tasks_max});
}

bool Dispatcher::others_wait(const Job& job) const {
  return std::any_of(order_.begin(), order_.end(), [&job](const Job* other) {
    return other != &job && other->sink_ready && !other->closed && !other->account.backlog().empty();
  });
}

bool Dispatcher::feed_one(Peer& worker, Job& job, Shares& shares, TimePoint now) {
  if (!job.sink_ready || job.closed || worker.quarantined || !job.serves(worker)) return false;
  const std::optional<Pending> front = job.account.backlog().front();
  if (!front) return false;
  Backlog::Limits limits{.count = room(worker, job, shares), .below = job.credit.number_limit};
  if (planted("the ordered window is not kept")) limits.below = UINT64_MAX;
  if (limits.count == 0) return false;
  const bool has_other = lease_count(worker) > 0 || !worker.undecided.empty();
  const bool suspect = front->history.suspicion > 0;
  if (suspect && has_other) return false;  // It runs alone, so that its next victim is beyond doubt.
  if (suspect) limits.count = std::min({front->range.count, credit_left(worker), sink_room(job), batch_tasks_max});
  const std::uint64_t bytes_left =
      worker.credit.bytes > worker.sent_bytes ? worker.credit.bytes - worker.sent_bytes : 0;
  if (front->bytes / front->range.count > bytes_left && has_other) return false;  // One that has nothing gets one task.
  limits.bytes = std::min(options_.batch_bytes_max, std::max<std::uint64_t>(bytes_left, 1));
  Lease* lease = job.account.grant({incarnation_, ++next_lease_}, worker.session, limits, now);
  if (lease == nullptr) return false;
  worker.quarantined = suspect && !planted("a suspect gets company");
  ++job.counters.batches;
  job.fed = next_lease_;
  if (shares.each > 0) shares.held[job.owner] += job.granularity.seconds_per_task() * static_cast<double>(lease->total);
  dispatch(worker, job, *lease);
  return true;
}

void Dispatcher::dispatch(Peer& worker, Job& job, Lease& lease) {
  open_on(worker, job);
  if (!planted("the worker's credit is not counted")) worker.sent_tasks += lease.total;
  worker.sent_bytes += lease.bytes;
  worker.nothing_to_retract = false;
  if (!job.options.durable || !fails_lost(job, worker)) return send_tasks(worker, job, lease);
  // Whoever resumes the job must know that it may have begun.
  for (const Range range : lease.remaining.ranges()) persist(job, JobRecord::Kind::leased, range);
  if (planted("a lease is sent before the disk knows")) return send_tasks(worker, job, lease);
  lease.unsent = true;
  job.unsent.push_back({next_token_, lease.id});
}

void Dispatcher::send_tasks(const Peer& worker, const Job& job, const Lease& lease) {
  for (const Range range : lease.remaining.ranges())
    actions_.push_back(SendTasks{worker.id, job.id, worker.session, Tasks{lease.id, range, lease.history.tries, {}}});
}

// The disk knows of it. Perhaps it is over by now.
void Dispatcher::send_lease(Job& job, LeaseId id, TimePoint now) {
  Lease* const lease = job.account.find(id);
  if (lease == nullptr || !lease->unsent || job.closed) return;
  const auto holder = sessions_.find(lease->holder);
  if (holder == sessions_.end()) return;
  lease->unsent = false;
  lease->renewed = now;
  send_tasks(*holder->second, job, *lease);
}

// Whether what this worker may have begun of the job must not begin again.
bool Dispatcher::fails_lost(const Job& job, const Peer& worker) {
  return job.options.on_lost == OnLost::fail && !may_repeat(job, worker);
}

bool Dispatcher::may_repeat(const Job& job, const Peer& worker) {
  const auto function = worker.functions.find(job.options.function);
  return function != worker.functions.end() && function->second;
}

// A worker is hungry if it would take more; the key is what it has, in seconds for each slot. Tasks of an unknown
// length count as nanoseconds: so of two such workers the one with fewer is served first.
void Dispatcher::update_hunger(Peer& worker) {
  std::optional<double> hunger;
  if (worker.role == Role::worker && !worker.leaving && !worker.quarantined && worker.slots > 0) {
    double load = 0;
    bool wants = false;
    const Shares shares = shares_of(worker);
    for (const auto& [id, job] : jobs_) {
      if (job->closed || !job->serves(worker)) continue;
      wants = wants || appetite(worker, *job, shares) > 0;
      load += static_cast<double>(job->account.held_by(worker.session)) *
              std::max(job->granularity.seconds_per_task(), 1e-9);
    }
    if (wants) hunger = load / worker.slots;
  }
  if (hunger == worker.hunger) return;
  if (worker.hunger) hungry_.erase({*worker.hunger, worker.id});
  if (hunger) hungry_.emplace(std::pair{*hunger, worker.id}, &worker);
  worker.hunger = hunger;
}

// The least loaded gets a batch of each job, then whoever is the least loaded then. Jobs of a lower priority get what
// those of a higher leave.
void Dispatcher::feed_hungry(TimePoint now) {
  const auto work_waits = [this] {
    return std::any_of(jobs_.begin(), jobs_.end(), [this](const auto& entry) { return may_lease(*entry.second); });
  };
  std::vector<Job*> turn;
  for (auto at = hungry_.begin(); at != hungry_.end() && work_waits();) {
    const auto key = at->first;
    Peer& worker = *at->second;
    Shares shares = shares_of(worker);
    if (shares.each > 0 && turn.empty()) turn = jobs_in_turn();
    const Job* first = nullptr;  // Has more for this worker, though perhaps not now.
    for (Job* const job : turn.empty() ? order_ : turn) {
      if (first != nullptr && job->options.priority < first->options.priority) break;
      const bool fed = feed_one(worker, *job, shares, now);
      const bool waits = job->sink_ready && !job->closed && job->serves(worker) && !job->account.backlog().empty();
      if (fed || (waits && sink_room(*job) > 0)) first = job;
    }
    update_hunger(worker);  // What it got moves it further back.
    at = hungry_.upper_bound(key);
  }
  if (!hungry_.empty()) balance_soon();
}

// --- Taking back -------------------------------------------------------------------------------------------------

void Dispatcher::lease_ended(Peer& worker) {
  if (worker.quarantined && lease_count(worker) == 0) worker.quarantined = false;
  update_hunger(worker);
}

void Dispatcher::balance_soon() {
  next_balance_ = std::min(next_balance_, std::max(last_balance_, TimePoint{}) + tail_interval);
}

// What must not begin again waits a while for its worker to come back with it.
void Dispatcher::lose_lease(Job& job, const Peer& holder, LeaseId id, History history, TimePoint now) {
  const Lease& lease = *job.account.find(id);
  const bool may_have_begun = !lease.unsent;
  std::optional<TimePoint> due;
  if (may_have_begun && fails_lost(job, holder)) {
    history.lost = true;
    due = now + options_.heartbeat * options_.dead_after_heartbeats + options_.lease;
  }
  std::uint64_t returned = 0;
  for (const Range range : lease.remaining.ranges()) returned += job.account.release(id, range, history, due);
  if (returned == 0 || due) return;
  if (may_have_begun && !may_repeat(job, holder)) job.counters.begun_again += returned;
  ++job.counters.requeued_batches;
  job.counters.requeued_tasks += returned;
}

// A worker died with this lease begun. The first time, all of it becomes suspect; when a worker dies with nothing but
// a suspect, the suspect is halved, until the poisonous task stands alone and has killed often enough.
void Dispatcher::suspect(Job& job, const Peer& worker, LeaseId id, bool alone, TimePoint now) {
  const Lease& lease = *job.account.find(id);
  History history = lease.history;
  const bool was_suspect = history.suspicion > 0;
  if (options_.isolate_suspects) ++history.suspicion;
  const bool alone_too = planted("a batch is blamed for its poison");
  const bool to_blame = !options_.isolate_suspects || (alone && (lease.remaining.count() == 1 || alone_too));
  if (to_blame && !planted("crashes are not counted")) ++history.deaths_alone;
  if (history.deaths_alone >= options_.max_crashes) {
    for (const Range held : lease.remaining.ranges())
      propose(job, job.account.propose(held, id), Outcome::dead, history.tries + 1, "crash",
              "its worker died " + std::to_string(history.deaths_alone) + " times" +
                  (options_.isolate_suspects ? " while running nothing else" : "") + "; last " + worker.name);
    ++job.counters.requeued_batches;
    return;
  }
  if (was_suspect && lease.remaining.count() > 1) {
    const std::vector<Range> ranges = lease.remaining.ranges();
    const Range first = ranges.front();
    if (ranges.size() == 1)
      job.counters.requeued_tasks += job.account.release(id, {first.first, first.count / 2}, history);
  }
  lose_lease(job, worker, id, history, now);
}

void Dispatcher::give_up_lost(Job& job, TimePoint now) {
  for (const Range range : job.account.lost(now))
    propose(job, job.account.propose(range), Outcome::lost, 1, "lost",
            "the worker that it was given to is gone, and it must not run twice");
  maybe_end(job);
}

// Of a job that ends early. What comes back finds it cancelled.
void Dispatcher::ask_for_unbegun(Job& job) {
  for (const auto& [id, peer] : peers_) {
    if (peer->role != Role::worker) continue;
    for (const LeaseId lease : job.account.leases_of(peer->session)) {
      send(*peer, job.id, Retract{lease, job.account.find(lease)->remaining.count()});
      ++peer->retracts_open;
    }
  }
}

void Dispatcher::expire_leases(Job& job, TimePoint now) {
  if (planted("a lease never expires")) return;
  const Duration limit = std::max(options_.lease, job.options.timeout + options_.lease / 2);
  std::vector<LeaseId> expired;
  for (const LeaseId id : job.account.by_age()) {
    const Lease& lease = *job.account.find(id);
    const bool unacknowledged = lease.finished_since && job.last_settled > *lease.finished_since &&
                                now - *lease.finished_since > options_.finished_lease;
    if (unacknowledged || (!lease.finished_since && now - lease.renewed > limit)) expired.push_back(id);
  }
  for (const LeaseId id : expired) {
    const Lease lease = *job.account.find(id);
    Peer& worker = *sessions_.at(lease.holder);
    notice(Level::warning, "worker " + worker.name + " makes no progress on a batch of " +
                               std::to_string(lease.remaining.count()) + " tasks; " +
                               (fails_lost(job, worker) ? "given up" : "requeued"));
    for (const Range range : lease.remaining.ranges()) send(worker, job.id, Cancel{id, range});
    lose_lease(job, worker, id, lease.history, now);
    maybe_end(job);
    lease_ended(worker);
  }
}

// --- The tail: somebody idles while others have work --------------------------------------------------------------

// Workers with more of the job than their slots run, who have not been asked yet; the most loaded first.
std::vector<Dispatcher::Peer*> Dispatcher::overloaded(const Job& job) const {
  std::vector<std::pair<std::uint64_t, Peer*>> found;
  for (const auto& [id, peer] : peers_) {
    if (peer->role != Role::worker || peer->retracts_open > 0 || peer->nothing_to_retract) continue;
    const std::uint64_t held = job.account.held_by(peer->session);
    if (held > peer->slots) found.emplace_back(held - peer->slots, peer.get());
  }
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second->id < b.second->id;
  });
  std::vector<Peer*> peers;
  for (const auto& [surplus, peer] : found) peers.push_back(peer);
  return peers;
}

// What it has beyond its slots takes a while, or waits behind something that already does.
bool Dispatcher::worth_relieving(const Peer& worker, const Job& job, TimePoint now) {
  const double surplus = static_cast<double>(job.account.held_by(worker.session) - worker.slots);
  if (surplus * job.granularity.seconds_per_task() / worker.slots >= to_seconds(worth_moving)) return true;
  return now - job.account.oldest_of(worker.session)->granted >= stuck_after;
}

void Dispatcher::balance(TimePoint now) {
  last_balance_ = now;
  next_balance_ = never;
  for (const auto& [id, job] : jobs_) {
    if (!job->sink_ready || job->closed || job->account.leased_count() == 0) continue;
    std::optional<std::vector<Peer*>> victims;  // Each is asked once, so they are looked for once.
    std::size_t next_victim = 0;
    for (const auto& [key, idle] : std::vector(hungry_.begin(), hungry_.end())) {
      if (!job->serves(*idle) || job->account.held_by(idle->session) >= idle->slots) continue;
      balance_soon();
      if (!victims) victims = overloaded(*job);
      while (next_victim < victims->size() && !worth_relieving(*(*victims)[next_victim], *job, now)) ++next_victim;
      if (next_victim == victims->size()) {
        speculate(*job, *idle, now);
        break;
      }
      Peer* const victim = (*victims)[next_victim++];
      const std::vector<LeaseId> leases = job->account.leases_of(victim->session);
      const std::uint64_t surplus = job->account.held_by(victim->session) - victim->slots;
      std::uint64_t wanted = (surplus + 1) / 2;
      for (auto lease_id = leases.rbegin(); lease_id != leases.rend() && wanted > 0; ++lease_id) {
        const std::uint64_t count = std::min(wanted, job->account.find(*lease_id)->remaining.count());
        send(*victim, id, Retract{*lease_id, count});
        ++victim->retracts_open;
        wanted -= count;
      }
    }
  }
}

// The oldest straggler gets a second copy at an idle worker; the first result wins.
void Dispatcher::speculate(Job& job, Peer& idle, TimePoint now) {
  if (!options_.speculate || !job.ended || !job.account.backlog().empty()) return;
  if (!idle.functions.find(job.options.function)->second) return;
  const Duration patience = std::max(options_.straggler, 4 * job.slowest_batch);
  for (const LeaseId id : job.account.by_age()) {
    Lease& lease = *job.account.find(id);
    if (now - lease.granted < patience) return;
    if (lease.copied || lease.copy || lease.holder == idle.session || lease.history.suspicion > 0 ||
        lease.finished_since || lease.remaining.count() > credit_left(idle))
      continue;
    const LeaseId copy{incarnation_, ++next_lease_};
    dispatch(idle, job, job.account.grant_copy(copy, idle.session, lease, now));
    ++job.counters.speculative;
    update_hunger(idle);
    return;
  }
}

// --- Time --------------------------------------------------------------------------------------------------------

void Dispatcher::on_tick(TimePoint now) {
  bool woken = false;
  for (const auto& [id, job] : jobs_) woken = job->account.wake_delayed(now) > 0 || woken;
  if (woken) feed_hungry(now);
  if (now >= next_liveness_) {
    std::vector<std::pair<Peer*, Duration>> dead;
    for (const auto& [id, peer] : peers_) {
      if (now - peer->heard > peer->heartbeat * patience(*peer)) {
        dead.emplace_back(peer.get(), now - peer->heard);
      } else if (now - peer->spoken >= peer->heartbeat - peer->heartbeat / 8) {
        peer->spoken = now;
        send(*peer, {}, Heartbeat{});
      }
    }
    for (const auto& [peer, silence] : dead)
      end_session(*peer,
                  "silent for " +
                      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(silence).count()) + " ms",
                  true, now);
    for (const auto& [id, job] : jobs_) {
      if (job->closed) continue;
      expire_leases(*job, now);
      if (job->sink_ready) give_up_lost(*job, now);
      give_sink(*job, now);
    }
    drop_abandoned(now);
    feed_hungry(now);
    next_liveness_ = now + options_.heartbeat / 4;
  }
  if (now >= next_balance_) balance(now);
}

TimePoint Dispatcher::next_tick() const {
  TimePoint next = std::min(next_liveness_, next_balance_);
  for (const auto& [id, job] : jobs_)
    if (const auto due = job->account.next_due()) next = std::min(next, *due);
  return next;
}

void Dispatcher::on_unreachable(PeerId id, TimePoint now) {
  if (auto it = peers_.find(id); it != peers_.end()) end_session(*it->second, "its connection is gone", true, now);
  feed_hungry(now);
}

void Dispatcher::on_batch_cost(JobId id, Duration cost) {
  if (auto it = jobs_.find(id); it != jobs_.end()) it->second->granularity.observe_cost(cost);
}

}  // namespace ventile
