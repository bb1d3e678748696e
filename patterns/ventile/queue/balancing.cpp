// The part of Dispatcher that deals with the tail of a job: somebody idles while others have work.
#include <algorithm>
#include <utility>

#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr Duration tail_interval = std::chrono::milliseconds{5};  // How often idle workers look for others' work;
constexpr Duration tail_interval_each =
    std::chrono::microseconds{20};  // among many, so often that looking at each of them takes a hundredth of the time.
constexpr Duration stuck_after =
    std::chrono::milliseconds{20};  // A lease older than this, and than nine of ten, may hold up what is behind it.
constexpr Duration stuck_in_any_case = std::chrono::seconds{1};
constexpr Duration worth_moving = std::chrono::milliseconds{1};
constexpr Duration worth_moving_without_room = std::chrono::milliseconds{100};

}  // namespace

void Dispatcher::balance_soon() {
  const Duration interval = std::max(tail_interval, tail_interval_each * static_cast<std::int64_t>(peers_.size()));
  next_balance_ = std::min(next_balance_, std::max(last_balance_, TimePoint{}) + interval);
}

void Dispatcher::balance(TimePoint now) {
  last_balance_ = now;
  next_balance_ = never;
  for (const auto& [id, job] : jobs_) {
    if (!job->sink_ready || job->closed || job->account.leased_count() == 0) continue;
    std::optional<std::vector<Peer*>> victims;  // Each is asked once, so they are looked for once.
    std::size_t next_victim = 0;
    for (const auto& [key, idle] : hungry_) {
      if (!job->serves(*idle) || job->account.held_by(idle->session) >= idle->slots) continue;
      balance_soon();
      if (!victims) victims = overloaded(*job);
      while (next_victim < victims->size() && !worth_relieving(*(*victims)[next_victim], *job, now)) ++next_victim;
      if (next_victim == victims->size()) {
        speculate(*job, *idle, now);
        break;  // hungry_ may have changed.
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

// What it has beyond its slots takes a while, or waits behind something that already does. Where a sink has no room for
// more, others idle because of that, and little is won by moving what would soon run. While there is more to lease or
// to read, what waits no longer than most is not stuck.
bool Dispatcher::worth_relieving(const Peer& worker, const Job& job, TimePoint now) const {
  const double surplus = static_cast<double>(job.account.held_by(worker.session) - worker.slots);
  const Duration worth = sink_room(job) > 0 ? worth_moving : worth_moving_without_room;
  if (surplus * job.granularity.seconds_per_task() / worker.slots >= to_seconds(worth)) return true;
  const bool is_tail = job.ended && job.account.backlog().empty();
  const Duration late = is_tail ? stuck_after : std::clamp(job.late_batch, stuck_after, stuck_in_any_case);
  return now - job.account.oldest_of(worker.session)->granted >= late;
}

// The oldest straggler gets a second copy at an idle worker; the first result wins.
void Dispatcher::speculate(Job& job, Peer& idle, TimePoint now) {
  if (!options_.speculate || !job.ended || !job.account.backlog().empty()) return;
  if (!may_prefetch(idle, job)) return;
  const Duration patience = std::max(options_.straggler, 4 * job.slowest_batch);
  const auto wanted = [&](const Lease& lease) {
    return now - lease.granted >= patience && !lease.copied && !lease.copy && lease.holder != idle.session &&
           lease.history.suspicion == 0 && !lease.finished_since && lease.remaining.count() <= credit_left(idle);
  };
  const std::vector<LeaseId> stragglers = job.account.leases_where(wanted);
  if (stragglers.empty()) return;
  const LeaseId copy{incarnation_, ++next_lease_};
  dispatch(idle, job, job.account.grant_copy(copy, idle.session, *job.account.find(stragglers.front()), now));
  ++job.counters.speculative;
  update_hunger(idle);
}

}  // namespace ventile
