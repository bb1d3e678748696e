// The part of Dispatcher that deals with sinks: who gets a job, what it has of it, and when the job ends.
#include <algorithm>
#include <utility>

#include <ventile/base/memory.hpp>
#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {
namespace {

std::vector<RangeOutcome> exceptions_of(const std::vector<FailureNote>& notes) {
  std::vector<RangeOutcome> exceptions;
  exceptions.reserve(notes.size());
  for (const FailureNote& note : notes) exceptions.push_back({note.range, note.outcome});
  return exceptions;
}

}  // namespace

// --- A job and its sink ------------------------------------------------------------------------------------------

Open Dispatcher::open_message(const Job& job, std::string fold) {
  const JobOptions& options = job.options;
  return {options.name,      options.function,
          options.constants, options.constant_count,
          options.index,     static_cast<std::uint64_t>(options.timeout.count()),
          options.tries_max, true,
          std::move(fold)};
}

// The sink that has results of the job, if it is there. Any other cannot have them, so that the job would fail: only
// when the first has not come back for a while.
void Dispatcher::give_sink(Job& job, TimePoint now) {
  if (job.sink != nullptr || job.closed || (job.owner && !job.kept)) return;
  const bool nobody_has_any = job.account.ledger().count() == 0 && !job.options.resumed;
  const bool any = nobody_has_any || now - job.sink_lost >= options_.sink_grace;
  for (const auto& [id, peer] : peers_) {
    if (peer->role != Role::sink || peer->serves || (job.sink != nullptr && peer->claims != job.id)) continue;
    if (job.kept != is_local(id) || (job.kept && peer->claims != job.id)) continue;
    if (peer->claims ? peer->claims == job.id : any) job.sink = peer.get();
  }
  if (job.sink == nullptr) return;
  job.sink->serves = job.id;
  send(*job.sink, job.id, open_message(job, {}));
}

void Dispatcher::open_on(Peer& worker, Job& job) {
  const auto [sink, fresh] = worker.opened.emplace(job.id);
  if (fresh) send(worker, job.id, open_message(job, job.fold));
  if (*sink == job.sink->incarnation) return;
  if (job.owner && !job.kept) introduce(worker, *job.sink);
  *sink = job.sink->incarnation;
  send(worker, job.id, Route{job.sink->incarnation, job.sink->results_address, job.sink->machine});
}

void Dispatcher::on_opened(Peer& sink, Job& job, const Opened& opened, TimePoint now) {
  if (!opened.refusal.empty()) {
    actions_.push_back(JobFailed{job.id, 0, "the sink refused the job: " + opened.refusal});
    return close_job(job, now);
  }
  if (!job.kept) job.fold = opened.fold;  // The keeper combines nothing.
  job.learn_anew(options_.granularity);
  (void)attach(sink, job, opened.have, opened.exceptions, opened.credit, now);
}

// The sink, new or back again, says what it has of the job. False if results are lost that it should have.
bool Dispatcher::attach(Peer& sink, Job& job, const std::vector<Range>& have,
                        const std::vector<RangeOutcome>& exceptions, const SinkCredit& credit, TimePoint now) {
  job.sink_has.clear();
  if (!planted("the failures that a sink has are forgotten")) job.sink_exceptions = exceptions;
  for (const Range range : have) job.sink_has.insert(range);
  take_in_beyond_end(job);
  for (const Range range : job.sink_has.present({0, job.account.submitted()})) settle_known(job, range);
  std::uint64_t lost = 0;
  for (const Range range : job.account.ledger().settled().ranges())
    for (const Range gone : job.sink_has.missing(range)) lost += gone.count;
  if (planted("lost results go unnoticed")) lost = 0;
  if (lost > 0) {
    actions_.push_back(JobFailed{
        job.id, lost,
        "the sink that stored " + tasks_text(lost) + " is gone, and the new one does not have their results"});
    close_job(job, now);
    return false;
  }
  for (const Range retired : job.options.retired)
    for (const Range gone : job.sink_has.missing(retired)) lost += gone.count;
  if (lost > 0) {
    actions_.push_back(JobFailed{job.id, lost,
                                 "the sink does not have " + tasks_text(lost) +
                                     " that were settled before this job was resumed, and their input is gone"});
    close_job(job, now);
    return false;
  }
  if (job.options.resumed && !std::exchange(job.resume_said, true))
    actions_.push_back(JobResumed{job.id, job.sink_has.count()});
  job.sink_ready = true;
  job.credit = credit;
  job.stored_bytes = 0;
  if (!planted("a proposal is made once only"))
    for (const Propose& proposal : job.proposals) send(sink, job.id, proposal);
  for (const auto& [id, peer] : peers_) {
    if (IncarnationId* const sink_known = peer->opened.find(job.id); sink_known != nullptr) {
      *sink_known = {};  // Verdicts may have been lost with the sink's session: the route is said again.
      open_on(*peer, job);
    }
    reconcile(*peer, std::exchange(peer->undecided, {}), now);
  }
  for (const auto& [id, peer] : peers_) update_hunger(*peer);
  maybe_end(job);
  feed_hungry(now);
  return true;
}

