// The part of Dispatcher that deals with clients: who brings the tasks of a job takes its results, too.
#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

std::uint64_t milliseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}
std::string seconds_text(Duration duration) {
  std::string text = std::to_string(to_seconds(duration));  // Six decimals.
  text.resize(text.size() - 5);
  return text + " s";
}

}  // namespace

bool Dispatcher::on_client_message(Peer& client, Job* job, const Received& received, TimePoint now) {
  const JobId id = received.envelope.job;
  if (const auto* submit = std::get_if<Submit>(&received.message)) {
    on_submit(client, id, *submit, now);
  } else if (std::holds_alternative<Inquire>(received.message)) {
    send(client, {}, report(now));
  } else if (const auto* question = std::get_if<Explain>(&received.message)) {
    send(client, {}, explain(*question, now));
  } else if (const auto* drain = std::get_if<Drain>(&received.message)) {
    on_drain(client, *drain);
  } else if (const auto* offer = std::get_if<Offer>(&received.message)) {
    if (job != nullptr && job->sink == &client) on_offer(client, *job, *offer, now);
  } else if (const auto* complete = std::get_if<Complete>(&received.message)) {
    if (job != nullptr && job->sink == &client) on_complete(client, *job, *complete);
  } else {
    // Of a job that is over: it was on its way.
    return job == nullptr &&
           (std::holds_alternative<Stored>(received.message) || std::holds_alternative<Closed>(received.message));
  }
  return true;
}

// --- A client's job ----------------------------------------------------------------------------------------------

void Dispatcher::on_submit(Peer& client, JobId id, const Submit& submit, TimePoint now) {
  const auto reject = [&](const std::string& why) { send(client, id, Accepted{why, 0, {}}); };
  if (!id) return reject("the job has no id");
  auto it = jobs_.find(id);
  if (it != jobs_.end() && it->second->owner != client.node) return reject("the job is somebody else's");
  if (it == jobs_.end()) {
    const auto jobs = std::count_if(jobs_.begin(), jobs_.end(),
                                    [&](const auto& entry) { return entry.second->owner == client.node; });
    if (static_cast<std::size_t>(jobs) >= options_.client_jobs_max)
      return reject("the client has " + std::to_string(jobs) + " jobs already");
    ClientJob made{id, client.node, client.name, submit};
    made.specification.have.clear();
    made.specification.exceptions.clear();
    made.specification.credit = {};
    Job& fresh = add_client_job(made);
    if (options_.durable) {
      persist(fresh, JobRecord::Kind::opened, {});
      fresh.answer_token = planted("a client is told of a job that the disk does not know") ? 0 : next_token_;
      std::get<Persist>(actions_.back()).opened = std::move(made);
    }
    it = jobs_.find(id);
  }
  if (!std::exchange(client.has_submitted, true)) notice(Level::info, "client " + client.name + " is here");
  Job& job = *it->second;
  if (job.closed) return;
  job.sink = &client;
  job.ending = false;
  job.offered_bytes = 0;
  job.room = {};
  // It would offer again what is on its way to the disk, and have no room for that.
  if (!job.unpersisted.empty()) job.answer_token = job.unpersisted.back().token;
  if (!attach(client, job, submit.have, submit.exceptions, submit.credit, now)) return;
  give_room(job, true);
}

Dispatcher::Job& Dispatcher::add_client_job(const ClientJob& made) {
  const Submit& submit = made.specification;
  JobOptions options{submit.name,
                     submit.function,
                     submit.constants,
                     submit.constant_count,
                     submit.index,
                     std::chrono::nanoseconds{submit.timeout_nanoseconds},
                     std::max(submit.tries_max, 1U),
                     submit.priority};
  options.durable = options_.durable;
  options.reread = false;
  Job& job = add_job(made.id, std::move(options));
  job.owner = made.client;
  job.owner_name = made.client_name;
  job.keep = std::chrono::nanoseconds{submit.keep_nanoseconds};
  job.fold = submit.fold;
  job.granularity = Granularity{options_.granularity, !job.fold.empty()};
  return job;
}

void Dispatcher::resume_job(const ClientJob& made, std::vector<Range> retired, TimePoint now) {
  Job& job = add_client_job(made);
  job.options.resumed = true;
  job.options.retired = std::move(retired);
  job.sink_lost = now;
}

