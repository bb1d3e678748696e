// The part of Dispatcher that deals with clients: who brings the tasks of a job takes its results, too.
#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

// What may be offered ahead of a job that would be lost with this dispatcher: so many tasks, or so many for each slot.
constexpr std::uint64_t forgettable_tasks = 16;
constexpr std::uint64_t forgettable_tasks_per_slot = 2;

}  // namespace

// What comes for a job that is about to be removed was on its way when that was decided; the disk knows the job no
// more.
bool Dispatcher::brings_tasks(const Peer& client, const Job* job) {
  return job != nullptr && job->source == &client && job->discarded.empty();
}

// It can never have been this client's, whoever has taken it over since.
bool Dispatcher::is_of_another(const Peer& client, const Job& job) {
  return job.key != client.identity.key || (!job.kept && job.owner != client.node);
}

bool Dispatcher::on_client_message(Peer& client, Job* job, const Received& received, TimePoint now) {
  const JobId id = received.envelope.job;
  const bool anothers = job != nullptr && is_of_another(client, *job);
  if (const auto* submit = std::get_if<Submit>(&received.message)) {
    on_submit(client, id, *submit, now);
  } else if (std::holds_alternative<Inquire>(received.message)) {
    send(client, {}, report(now));
  } else if (const auto* question = std::get_if<Explain>(&received.message)) {
    send(client, {}, explain(*question, now));
  } else if (const auto* drain = std::get_if<Drain>(&received.message)) {
    on_drain(client, *drain);
  } else if (const auto* offer = std::get_if<Offer>(&received.message)) {
    if (anothers) return false;
    if (brings_tasks(client, job)) on_offer(client, *job, *offer, now);
  } else if (const auto* complete = std::get_if<Complete>(&received.message)) {
    if (anothers) return false;
    if (brings_tasks(client, job)) on_complete(client, *job, *complete);
  } else if (const auto* fetch = std::get_if<Fetch>(&received.message)) {
    on_fetch(client, id, *fetch, now);
  } else if (const auto* unwanted = std::get_if<Discard>(&received.message)) {
    on_discard(client, *unwanted, now);
  } else if (job != nullptr && job->kept) {
    return !anothers && on_fetcher_message(client, *job, received);
  } else {
    // Of a job that is over: it was on its way.
    return job == nullptr &&
           (std::holds_alternative<Stored>(received.message) || std::holds_alternative<Closed>(received.message));
  }
  return true;
}

// --- A client's job ----------------------------------------------------------------------------------------------

void Dispatcher::on_submit(Peer& client, JobId id, const Submit& submit, TimePoint now) {
  const auto reject = [&](const std::string& why) { send(client, id, Accepted{.refusal = why}); };
  if (!id) return reject("the job has no id");
  if (submit.kept && redirect(client, id, submit)) return;
  auto it = jobs_.find(id);
  if (it != jobs_.end() && (is_of_another(client, *it->second) || submit.kept != it->second->kept)) {
    refused_.count(RefusedFor::out_of_place);
    return reject("the job is somebody else's");
  }
  if (const auto gone = discarded_.find(id); gone != discarded_.end() && it == jobs_.end() && !submit.kept)
    return say_discarded(client, id, {}, gone->second);
  if (it == jobs_.end()) {
    const auto jobs = std::count_if(jobs_.begin(), jobs_.end(),
                                    [&](const auto& entry) { return entry.second->owner == client.node; });
    if (static_cast<std::size_t>(jobs) >= options_.client_jobs_max)
      return reject("the client has " + std::to_string(jobs) + " jobs already");
    ClientJob made{id, client.node, client.name, client.identity.key, {incarnation_.value, ++lives_}, submit};
    made.specification.have.clear();
    made.specification.exceptions.clear();
    made.specification.credit = {};
    Job& fresh = add_client_job(made);
    if (submit.kept) actions_.push_back(Keeping{id, Keeping::Begin{}});
    if (options_.durable) {
      persist(fresh, JobRecord::Kind::opened, {});
      fresh.answer_token = planted("a client is told of a job that the disk does not know") ? 0 : next_token_;
      std::get<Persist>(actions_.back()).opened = std::make_shared<ClientJob>(std::move(made));
    }
    it = jobs_.find(id);
  }
  if (!std::exchange(client.has_submitted, true)) notice(Level::info, "client " + client.name + " is here");
  Job& job = *it->second;
  if (job.closed) return;
  if (job.kept) return take_up_kept(client, job, now);
  job.sink = job.source = &client;
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
  options.on_lost = submit.once ? OnLost::fail : OnLost::rerun;
  Job& job = add_job(made.id, std::move(options));
  job.owner = made.client;
  job.owner_name = made.client_name;
  job.key = made.key;
  job.life = made.life;
  job.kept = submit.kept;
  job.input = submit.source;
  job.keep = std::chrono::nanoseconds{submit.keep_nanoseconds};
  job.fold = submit.fold;
  job.learn_anew(options_.granularity);
  return job;
}

