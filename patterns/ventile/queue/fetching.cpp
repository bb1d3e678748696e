// Submission's part that fetches the results of kept jobs.
#include <utility>

#include <ventile/base/planted.hpp>
#include <ventile/queue/submission.hpp>

namespace ventile {

void Submission::fetch(JobId id, Fetch fetch) {
  Job& job = jobs_[id];
  job.fetch = std::move(fetch);
  if (state_ == State::open) say_fetch(id, job);
}

void Submission::say_fetch(JobId id, Job& job) {
  job.ending = false;
  job.taken_bytes = 0;
  job.known_as = {};
  Fetch fetch = *job.fetch;
  fetch.have = job.ledger.settled().ranges();
  fetch.credit = {UINT64_MAX, options_.window_bytes, UINT64_MAX};
  say(id, std::move(fetch));
}

void Submission::on_fetched(FrameId frame, JobId id, Job& job, const Results& results) {
  const bool overlaps = results.folded && job.ledger.touches(results.range);
  const std::vector<Range> missing = overlaps ? std::vector<Range>{} : job.ledger.missing(results.range);
  std::uint64_t fresh = 0;
  std::uint64_t dropped = bytes_of(results, results.range);
  for (const Range part : missing) {
    job.ledger.record(part, exceptions_in(results, part));
    actions_.push_back(Deliver{frame, id, part});
    fresh += part.count;
    dropped -= bytes_of(results, part);
  }
  duplicates_ += results.range.count - fresh;
  actions_.push_back(Release{frame});
  taken(id, dropped);
  maybe_whole(id, job);
}

void Submission::detach(JobId id) { jobs_.erase(id); }

void Submission::taken(JobId id, std::uint64_t bytes) {
  auto it = jobs_.find(id);
  if (it == jobs_.end() || bytes == 0) return;
  Job& job = it->second;
  job.taken_bytes += bytes;
  if (state_ == State::open && job.known_as)
    say(id, Stored{{}, {UINT64_MAX, job.taken_bytes + options_.window_bytes, UINT64_MAX}});
}

void Submission::maybe_whole(JobId id, Job& job) {
  if (!job.ending || job.ledger.count() != job.submitted) return;
  if (planted("CLOSED is said before results are safe")) job.confirmed = true;
  if (!std::exchange(job.whole, true)) actions_.push_back(Whole{id, job.submitted});
  if (job.confirmed) say(id, Closed{job.ledger.outcomes(), 0, 0, {}});
}

void Submission::confirm(JobId id) {
  auto it = jobs_.find(id);
  if (it == jobs_.end() || !it->second.whole || std::exchange(it->second.confirmed, true)) return;
  if (state_ == State::open && it->second.ending) maybe_whole(id, it->second);
}

}  // namespace ventile
