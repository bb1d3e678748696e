// The half of Dispatcher that decides who gets what, and when to take it back.
#include <algorithm>
#include <cmath>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr std::uint64_t batch_tasks_max = std::uint64_t{1} << 31;  // A worker counts the tasks of a batch in 32 bits.
constexpr std::uint64_t crumb = 4;  // Not more than this part of a batch is left over: it goes with the batch.

}  // namespace

// --- Giving ------------------------------------------------------------------------------------------------------

std::uint64_t Dispatcher::sink_room(const Job& job) const {
  if (job.is_full) return 0;
  // What was lost may come back with its worker, and its results need room then.
  const std::uint64_t leased =
      planted("the sink's credit is not counted") ? 0 : job.account.leased_count() + job.account.lost_count();
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

// Whoever has a key, perhaps a stolen one, gets a task for each slot until it has done one. Without keys nobody is
// known for what it is anyway.
bool Dispatcher::is_on_trial(const Peer& worker) { return !worker.proven && !worker.identity.key.empty(); }

// Whoever has so many and asks for more does not run them.
bool Dispatcher::may_have_more_leases(const Peer& worker, std::size_t leases) const {
  return leases < options_.leases_per_slot_max * std::max<std::uint64_t>(worker.slots + worker.waiting, 1);
}

bool Dispatcher::may_prefetch(const Peer& worker, const Job& job) { return *job.repeatable_by(worker); }

// How many tasks of the job keep the worker busy.
std::uint64_t Dispatcher::window_of(const Peer& worker, const Job& job) const {
  return job.granularity.window(worker.slots, may_prefetch(worker, job), pace_of(job)) + worker.waiting;
}

// Long batches are in nobody's way if there is no other job, and are to fit into messages.
Granularity::Pace Dispatcher::pace_of(const Job& job) const {
  if (order_.size() > 1) return Granularity::Pace::brisk;
  const Backlog& backlog = job.account.backlog();
  const auto bytes =
      static_cast<double>(backlog.bytes()) * static_cast<double>(job.granularity.batch(Granularity::Pace::steady));
  const bool fits = bytes <= static_cast<double>(options_.batch_bytes_max) * static_cast<double>(backlog.count());
  return fits ? Granularity::Pace::steady : Granularity::Pace::brisk;
}

// How many tasks of the job the worker would take at once; less than a batch is not worth a message. Beside the larger
// batches of a rival there must be more of the smaller ones.
std::uint64_t Dispatcher::appetite(const Peer& worker, const Job& job, const Shares& shares) const {
  if (has_its_share(worker, job, shares)) return 0;
  const bool prefetch = may_prefetch(worker, job);
  const std::uint64_t held = job.account.held_by(worker.session);
  if (is_on_trial(worker)) return held < worker.slots + worker.waiting ? 1 : 0;
  const Granularity::Pace pace = pace_of(job);
  std::uint64_t window = job.granularity.window(worker.slots, prefetch, pace) + worker.waiting;
  if (shares.each > 0 && prefetch && job.granularity.known())
    window = std::max(window, static_cast<std::uint64_t>(shares.each / job.granularity.seconds_per_task()));
  const std::uint64_t batch = prefetch ? job.granularity.batch(pace) : 1;
  if (held >= window || (held > 0 && window - held < batch)) return 0;
  return std::min(batch, window - held);
}

// How many it should get now, if there are so many. Towards the end everybody gets a share of what is left. Before it,
// what waits is no measure of what is left: of a large input only so much is read as is needed for now, and a share of
// that for each of a thousand slots would be a batch of which moving it is most of the cost; so would be what a block
// of input leaves over.
std::uint64_t Dispatcher::room(const Peer& worker, const Job& job, const Shares& shares) const {
  const std::uint64_t wanted = appetite(worker, job, shares);
  const std::uint64_t share = job.account.backlog().count() / (2 * std::max<std::uint64_t>(slots_open_, 1)) + 1;
  std::uint64_t credit = credit_left(worker);
  if (others_wait(job)) {  // Then no job holds more than half of a worker's credit.
    std::uint64_t all = credit;
    for (const auto& [id, other] : jobs_) all += other->account.held_by(worker.session);
    const std::uint64_t held = job.account.held_by(worker.session);
    credit = std::min(credit, all / 2 > held ? all / 2 - held : 0);
    if (held == 0) credit = std::max<std::uint64_t>(credit, std::min<std::uint64_t>(credit_left(worker), 1));
  }
  const std::uint64_t most = std::min({credit, sink_room(job), batch_tasks_max});
  const std::uint64_t fair = std::min({wanted, most, std::max(share, job.granularity.least(job.ended))});
  const std::uint64_t rest = job.account.backlog().count() - std::min(fair, job.account.backlog().count());
  const bool is_crumb = !job.ended && rest <= fair / crumb;
  return is_crumb ? std::min(fair + rest, most) : fair;
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
  const std::size_t leases = lease_count(worker);
  if (!may_have_more_leases(worker, leases)) return false;
  const bool has_other = leases > 0 || !worker.undecided.empty();
  const bool suspect = front->history.suspicion > 0;
  if (suspect && has_other) return false;  // It runs alone, so that its next victim is beyond doubt.
  if (suspect) limits.count = std::min({front->range.count, credit_left(worker), sink_room(job), batch_tasks_max});
  const std::uint64_t bytes_left =
      worker.credit.bytes > worker.sent_bytes ? worker.credit.bytes - worker.sent_bytes : 0;
  if (front->bytes / front->range.count > bytes_left && has_other) return false;  // One that has nothing gets one task.
  limits.bytes = std::min(options_.batch_bytes_max, std::max<std::uint64_t>(bytes_left, 1));
  Lease* lease = job.account.grant({incarnation_, ++next_lease_}, worker.session, limits, now);
  if (lease == nullptr) return false;
  lease->first = !has_other;
  worker.quarantined = suspect && !planted("a suspect gets company");
  ++job.counters.batches;
  job.fed = next_lease_;
  if (shares.most > 0) shares.held[job.owner] += job.granularity.seconds_per_task() * static_cast<double>(lease->total);
  dispatch(worker, job, *lease);
  return true;
}

void Dispatcher::dispatch(Peer& worker, Job& job, Lease& lease) {
  open_on(worker, job);
  if (!planted("the worker's credit is not counted")) worker.sent_tasks += lease.total;
  worker.sent_bytes += lease.bytes;
  worker.nothing_to_retract = false;
  if (!job.options.durable) return send_tasks(worker, job, lease);
  // Whoever resumes the job must know that it may have begun, and what it has done before.
  const bool is_once = fails_lost(job, worker);
  const bool is_suspect = lease.history.is_suspect() && !planted("a suspect is sent before the disk knows");
  std::uint64_t token = is_suspect ? job.suspected_token : 0;
  if (is_once) {
    for (const Range range : lease.remaining.ranges()) persist(job, JobRecord::Kind::leased, range);
    if (!planted("a lease is sent before the disk knows")) token = next_token_;
  }
  if (token <= persisted_) return send_tasks(worker, job, lease);
  lease.unsent = true;
  job.unsent.push_back({token, lease.id, worker.session, lease.total, lease.bytes});
}

void Dispatcher::send_tasks(const Peer& worker, const Job& job, const Lease& lease) {
  for (const Range range : lease.remaining.ranges())
    actions_.push_back(SendTasks{worker.id, job.id, worker.session, Tasks{lease.id, range, lease.history.tries, {}}});
}

// The disk knows of it. Perhaps it is over by now, or a part of it.
void Dispatcher::send_lease(Job& job, const Unsent& unsent, TimePoint now) {
  Lease* const lease = job.account.find(unsent.lease);
  Peer* const holder = sessions_.find(unsent.holder);
  if (holder == nullptr) return;
  const std::uint64_t left = lease != nullptr && !job.closed ? lease->remaining.count() : 0;
  return_credit(*holder, unsent, left);
  if (left == 0) return;
  lease->unsent = false;
  lease->granted = lease->renewed = now;
  send_tasks(*holder, job, *lease);
}

// The worker will never hear of what is not `left`, and can give no credit for it again.
void Dispatcher::return_credit(Peer& worker, const Unsent& unsent, std::uint64_t left) {
  const std::uint64_t gone = unsent.tasks - std::min(left, unsent.tasks);
  if (gone == 0) return;
  worker.sent_tasks -= gone;
  worker.sent_bytes -= unsent.bytes / unsent.tasks * gone;
  update_hunger(worker);
}

void Dispatcher::forget_unsent(Job& job) {
  for (const Unsent& unsent : std::exchange(job.unsent, {}))
    if (Peer* const holder = sessions_.find(unsent.holder); holder != nullptr) return_credit(*holder, unsent, 0);
}

// The worker has not entered its session, for it names another one, and never will: the WELCOME answered an older
// HELLO.
void Dispatcher::never_sent(Peer& worker) {
  if (planted("what a worker never saw may have begun")) return;
  for (const auto& [id, job] : jobs_)
    for (const LeaseId lease : job->account.leases_of(worker.session)) job->account.find(lease)->unsent = true;
}

// Whether what this worker may have begun of the job must not begin again.
bool Dispatcher::fails_lost(const Job& job, const Peer& worker) {
  return job.options.on_lost == OnLost::fail && !may_repeat(job, worker);
}

bool Dispatcher::may_repeat(const Job& job, const Peer& worker) { return job.repeatable_by(worker).value_or(false); }

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

// What must not begin again waits a while for its worker to come back with it.
void Dispatcher::lose_lease(Job& job, const Peer& holder, LeaseId id, History history, TimePoint now) {
  const Lease& lease = *job.account.find(id);
  const bool may_have_begun = !lease.unsent;
  std::optional<TimePoint> due;
  if (may_have_begun && fails_lost(job, holder)) {
    history.lost = true;
    due = now + silence_max(holder) + options_.lease;
  }
  std::uint64_t returned = 0;
  for (const Range range : lease.remaining.ranges()) returned += job.account.release(id, range, history, due);
  if (returned == 0 || due) return;
  if (may_have_begun && !may_repeat(job, holder)) job.counters.begun_again += returned;
  ++job.counters.requeued_batches;
  job.counters.requeued_tasks += returned;
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

// Among many peers heartbeats are rare, and progress is said with them.
Duration Dispatcher::standstill_max(const Job& job, const Peer& worker) const {
  const Duration lease = std::max(options_.lease, silence_max(worker));
  return std::max(lease, job.options.timeout + lease / 2);
}

void Dispatcher::expire_leases(Job& job, TimePoint now) {
  if (planted("a lease never expires")) return;
  const auto has_expired = [&](const Lease& lease) {
    if (lease.unsent) return false;  // Nobody but the disk holds it up.
    const bool unacknowledged = lease.finished_since && job.last_settled > *lease.finished_since &&
                                now - *lease.finished_since > options_.finished_lease;
    if (lease.finished_since || now - lease.renewed <= options_.lease) return unacknowledged;
    return now - lease.renewed > standstill_max(job, *sessions_.find(lease.holder));
  };
  for (const LeaseId id : job.account.leases_where(has_expired)) {
    const Lease lease = *job.account.find(id);
    Peer& worker = *sessions_.find(lease.holder);
    notice(Level::warning, "worker " + worker.name + " makes no progress on a batch of " +
                               std::to_string(lease.remaining.count()) + " tasks; " +
                               (fails_lost(job, worker) ? "given up" : "requeued"));
    for (const Range range : lease.remaining.ranges()) send(worker, job.id, Cancel{id, range});
    lose_lease(job, worker, id, lease.history, now);
    maybe_end(job);
    lease_ended(worker);
  }
}

// --- Time --------------------------------------------------------------------------------------------------------

void Dispatcher::on_tick(TimePoint now) {
  bool woken = false;
  for (const auto& [id, job] : jobs_) woken = job->account.wake_delayed(now) > 0 || woken;
  if (woken) feed_hungry(now);
  if (now >= next_liveness_) {
    // Whoever was held up has not yet heard all that was said meanwhile, and judges nobody by it.
    const bool was_held_up = now > next_liveness_ + options_.heartbeat && next_liveness_ != TimePoint::min();
    std::vector<std::pair<Peer*, Duration>> dead;
    for (const auto& [id, peer] : peers_) {
      if (is_local(id)) continue;
      if (!was_held_up && now - peer->heard > silence_max(*peer)) {
        dead.emplace_back(peer.get(), now - peer->heard);
      } else if (now - peer->spoken >= peer->heartbeat - peer->heartbeat / 8) {
        say_heartbeat(*peer, now);
      }
    }
    for (const auto& [peer, silence] : dead)
      end_session(*peer,
                  "silent for " +
                      std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(silence).count()) + " ms",
                  true, now);
    for (const auto& [id, job] : jobs_) {
      if (job->closed) continue;
      if (!was_held_up) expire_leases(*job, now);
      if (job->sink_ready) give_up_lost(*job, now);
      give_sink(*job, now);
    }
    drop_abandoned(now);
    remove_unwanted(now);
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

}  // namespace ventile