void Dispatcher::maybe_end(Job& job) {
  if (job.cancelled)  // What has come back since, too.
    propose(job, job.account.propose_waiting(), Outcome::cancelled, 0, "cancelled",
            "the job was ended before this task ran");
  const bool input_ended = job.ended || planted("END comes before the input has ended");
  if (!input_ended || job.ending || job.closed || !job.sink_ready || !job.account.all_settled() ||
      !job.unpersisted.empty())
    return;
  job.ending = true;
  send(*job.sink, job.id, End{job.account.submitted()});
}

void Dispatcher::on_closed(Peer& sink, Job& job, const Closed& closed, TimePoint now) {
  if (!job.ending && closed.error.empty()) return refuse(sink.id, &sink, "CLOSED before END");
  if (job.report) return;  // It said so before, and the disk has not.
  if (job.kept && closed.error.empty()) return on_kept_whole(job, closed);
  if (closed.error.empty()) {
    job.report = closed;
    if (!job.options.durable || planted("a job is over before the disk knows")) return finish_job(job, now);
    persist(job, JobRecord::Kind::closed, {0, job.account.submitted()});
    job.closed_token = next_token_;
    return;
  }
  actions_.push_back(JobFailed{job.id, 0, "the sink could not write its output: " + closed.error});
  close_job(job, now);
}

void Dispatcher::finish_job(Job& job, TimePoint now) {
  actions_.push_back(JobClosed{job.id, *job.report});
  close_job(job, now);
}

void Dispatcher::close_job(Job& job, TimePoint now) {
  job.closed = true;
  forget_unsent(job);
  for (const auto& [id, peer] : peers_)
    if (const auto undecided =
            std::erase_if(peer->undecided, [&job](const HeldRange& held) { return held.job == job.id; });
        peer->opened.erase(job.id) || undecided > 0)
      send(*peer, job.id, Close{});
  if (job.sink != nullptr) {
    send(*job.sink, job.id, Close{});
    job.sink->serves = {};
  }
  for (Peer* const client : {job.source, job.fetcher})
    if (client != nullptr && client != job.sink) send(*client, job.id, Close{});
  job.sink = job.source = job.fetcher = nullptr;
  job.sink_ready = false;
  if (job.owner) over_.push_back(job.id);
  for (const auto& [id, other] : jobs_) give_sink(*other, now);
}

// --- Results -----------------------------------------------------------------------------------------------------

// Of ten thousand workers neither they nor their leases are in a cache. So what later settlements name is asked for
// while this one is dealt with, in three steps, each of which needs what the one before it has brought.
void Dispatcher::fetch_ahead(const Job& job, const std::vector<Settlement>& settlements, std::size_t at) const {
  constexpr std::size_t step = 4;
  const auto upcoming = [&](std::size_t steps, auto ask) {
    const std::size_t last = at + steps * step;
    for (std::size_t i = at == 0 ? 0 : last; i <= last && i < settlements.size(); ++i) ask(settlements[i]);
  };
  upcoming(3, [&](const Settlement& settlement) {
    incarnations_.fetch_ahead(settlement.worker);
    job.account.fetch_ahead_place(settlement.lease, settlement.range);
  });
  upcoming(2, [&](const Settlement& settlement) {
    if (const Peer* const worker = incarnations_.find(settlement.worker); worker != nullptr)
      ventile::fetch_ahead(*worker);
    job.account.fetch_ahead_lease(settlement.lease);
  });
  upcoming(1, [&](const Settlement& settlement) { job.account.fetch_ahead_holder(settlement.lease); });
}

