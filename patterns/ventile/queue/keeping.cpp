// The part of Dispatcher that deals with jobs whose results are kept until they are fetched.
#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>

#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

constexpr std::size_t discarded_max = 4'096;  // Jobs that are remembered.

std::string quoted(const std::string& text) { return "'" + text + "'"; }

}  // namespace

Dispatcher::Job* Dispatcher::find_kept(const std::string& key, const std::string& name) {
  for (const auto& [id, job] : jobs_)
    if (job->kept && !job->closed && job->key == key && job->options.name == name) return job.get();
  return nullptr;
}

// --- Submitting --------------------------------------------------------------------------------------------------

// Why the client cannot have a kept job like this; empty: it can.
std::string Dispatcher::objection_to(const Peer& client, const Submit& submit) const {
  if (!options_.durable) return "the broker keeps nothing: start it with --durable DIR, or leave --keep out";
  if (submit.name.empty()) return "a job that is kept needs a name";
  const auto kept = std::count_if(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
    return entry.second->kept && entry.second->key == client.identity.key;
  });
  if (static_cast<std::size_t>(kept) >= options_.client_jobs_max)
    return std::to_string(kept) + " jobs are kept already; fetch or cancel one";
  return {};
}

// True if the SUBMIT has had its answer: it is refused, or its job has another id.
bool Dispatcher::redirect(Peer& client, JobId id, const Submit& submit) {
  const auto refuse = [&](const std::string& why) {
    send(client, id, Accepted{.refusal = why});
    return true;
  };
  const Job* const known = find_kept(client.identity.key, submit.name);
  if (known == nullptr) {
    const auto it = jobs_.find(id);
    if (it != jobs_.end() && it->second->closed) return false;
    if (it != jobs_.end()) {
      refused_.count(RefusedFor::out_of_place);
      return refuse("the job is somebody else's");
    }
    const std::string why = objection_to(client, submit);
    return why.empty() ? false : refuse(why);
  }
  const auto taken = [&](const std::string& why) {
    return refuse("another job " + quoted(submit.name) + " is kept: " + why +
                  "; fetch or cancel that one, or take another name");
  };
  if (!known->discarded.empty()) return refuse("the job " + quoted(submit.name) + " is about to be removed");
  if (known->options.function != submit.function)
    return taken("it runs " + quoted(known->options.function) + ", and this one " + quoted(submit.function));
  if (known->options.constants != submit.constants) return taken("it has other --args");
  if (known->fold != submit.fold)
    return taken("it combines results by " + quoted(known->fold) + ", and this one by " + quoted(submit.fold));
  if (known->input != submit.source || !(known->options.index == submit.index))
    return taken("its input is " + known->input + ", and that of this one " + submit.source);
  if (known->id == id) return false;
  send(client, id, Accepted{.job = known->id});
  return true;
}

// Who came last brings the tasks: the one before was killed, perhaps, and nobody knows yet.
void Dispatcher::take_up_kept(Peer& client, Job& job, TimePoint now) {
  if (job.source != nullptr && job.source != &client)
    send(*job.source, job.id, Accepted{.refusal = "another client brings its tasks now"});
  job.source = &client;
  job.owner = client.node;
  job.owner_name = client.name;
  job.wanted = now;
  job.offered_bytes = 0;
  job.room = {};
  if (!job.unpersisted.empty()) job.answer_token = job.unpersisted.back().token;
  if (job.ended_token != 0) job.answer_token = job.ended_token;
  give_sink(job, now);
  give_room(job, true);
}

void Dispatcher::lose_client(Peer& client, Job& job, TimePoint now) {
  const bool fetched = job.fetcher == &client;
  if (fetched) actions_.push_back(Keeping{job.id, Keeping::Stop{}});
  if (fetched) job.fetcher = nullptr;
  if (job.source == &client || fetched) job.wanted = now;
  if (job.source == &client) job.source = nullptr;
}

// --- Fetching ----------------------------------------------------------------------------------------------------

void Dispatcher::on_fetch(Peer& client, JobId id, const Fetch& fetch, TimePoint now) {
  const auto reject = [&](const std::string& why) { send(client, id, Accepted{.refusal = why}); };
  Job* const job = find_kept(client.identity.key, fetch.name);
  if (job == nullptr || !job->discarded.empty())
    return reject("no job " + quoted(fetch.name) + " is kept" + (client.identity.key.empty() ? "" : " for this key"));
  if (job->fold != fetch.fold)
    return reject(job->fold.empty() ? "its results are not combined: leave --fold out"
                                    : "its results are combined: add --fold " + job->fold);
  if (job->fetcher != nullptr && job->fetcher != &client)
    send(*job->fetcher, job->id, Accepted{.refusal = "another client fetches its results now"});
  job->fetcher = &client;
  job->wanted = now;
  client.has_submitted = true;
  send(client, id, Accepted{{}, job->account.submitted(), {}, job->id, job->ended});
  if (job->report) return;  // It has all of it, and has said so; when the disk knows, it is told that all is over.
  actions_.push_back(Keeping{job->id, Keeping::Deliver{client.id, client.session, fetch}});
  if (job->whole && !planted("END is said to one fetch only")) send(client, job->id, End{job->account.submitted()});
}

