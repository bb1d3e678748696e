// The part of Dispatcher that hears what workers say of their leases: what comes back without a result, and what goes
// on.
#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr std::uint64_t lent_slots_max = 10'000;  // Of one worker; more need not be believed.

}  // namespace

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
      drop_function(worker, job.options.function);
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
  const std::uint32_t slots = std::min(worker.slots, progress.slots);
  if (!worker.leaving) slots_open_ = slots_open_ - worker.slots + slots;
  quota_.resize(worker.identity.key, worker.slots + worker.waiting, slots + worker.waiting);
  worker.slots = slots;
  bool busy = std::exchange(worker.finished, progress.finished) != progress.finished;
  for (const RunningLease& running : progress.running) {
    const auto it = jobs_.find(running.job);
    Lease* const lease = it == jobs_.end() ? nullptr : it->second->account.find(running.lease);
    const bool is_its_own = lease != nullptr && lease->holder == worker.session;  // Else it runs what others have now.
    const bool runs = is_its_own          ? renew(worker, *it->second, *lease, running, now)
                      : it != jobs_.end() ? is_in_time(*it->second, running)
                                          : running.running_nanoseconds > 0;
    busy = busy || runs;
  }
  // What has not begun waits its turn, as long as there is something to wait for.
  const bool alive = planted("a lease is renewed by being alive");
  for (const auto& [id, job] : jobs_)
    for (const LeaseId lease_id : job->account.leases_of(worker.session))
      if (Lease& lease = *job->account.find(lease_id); alive || (busy && !lease.begun)) lease.renewed = now;
  update_hunger(worker);
  feed_hungry(now);
}

bool Dispatcher::is_in_time(const Job& job, const RunningLease& said) {
  const Duration timeout = job.options.timeout;
  return said.running_nanoseconds > 0 &&
         (timeout.count() == 0 || std::chrono::nanoseconds{said.running_nanoseconds} < timeout);
}

// Returns whether a task of it runs and is not over its time-out. That is its worker's word only while one of its tasks
// ends now and then.
bool Dispatcher::renew(const Peer& worker, const Job& job, Lease& lease, const RunningLease& said,
                       TimePoint now) const {
  const bool has_ended_one = said.finished > lease.finished;
  const std::uint64_t left = lease.remaining.count();
  if (!std::exchange(lease.begun, true) || has_ended_one || left != lease.left) lease.moved = now;
  lease.left = left;
  lease.finished = said.finished;
  if (said.finished >= lease.total && said.running_nanoseconds == 0 && !lease.finished_since)
    lease.finished_since = now;
  const bool has_stood_still = job.options.timeout.count() > 0 && now - lease.moved > standstill_max(job, worker);
  const bool runs = is_in_time(job, said) && !has_stood_still;
  if (has_ended_one || runs) lease.renewed = now;
  return runs;
}

// Whoever waits for tasks of its own needs slots for them beside those it has.
void Dispatcher::on_waiting(Peer& worker, std::uint64_t tasks) {
  const std::uint64_t wanted = std::min(tasks, lent_slots_max);
  const std::uint64_t given =
      quota_.resize(worker.identity.key, worker.slots + worker.waiting, worker.slots + wanted) - worker.slots;
  if (given < wanted) {
    refused_.count(RefusedFor::over_limit);
    notice(Level::warning,
           "worker " + worker.name + " asks for " + std::to_string(wanted) +
               " slots beside its own, for tasks that wait for others; the workers of its key may have " +
               std::to_string(options_.key_limits.slots_max) + " in all");
  }
  worker.waiting = given;
  update_hunger(worker);
}

// It has offered one that it does not have after all.
void Dispatcher::drop_function(Peer& worker, const std::string& name) {
  FunctionSet rest = *worker.functions;
  rest.erase(name);
  worker.functions = function_sets_.share(std::move(rest));
}

}  // namespace ventile