void Dispatcher::on_stored(Peer& sink, Job& job, const Stored& stored, TimePoint now) {
  job.credit = {std::max(job.credit.tasks, stored.credit.tasks), std::max(job.credit.bytes, stored.credit.bytes),
                std::max(job.credit.number_limit, stored.credit.number_limit)};
  std::vector<std::pair<Peer*, Verdicts>> verdicts;  // Of each worker, as they come up.
  const std::vector<Settlement>& settlements = stored.settlements;
  for (std::size_t i = 0; i < settlements.size(); ++i) {
    fetch_ahead(job, settlements, i);
    const Settlement& settlement = settlements[i];
    const bool known = !settlement.range.empty() && settlement.range.end() <= job.account.submitted();
    const bool waits = settlement.range.end() <= job.accepted;  // For the disk.
    if (!known && (settlement.range.empty() || !(waits || job.options.resumed)))
      return refuse(sink.id, &sink, "STORED names numbers that were never submitted");
    Peer* const worker = incarnations_.find(settlement.worker);
    known ? settle(job, settlement, worker, now) : remember_stored(job, settlement);
    const bool lost = planted("verdicts are lost") ||
                      (planted("verdicts of duplicates are lost") && settlement.verdict == Verdict::duplicate);
    if (worker == nullptr || lost) continue;
    if (worker->verdicts_at >= verdicts.size() || verdicts[worker->verdicts_at].first != worker) {
      worker->verdicts_at = verdicts.size();
      verdicts.push_back({worker, {}});
    }
    verdicts[worker->verdicts_at].second.verdicts.push_back({settlement.lease, settlement.range, settlement.verdict});
  }
  for (auto& [worker, message] : verdicts) send(*worker, job.id, std::move(message));
  if (job.owner) give_room(job, false);
  maybe_end(job);
  feed_hungry(now);
}

// A worker that outlived the dispatcher before this one had it, and the input has not been read so far again; or a
// client has settled what it had just offered, and the disk does not know it yet.
void Dispatcher::remember_stored(Job& job, const Settlement& settlement) {
  job.stored_bytes += settlement.bytes;
  if (settlement.verdict != Verdict::stored) return;
  if (planted("what is stored ahead of the input is forgotten")) return;
  job.sink_has.insert(settlement.range);
  for (const RangeOutcome& exception : exceptions_of(settlement.failures)) job.sink_exceptions.push_back(exception);
  take_in_beyond_end(job);
  const Range submitted{0, job.account.submitted()};
  if (const Range part = intersection(submitted, settlement.range); !part.empty()) settle_known(job, part);
}

// The job has ended earlier than its life before had read: what the sink has beyond belongs to it, and what lies
// between can neither be read nor run any more.
void Dispatcher::take_in_beyond_end(Job& job) {
  if (!job.options.resumed || !job.ended || job.sink_has.empty() || !job.unpersisted.empty()) return;
  const Number end = job.sink_has.ranges().back().end();
  if (end <= job.accepted) return;
  const Range beyond{job.accepted, end - job.accepted};
  job.accepted = end;
  job.account.offer(beyond.count, 0);
  for (const Range known : job.sink_has.present(beyond)) settle_known(job, known);
  propose(job, job.account.propose(beyond), Outcome::cancelled, 0, "cancelled",
          "the job was ended before this task ran");
}