void Dispatcher::on_offer(Peer& client, Job& job, const Offer& offer, TimePoint now) {
  const Number known = job.accepted;
  const Range fresh = Range::between(known, offer.range.end());
  const bool bare = offer.payloads.count() == 0 && !job.options.index.enabled;
  if (job.ended && !fresh.empty()) return refuse(client.id, &client, "OFFER after COMPLETE");
  if (offer.range.first > known) return refuse(client.id, &client, "OFFER leaves numbers out");
  if (job.options.index.enabled && offer.payloads.count() > 0)
    return refuse(client.id, &client, "OFFER has payloads, but the job has none");
  if (bare && !job.sink_has.contains(fresh)) return refuse(client.id, &client, "OFFER has no payloads");
  if (fresh.empty()) return;
  const auto skip = static_cast<std::uint32_t>(known - offer.range.first);
  const std::uint64_t bytes =
      offer.payloads.count() == 0 ? 0 : offer.payloads.run(skip, static_cast<std::uint32_t>(fresh.count)).size();
  // One is taken in any case, if its client has settled all before it; the disk may not know them yet.
  const auto is_alone = [&job, fresh] {
    return fresh.count == 1 && job.account.all_settled() &&
           std::all_of(job.unpersisted.begin(), job.unpersisted.end(),
                       [&job](const Job::Unpersisted& one) { return job.sink_has.contains(one.range); });
  };
  const bool has_room = bytes == 0 || job.offered_bytes + bytes <= job.room.bytes;
  if (fresh.end() > job.room.tasks || !(has_room || is_alone()))
    return refuse(client.id, &client, "OFFER is beyond its credit");
  job.offered_bytes += bytes;
  if (offer.payloads.count() > 0) actions_.push_back(Keep{job.id, fresh, skip});
  (void)this->offer(job.id, fresh.count, bytes, now);
  give_room(job, false);  // What the client has settled before takes none.
}

void Dispatcher::on_complete(Peer& client, Job& job, const Complete& complete) {
  if (complete.total != job.accepted)
    return refuse(client.id, &client, "COMPLETE names another number of tasks than were offered");
  if (!std::exchange(job.ended, true) && job.options.durable) persist(job, JobRecord::Kind::ended, {0, job.accepted});
  maybe_end(job);
}

void Dispatcher::on_held(JobId id, std::uint64_t bytes) {
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  it->second->held_bytes = bytes;
  give_room(*it->second, false);
}

// Says so when a quarter of the window has become free. A client that is back waits for it even if there is no more to
// offer: until then it tells nothing of what it has.
void Dispatcher::give_room(Job& job, bool at_once) {
  if (!job.owner || job.sink == nullptr || job.answer_token != 0 || (job.ended && !at_once)) return;
  const std::uint64_t tasks_window = options_.client_window_tasks;
  const std::uint64_t bytes_window = options_.client_window_bytes;
  const std::uint64_t tasks = job.options.index.enabled ? UINT64_MAX : job.account.ledger().count() + tasks_window;
  const std::uint64_t bytes = job.offered_bytes + (bytes_window > job.held_bytes ? bytes_window - job.held_bytes : 0);
  const Credit room{std::max(job.room.tasks, tasks), std::max(job.room.bytes, bytes)};
  if (!at_once && room.tasks - job.room.tasks < tasks_window / 4 && room.bytes - job.room.bytes < bytes_window / 4)
    return;
  job.room = room;
  send(*job.sink, job.id, Accepted{{}, job.account.submitted(), room});
}

void Dispatcher::introduce(const Peer& worker, Peer& client) {
  if (client.introduced.insert(worker.incarnation).second) send(client, {}, Served{worker.incarnation, worker.name});
}

// Results go by way of the dispatcher to clients without an address.
std::optional<Dispatcher::Passage> Dispatcher::passage(JobId id) const {
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return std::nullopt;
  const Job& job = *it->second;
  if (!job.owner || job.sink == nullptr || !job.sink_ready || !job.sink->results_address.empty()) return std::nullopt;
  return Passage{job.sink->id, job.sink->session};
}

// --- Clients that are gone ---------------------------------------------------------------------------------------

// It says goodbye: what it has not asked to be kept is not wanted.
void Dispatcher::leave_client(Peer& client) {
  for (const auto& [id, job] : jobs_)
    if (job->sink == &client && !job->closed && job->keep == Duration{0})
      drop_job(*job, "its client " + client.name + " has left");
}