void Dispatcher::resume_job(const ClientJob& made, Remembered remembered, TimePoint now) {
  Job& job = add_client_job(made);
  job.options.resumed = true;
  job.options.retired = std::move(remembered.retired);
  job.options.suspects = std::move(remembered.suspects);
  if (!planted("a resumed broker forgets what has begun")) job.options.begun = std::move(remembered.begun);
  job.sink_lost = job.wanted = now;
  if (job.kept) actions_.push_back(Keeping{job.id, Keeping::Begin{}});
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
    if (job.kept) return fresh.count == 1 && job.offered_bytes < job.room.bytes;
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
  if (!std::exchange(job.ended, true) && job.options.durable) {
    persist(job, JobRecord::Kind::ended, {0, job.accepted});
    job.ended_token = next_token_;
  }
  maybe_end(job);
}

void Dispatcher::on_held(JobId id, std::uint64_t bytes) {
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  it->second->held_bytes = bytes;
  give_room(*it->second, false);
}

// Whether what is offered ahead would be lost with this dispatcher.
bool Dispatcher::is_forgettable(const Job& job) const {
  return job.options.on_lost == OnLost::fail && !job.options.durable;
}

std::uint64_t Dispatcher::window_of(const Job& job) const {
  if (!is_forgettable(job)) return options_.client_window_tasks;
  return std::min(options_.client_window_tasks, std::max(forgettable_tasks, forgettable_tasks_per_slot * slots_open_));
}

// Says so when a quarter of the window has become free. A client that is back waits for it even if there is no more to
// offer: until then it tells nothing of what it has.
void Dispatcher::give_room(Job& job, bool at_once) {
  if (!job.owner || job.source == nullptr || job.answer_token != 0 || (job.ended && !at_once)) return;
  const std::uint64_t tasks_window = window_of(job);
  const std::uint64_t bytes_window = options_.client_window_bytes;
  const std::uint64_t tasks =
      job.options.index.enabled && !is_forgettable(job) ? UINT64_MAX : job.account.ledger().count() + tasks_window;
  const std::uint64_t bytes = job.offered_bytes + (bytes_window > job.held_bytes ? bytes_window - job.held_bytes : 0);
  const Credit room{std::max(job.room.tasks, tasks), std::max(job.room.bytes, bytes)};
  const bool holds_none = job.kept && job.held_bytes == 0 && room.bytes > job.room.bytes;  // Now it takes any one.
  if (!at_once && !holds_none && room.tasks - job.room.tasks < tasks_window / 4 &&
      room.bytes - job.room.bytes < bytes_window / 4)
    return;
  job.room = room;
  const bool ended = job.ended && job.ended_token == 0;
  send(*job.source, job.id, Accepted{{}, job.account.submitted(), room, {}, ended, job.life});
}

void Dispatcher::introduce(const Peer& worker, Peer& client) {
  if (client.introduced.insert(worker.incarnation).second) send(client, {}, Served{worker.incarnation, worker.name});
}

// Results go by way of the dispatcher to clients without an address.
std::optional<Dispatcher::Passage> Dispatcher::passage(JobId id) const {
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return std::nullopt;
  const Job& job = *it->second;
  if (!job.owner || job.kept || job.sink == nullptr || !job.sink_ready || !job.sink->results_address.empty())
    return std::nullopt;
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
    if (!job->owner || job->kept || job->closed || job->sink != nullptr) continue;
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
  forget_unsent(job);
  job.sink = job.source = job.fetcher = nullptr;
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
    const Account& account = it->second->account;
    for (std::size_t i = 0; i < outcome_count; ++i) closed_outcomes_[i] += account.ledger().outcomes()[i];
    if (!it->second->discarded.empty())  // What was open had no time for a verdict.
      closed_outcomes_[static_cast<std::size_t>(Outcome::cancelled)] += account.submitted() - account.ledger().count();
    std::erase(order_, it->second.get());
    jobs_.erase(it);
    actions_.push_back(JobForgotten{id});
  }
  for (const auto& [id, peer] : peers_)
    if (peer->role == Role::worker) lease_ended(*peer);
}

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

}  // namespace ventile