void Dispatcher::settle(Job& job, const Settlement& settlement, Peer* worker, TimePoint now) {
  const Range range = settlement.range;
  Lease* const lease = job.account.find(settlement.lease);
  const History history = lease != nullptr ? lease->history : History{};
  const SessionId holder = lease != nullptr ? lease->holder : SessionId{};
  if (lease != nullptr) job.note_batch(now - lease->granted);
  if (lease != nullptr && job.options.durable) job.granularity.observe_round_trip(now - lease->granted);
  if (settlement.verdict == Verdict::stored) {
    if (job.account.ledger().touches(range)) {
      if (job.sink_has.contains(range))  // It said so when it opened the job, and of its worker now.
        job.stored_bytes += settlement.bytes;
      else
        notice(Level::error, "the sink says that it stored tasks which have an outcome already; ignored");
      return;
    }
    job.last_settled = now;
    if (worker != nullptr) worker->proven = true;
    job.stored_bytes += settlement.bytes;
    const double bytes_each = static_cast<double>(settlement.bytes) / static_cast<double>(range.count);
    if (settlement.worker)
      job.result_bytes = job.result_bytes == 0 ? bytes_each : 0.9 * job.result_bytes + 0.1 * bytes_each;
    if (const std::chrono::nanoseconds busy{settlement.busy_nanoseconds}; busy.count() > 0) {
      job.granularity.observe_rate(range.count, slots_open_, now);
      job.granularity.observe(range.count, busy);
      if (lease != nullptr && std::exchange(lease->first, false))
        job.granularity.observe_way(now - lease->granted - busy);
    }
    for (const Account::Loser& loser : job.account.settle(range, exceptions_of(settlement.failures), settlement.lease))
      cancel_loser(job, loser);
    actions_.push_back(Settled{job.id, range, settlement.failures});
  } else if (settlement.verdict == Verdict::refused) {
    propose(job, job.account.propose(range, settlement.lease), Outcome::failed, history.tries + 1, "result",
            "the sink could not read its result");
  } else {
    count_duplicates(job, worker, range.count);
    if (settlement.verdict == Verdict::duplicate) settle_known(job, range);
    // A folded result dropped as a whole frees numbers that nobody else has.
    job.account.release(settlement.lease, range, history);
  }
  if (worker != nullptr && worker->session == holder) return lease_ended(*worker);  // As ever, but for a late result.
  if (Peer* const other = sessions_.find(holder); other != nullptr) lease_ended(*other);
}

// The sink had outcomes for these numbers before it could tell us.
void Dispatcher::settle_known(Job& job, Range range) {
  for (const Range fresh : job.account.ledger().missing(range)) {
    std::vector<FailureNote> failures;
    for (const RangeOutcome& exception : job.sink_exceptions)
      if (const Range part = intersection(exception.range, fresh); !part.empty())
        failures.push_back({part, exception.outcome, {}, {}});
    for (const Account::Loser& loser : job.account.settle(fresh, exceptions_of(failures), {})) cancel_loser(job, loser);
    actions_.push_back(Settled{job.id, fresh, std::move(failures)});
  }
}

void Dispatcher::count_duplicates(Job& job, const Peer* worker, std::uint64_t count) {
  job.counters.duplicates += count;
  notice(Level::info, "dropped late results of " + tasks_text(count) +
                          (worker != nullptr ? " from worker " + worker->name : std::string{}) +
                          ": they had an outcome already");
}

void Dispatcher::cancel_loser(const Job& job, const Account::Loser& loser) {
  Peer* const holder = sessions_.find(loser.holder);
  if (holder == nullptr) return;
  send(*holder, job.id, Cancel{loser.lease, loser.range});
  lease_ended(*holder);
}

void Dispatcher::propose(Job& job, const std::vector<Range>& ranges, Outcome outcome, std::uint32_t tries,
                         const std::string& kind, const std::string& message) {
  if (ranges.empty()) return;
  if (job.proposals.size() >= job.proposals_limit) {
    std::erase_if(job.proposals, [&job](const Propose& old) {
      return std::all_of(old.ranges.begin(), old.ranges.end(),
                         [&job](Range range) { return job.account.ledger().has(range); });
    });
    job.proposals_limit = std::max<std::size_t>(64, 2 * job.proposals.size());
  }
  job.proposals.push_back({ranges, outcome, tries, kind, message});
  if (job.sink_ready) send(*job.sink, job.id, job.proposals.back());
}

}  // namespace ventile