void Dispatcher::drop_abandoned(TimePoint now) {
  for (const auto& [id, job] : jobs_) {
    if (!job->owner || job->closed || job->sink != nullptr) continue;
    const Duration patience = std::max(job->keep, options_.client_grace);
    if (now - job->sink_lost >= patience)
      drop_job(*job, "its client " + job->owner_name + " was gone for " + seconds_text(patience));
  }
}

void Dispatcher::drop_job(Job& job, const std::string& why) {
  const std::uint64_t open = job.account.submitted() - job.account.ledger().count();
  if (open > 0)
    notice(Level::warning, std::to_string(open) + (open == 1 ? " task" : " tasks") + " of '" + job.options.function +
                               "' dropped: " + why);
  job.closed = true;
  job.sink = nullptr;
  job.sink_ready = false;
  over_.push_back(job.id);
  for (const auto& [id, peer] : peers_) {
    std::erase_if(peer->undecided, [&job](const HeldRange& held) { return held.job == job.id; });
    if (!peer->opened.erase(job.id)) continue;
    send(*peer, job.id, Cancel{});
    send(*peer, job.id, Close{});
  }
}

// At the end of a turn, when nobody has a reference to them.
void Dispatcher::forget_jobs() {
  if (over_.empty()) return;
  for (const JobId id : std::exchange(over_, {})) {
    auto it = jobs_.find(id);
    if (it == jobs_.end()) continue;
    ++closed_jobs_;
    const auto& outcomes = it->second->account.ledger().outcomes();
    for (std::size_t i = 0; i < outcome_count; ++i) closed_outcomes_[i] += outcomes[i];
    std::erase(order_, it->second.get());
    jobs_.erase(it);
    actions_.push_back(JobForgotten{id});
  }
  for (const auto& [id, peer] : peers_)
    if (peer->role == Role::worker) lease_ended(*peer);
}

// --- What people ask ---------------------------------------------------------------------------------------------

void Dispatcher::on_drain(Peer& client, const Drain& drain) {
  std::size_t drained = 0;
  for (const auto& [id, peer] : peers_) {
    if (peer->role != Role::worker || peer->name != drain.worker) continue;
    ++drained;
    send(*peer, {}, Drain{});
  }
  std::string text = "worker " + drain.worker + " finishes what it runs, hands back the rest and leaves";
  if (drained == 0) text = "there is no worker '" + drain.worker + "'";
  send(client, {}, Explanation{drained > 0, std::move(text)});
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
    if (job->owner) {
      ClientState& client = clients[job->owner];
      if (!client.connected) client = {job->owner_name, false, client.jobs, milliseconds(now - job->sink_lost)};
      ++client.jobs;
    }
    const Audit audit = job->account.audit();
    report.jobs.push_back({job->id, job->options.name, job->options.function, job->owner_name, job->options.priority,
                           audit.submitted, audit.queued, audit.delayed, audit.leased, audit.awaiting, audit.outcomes,
                           job->ended, why_waiting(job->id)});
  }
  for (auto& [node, client] : clients) report.clients.push_back(std::move(client));
  report.jobs_closed = closed_jobs_;
  report.outcomes = closed_outcomes_;
  report.refused = refused_;
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
  if (!why.empty()) return text + "; nothing moves because " + why;
  if (audit.settled() == audit.submitted && !job.ended) return text + "; its client may send more";
  return text;
}

std::string Dispatcher::explain_task(const Job& job, Number number, TimePoint now) const {
  const std::string task = "task " + std::to_string(number);
  if (job.account.ledger().has({number, 1})) {
    for (const RangeOutcome& exception : job.account.ledger().exceptions())
      if (exception.range.contains(number)) return task + " has ended: " + std::string{to_string(exception.outcome)};
    return task + " is done";
  }
  for (const Lease* const lease : job.account.leases_with(number)) {
    const auto holder = sessions_.find(lease->holder);
    std::string text = task + " is with worker " + (holder == sessions_.end() ? "?" : holder->second->name) + " for " +
                       seconds_text(now - lease->granted) + ", in a batch of " + std::to_string(lease->total);
    if (lease->finished_since) return text + " that has run and waits for its verdicts";
    text += lease->begun ? ", which it has begun" : ", which it has not begun";
    if (holder != sessions_.end())
      for (const Milestone& milestone : holder->second->milestones)
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