// What is not for this job's fetcher to say was on its way when another took over.
bool Dispatcher::on_fetcher_message(Peer& client, Job& job, const Received& received) {
  const auto* stored = std::get_if<Stored>(&received.message);
  const auto* closed = std::get_if<Closed>(&received.message);
  if (stored == nullptr && closed == nullptr) return false;
  if (job.fetcher != &client) return true;
  if (stored != nullptr) {
    actions_.push_back(Keeping{job.id, Keeping::Grant{stored->credit}});
  } else if (!job.whole) {
    refuse(client.id, &client, "CLOSED before END");
  } else if (!job.report) {
    job.report = job.whole;
    if (planted("a kept job is removed before the disk knows")) return finish_discarded(job), true;
    persist(job, JobRecord::Kind::closed, {0, job.account.submitted()});
    job.closed_token = next_token_;
  }
  return true;
}

// Its workers are done with it.
void Dispatcher::on_kept_whole(Job& job, const Closed& closed) {
  if (job.whole) return;
  job.whole = closed;
  for (const auto& [id, peer] : peers_)
    if (peer->role == Role::worker && peer->opened.erase(job.id)) send(*peer, job.id, Close{});
  if (job.fetcher != nullptr) send(*job.fetcher, job.id, End{job.account.submitted()});
  notice(Level::info, "job " + quoted(job.options.name) + " has run; its results are kept until they are fetched");
}

void Dispatcher::on_kept(JobId id, std::uint64_t bytes, bool full, TimePoint now) {
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  it->second->kept_bytes = bytes;
  if (std::exchange(it->second->is_full, full) == full) return;
  for (const auto& [peer_id, peer] : peers_) update_hunger(*peer);
  feed_hungry(now);
}

// --- Giving up ---------------------------------------------------------------------------------------------------

void Dispatcher::on_discard(Peer& client, const Discard& discarding, TimePoint now) {
  std::vector<Job*> named;
  for (Job* const job : order_) {
    const bool is_named = discarding.job == job->options.name || to_string(job->id).starts_with(discarding.job);
    const bool may = client.identity.is_admin || job->key == client.identity.key;
    if (!discarding.job.empty() && is_named && may && job->owner && !job->closed) named.push_back(job);
  }
  const auto answer = [&](const std::string& why) { send(client, {}, Explanation{false, why}); };
  if (named.empty())
    return answer("there is no job " + quoted(discarding.job) + " that is not over" +
                  (client.identity.is_admin || client.identity.key.empty() ? "" : " and is this key's"));
  if (named.size() > 1)
    return answer(std::to_string(named.size()) + " jobs are called " + quoted(discarding.job) +
                  "; say how the id of one begins");
  named.front()->askers.push_back({client.id, client.session});
  discard(*named.front(), "client " + client.name + " has cancelled it", now);
}

// A durable dispatcher has it on the disk first: what is gone does not come back.
void Dispatcher::discard(Job& job, const std::string& why, TimePoint) {
  if (!job.discarded.empty()) return;
  job.discarded = why;
  if (!job.options.durable) return finish_discarded(job);
  if (!job.report) {
    job.report = Closed{};
    persist(job, JobRecord::Kind::closed, {0, job.account.submitted()});
    job.closed_token = next_token_;
  }
}

void Dispatcher::finish_discarded(Job& job) {
  const std::string name = job.options.name.empty() ? to_string(job.id) : job.options.name;
  notice(Level::info, "job " + quoted(name) + " is removed: " + job.discarded);
  for (const Job::Asker& asker : std::exchange(job.askers, {}))
    if (const Peer* const peer = sessions_.find(asker.session); peer != nullptr)
      send(*peer, {},
           Explanation{true, "job " + quoted(name) + " is cancelled" + (job.kept ? ", and its results are gone" : "")});
  if (!job.kept) {
    remember_discarded(job);
    const std::vector<Range> open = job.account.ledger().missing({0, job.account.submitted()});
    if (job.source != nullptr) say_discarded(*job.source, job.id, open, job.discarded);
  } else {
    for (Peer* const client : {job.source, job.fetcher})
      if (client != nullptr) send(*client, job.id, Close{});
  }
  drop_job(job, job.discarded);
}

// Whoever brings its tasks may be away, and would bring it anew.
void Dispatcher::remember_discarded(const Job& job) {
  if (!discarded_.emplace(job.id, job.discarded).second) return;
  discarded_order_.push_back(job.id);
  if (discarded_order_.size() <= discarded_max) return;
  discarded_.erase(discarded_order_.front());
  discarded_order_.pop_front();
}

// CLOSE alone would say that the dispatcher has given it up.
void Dispatcher::say_discarded(Peer& client, JobId id, std::vector<Range> open, const std::string& why) {
  send(client, id, Propose{std::move(open), Outcome::cancelled, 0, "cancelled", why});
  send(client, id, Close{});
}

void Dispatcher::remove_unwanted(TimePoint now) {
  for (const auto& [id, job] : jobs_) {
    if (!job->kept || job->closed || job->source != nullptr || job->fetcher != nullptr) continue;
    if (job->account.leased_count() > 0 || !job->account.backlog().empty()) continue;
    if (now - std::max(job->wanted, job->last_settled) < options_.kept_for) continue;
    discard(*job, "nobody has fetched it in time (--keep-for)", now);
  }
}

}  // namespace ventile
