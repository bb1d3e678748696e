// How clients that wait for the same worker share it: by time, whatever the length of their tasks, the size of their
// batches and the number of their jobs. A worker runs what it has in the order in which it came, so who has half of
// what it has, in time, gets half of it.
#include <algorithm>
#include <utility>

#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {

// Only jobs of which something waits are rivals; a client alone is not held back.
bool Dispatcher::has_rivals(const Peer& worker) const {
  if (order_.size() < 2) return false;
  const Job* first = nullptr;
  for (const Job* const job : order_) {
    if (first != nullptr && first->owner == job->owner) continue;
    if (!job->serves(worker) || !may_lease(*job)) continue;
    if (first != nullptr) return true;
    first = job;
  }
  return false;
}

Dispatcher::Shares Dispatcher::shares_of(const Peer& worker) const {
  Shares shares;
  if (order_.size() < 2) return shares;
  const bool rivals = has_rivals(worker);
  for (const Job* const job : order_) {
    if (!job->serves(worker)) continue;
    const double seconds = job->granularity.seconds_per_task();
    shares.held[job->owner] += seconds * static_cast<double>(job->account.held_by(worker.session));
    if (rivals && may_lease(*job))
      shares.each = std::max(shares.each, seconds * static_cast<double>(window_of(worker, *job)));
  }
  shares.most = 3 * to_seconds(options_.granularity.batch_max) * worker.slots;
  shares.each = std::min(shares.each, shares.most);
  return shares;
}

// A job that has nothing there is not kept out by others of its client.
bool Dispatcher::has_its_share(const Peer& worker, const Job& job, const Shares& shares) {
  const auto held = shares.held.find(job.owner);
  if (held == shares.held.end()) return false;
  if (shares.each > 0) return held->second >= shares.each;
  return shares.most > 0 && held->second >= shares.most && job.account.held_by(worker.session) > 0;
}

// Of the same priority, whoever has waited for longest comes first.
std::vector<Dispatcher::Job*> Dispatcher::jobs_in_turn() const {
  std::vector<Job*> jobs = order_;
  std::stable_sort(jobs.begin(), jobs.end(), [](const Job* one, const Job* other) {
    return std::pair{-one->options.priority, one->fed} < std::pair{-other->options.priority, other->fed};
  });
  return jobs;
}

}  // namespace ventile
