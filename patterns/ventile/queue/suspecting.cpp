// The part of Dispatcher that finds out which task kills its workers, and remembers it.
#include <ventile/base/planted.hpp>
#include <ventile/queue/dispatcher_state.hpp>

namespace ventile {

// A worker died with this lease begun. The first time, all of it becomes suspect; when a worker dies with nothing but
// a suspect, the suspect is halved, until the poisonous task stands alone and has killed often enough.
void Dispatcher::suspect(Job& job, const Peer& worker, LeaseId id, bool alone, TimePoint now) {
  const Lease& lease = *job.account.find(id);
  const std::vector<Range> held_by_it = lease.remaining.ranges();
  History history = lease.history;
  const bool was_suspect = history.suspicion > 0;
  if (options_.isolate_suspects) ++history.suspicion;
  const bool alone_too = planted("a batch is blamed for its poison");
  const bool to_blame = !options_.isolate_suspects || (alone && (lease.remaining.count() == 1 || alone_too));
  if (to_blame && !planted("crashes are not counted")) ++history.deaths_alone;
  if (history.deaths_alone >= options_.max_crashes) {
    for (const Range held : held_by_it) {
      note_suspect(job, held, history);
      propose(job, job.account.propose(held, id), Outcome::dead, history.tries + 1, "crash",
              crashes_text(history.deaths_alone) + "; last " + worker.name);
    }
    ++job.counters.requeued_batches;
    return;
  }
  if (was_suspect && lease.remaining.count() > 1) {
    const std::vector<Range> ranges = lease.remaining.ranges();
    const Range first = ranges.front();
    if (ranges.size() == 1)
      job.counters.requeued_tasks += job.account.release(id, {first.first, first.count / 2}, history);
  }
  lose_lease(job, worker, id, history, now);
  for (const Range range : held_by_it)  // But for what others have.
    for (const Pending& pending : job.account.backlog().within(range))
      note_suspect(job, pending.range, pending.history);
}

// Whoever resumes the job must know.
void Dispatcher::note_suspect(Job& job, Range range, const History& history) {
  if (!job.options.durable || planted("crashes are not written down")) return;
  actions_.push_back(
      Persist{++next_token_, job.id, {JobRecord::Kind::suspected, range, history.suspicion, history.deaths_alone}, {}});
  job.suspected_token = next_token_;
}

// One that had killed often enough got no verdict any more.
void Dispatcher::recall_suspects(Job& job, Range range) {
  if (planted("a resumed job forgets its suspects")) return;
  for (const Suspect& suspect : job.options.suspects) {
    const Range part = intersection(suspect.range, range);
    if (part.empty()) continue;
    job.account.accuse({part, suspect.suspicion, suspect.deaths_alone});
    if (suspect.deaths_alone >= options_.max_crashes)
      propose(job, job.account.propose(part), Outcome::dead, 1, "crash", crashes_text(suspect.deaths_alone));
  }
}

std::string Dispatcher::crashes_text(std::uint32_t deaths) const {
  return "its worker died " + std::to_string(deaths) + " times" +
         (options_.isolate_suspects ? " while running nothing else" : "");
}

}  // namespace ventile
