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
  if (!has_rivals(worker)) return shares;
  for (const Job* const job : order_) {
    if (!job->serves(worker)) continue;
    const double seconds = job->granularity.seconds_per_task();
    shares.held[job->owner] += seconds * static_cast<double>(job->account.held_by(worker.session));
    if (may_lease(*job)) shares.each = std::max(shares.each, seconds * static_cast<double>(window_of(worker, *job)));
  }
  const double most = 3 * to_seconds(options_.granularity.batch_max) * worker.slots;
  shares.each = std::min(shares.each, most);
  return shares;
}

bool Dispatcher::has_its_share(const Job& job, const Shares& shares) {
  if (shares.each <= 0) return false;
  const auto held = shares.held.find(job.owner);
  return held != shares.held.end() && held->second >= shares.each;
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
