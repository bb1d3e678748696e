// The part of Dispatcher that answers people: how things stand, and why something waits.
#include <algorithm>
#include <utility>

#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

std::uint64_t milliseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}

}  // namespace

std::string Dispatcher::why_waiting(JobId id) const {
  const Job& job = *jobs_.at(id);
  if (job.closed) return {};
  if (job.whole) return {};
  if (job.is_full && job.account.leased_count() == 0 && !job.account.backlog().empty())
    return "the broker has no room for more results (--keep-bytes): fetch or cancel a job that it keeps";
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

Report Dispatcher::report(TimePoint now) const {
  Report report;
  std::map<NodeId, ClientState> clients;
  for (const auto& [id, peer] : peers_) {
    if (peer->role == Role::client) {
      clients[peer->node] = {peer->name, true, 0, milliseconds(now - peer->heard)};
    } else if (peer->role == Role::worker) {
      std::uint64_t leased = 0;
      for (const auto& [job_id, job] : jobs_) leased += job->account.held_by(peer->session);
      report.workers.push_back({peer->name, peer->slots, leased, peer->finished, milliseconds(now - peer->heard),
                                peer->leaving, peer->milestones});
    }
  }
  for (const Job* const job : order_) {
    if (job->owner && (!job->kept || job->source != nullptr)) {
      ClientState& client = clients[job->owner];
      if (!client.connected)
        client = {job->owner_name, false, client.jobs, milliseconds(now - (job->kept ? job->wanted : job->sink_lost))};
      ++client.jobs;
    }
    const Audit audit = job->account.audit();
    report.jobs.push_back({job->id, job->options.name, job->options.function, job->owner_name, job->options.priority,
                           audit.submitted, audit.queued, audit.delayed, audit.leased, audit.awaiting, audit.outcomes,
                           job->ended, why_waiting(job->id), job->kept, job->kept_bytes});
  }
  for (auto& [node, client] : clients) report.clients.push_back(std::move(client));
  report.jobs_closed = closed_jobs_;
  report.outcomes = closed_outcomes_;
  report.refused = refused_.by_reason();
  return report;
}

Explanation Dispatcher::explain(const Explain& question, TimePoint now) const {
  std::string text;
  for (const Job* const job : order_) {
    const bool named =
        question.job == job->options.name || (!question.job.empty() && to_string(job->id).starts_with(question.job));
    if (!named) continue;
    if (question.one_task && question.task >= job->account.submitted())
      return {false, "job " + to_string(job->id) + " has no task " + std::to_string(question.task) + " (yet); it has " +
                         std::to_string(job->account.submitted())};
    text += "job " + to_string(job->id) + " (" + job->options.function +
            "): " + (question.one_task ? explain_task(*job, question.task, now) : explain_job(*job)) + "\n";
  }
  if (text.empty()) return {false, "there is no job '" + question.job + "' that is not over"};
  text.pop_back();
  return {true, text};
}

std::string Dispatcher::explain_job(const Job& job) const {
  const Audit audit = job.account.audit();
  std::string text =
      std::to_string(audit.settled()) + " of " + std::to_string(audit.submitted) + " tasks have an outcome";
  const auto add = [&text](std::uint64_t count, const char* what) {
    if (count > 0) text += ", " + std::to_string(count) + what;
  };
  add(audit.leased, " are with workers");
  add(audit.queued, " wait for a worker");
  add(audit.delayed, " failed and wait before they are tried again");
  add(audit.awaiting, " wait for their verdict");
  const std::string why = why_waiting(job.id);
  if (job.kept) text += explain_kept(job);
  if (!why.empty()) return text + "; nothing moves because " + why;
  if (audit.settled() == audit.submitted && !job.ended) return text + "; its client may send more";
  return text;
}

std::string Dispatcher::explain_kept(const Job& job) const {
  std::string bytes = ", " + std::to_string(job.kept_bytes) + " bytes of results are kept";
  if (job.fetcher != nullptr) return bytes + ", and " + job.fetcher->name + " fetches them";
  if (job.whole) return bytes + " until somebody fetches them";
  if (!job.ended && job.source == nullptr)
    return bytes + "; its client is gone and has not said that its input is whole";
  return bytes;
}

std::string Dispatcher::explain_task(const Job& job, Number number, TimePoint now) const {
  const std::string task = "task " + std::to_string(number);
  if (job.account.ledger().has({number, 1})) {
    for (const RangeOutcome& exception : job.account.ledger().exceptions())
      if (exception.range.contains(number)) return task + " has ended: " + std::string{to_string(exception.outcome)};
    return task + " is done";
  }
  for (const LeaseId id :
       job.account.leases_where([number](const Lease& lease) { return lease.remaining.contains(number); })) {
    const Lease* const lease = job.account.find(id);
    const Peer* const holder = sessions_.find(lease->holder);
    std::string text = task + " is with worker " + (holder == nullptr ? "?" : holder->name) + " for " +
                       seconds_text(now - lease->granted) + ", in a batch of " + std::to_string(lease->total);
    if (lease->finished_since) return text + " that has run and waits for its verdicts";
    text += lease->begun ? ", which it has begun" : ", which it has not begun";
    if (holder != nullptr)
      for (const Milestone& milestone : holder->milestones)
        if (milestone.job == job.id && milestone.task == number) text += ", and is at " + to_text(milestone);
    if (lease->history.tries > 0) text += "; it failed " + std::to_string(lease->history.tries) + " times before";
    return text;
  }
  for (const Range range : job.account.awaiting())
    if (range.contains(number)) return task + " waits for the client's verdict on the outcome proposed for it";
  for (const Range range : job.account.backlog().ranges()) {
    if (!range.contains(number)) continue;
    const std::string why = why_waiting(job.id);
    return task + " waits for a worker" + (why.empty() ? std::string{} : ", because " + why);
  }
  if (job.account.is_lost(number))
    return task + " was with a worker that is gone; it is lost unless that comes back soon";
  return task + " failed and waits before it is tried again";
}

}  // namespace ventile
