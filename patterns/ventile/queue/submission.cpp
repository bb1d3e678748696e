#include <ventile/queue/submission.hpp>

#include <algorithm>
#include <utility>

#include <ventile/base/planted.hpp>

namespace ventile {
namespace {

constexpr std::size_t settlements_max = 1000;  // In one message.

std::uint64_t share_of(std::uint64_t bytes, std::uint64_t part, std::uint64_t whole) {
  return static_cast<std::uint64_t>(static_cast<long double>(bytes) * part / whole);
}

}  // namespace

Submission::Submission(SubmissionOptions options)
    : options_(std::move(options)), hello_pause_(options_.hello_interval) {}

Submission::Actions Submission::take_actions() { return std::exchange(actions_, {}); }

JobId Submission::known_as(JobId id) const {
  const auto it = jobs_.find(id);
  return it == jobs_.end() || !it->second.known_as ? id : it->second.known_as;
}

JobId Submission::id_of(JobId known_as) const {
  for (const auto& [id, job] : jobs_)
    if (job.known_as == known_as) return id;
  return known_as;
}

std::string Submission::worker_name(IncarnationId worker) const {
  auto it = workers_.find(worker);
  return it == workers_.end() ? to_string(worker) : it->second;
}

// --- Opening and losing a session --------------------------------------------------------------------------------

void Submission::start(TimePoint now) { hello(now); }

void Submission::hello(TimePoint now) {
  session_ = {};
  state_ = State::greeting;
  ++greetings_;
  next_hello_ = now + hello_pause_;
  hello_pause_ = std::min(2 * hello_pause_, options_.hello_interval_max);
  say({}, Hello{Role::client,
                options_.node,
                options_.name,
                options_.build,
                0,
                {},
                options_.results_address,
                {},
                {},
                greetings_,
                options_.machine});
}

void Submission::on_unreadable(const Error& error, TimePoint now) {
  if (state_ == State::gone || !std::exchange(options_.machine, {})) return;
  actions_.push_back(Notice{Level::warning, error.message + " Nothing is lent to this client from now on."});
  hello(now);
}

void Submission::on_welcome(const Received& received, const Welcome& welcome, TimePoint now) {
  if (state_ != State::greeting || welcome.greeting != greetings_) return;
  session_ = received.envelope.session;
  hello_pause_ = options_.hello_interval;
  state_ = State::open;
  liveness_.begin(welcome.heartbeat_milliseconds, welcome.dead_after_milliseconds, now);
  for (auto& [id, job] : jobs_) job.fetch ? say_fetch(id, job) : say_submit(id, job);
  for (const Message& question : questions_) say({}, question);
}

void Submission::on_malformed(const Error& error, std::optional<std::uint16_t> version) {
  if (version && *version != protocol_version) {
    state_ = State::gone;
    actions_.push_back(Leave{Ending::version_mismatch, "the broker speaks protocol version " +
                                                           std::to_string(*version) + ", this client version " +
                                                           std::to_string(protocol_version) +
                                                           "; run the same release on both sides"});
  } else {
    actions_.push_back(Notice{Level::warning, "refused a message of the broker: " + error.message});
  }
}

void Submission::on_message(const Received& received, TimePoint now) {
  if (state_ == State::gone) return;
  if (const auto* welcome = std::get_if<Welcome>(&received.message)) return on_welcome(received, *welcome, now);
  if (std::holds_alternative<HelloAgain>(received.message)) {
    if (state_ != State::greeting) hello(now);
    return;
  }
  if (const auto* refused = std::get_if<Refused>(&received.message)) {
    if (refused->reason == Refusal::malformed) {
      actions_.push_back(Notice{Level::error, "the broker refused a message: " + refused->message});
      return;
    }
    state_ = State::gone;
    const Ending ending = refused->reason == Refusal::version ? Ending::version_mismatch : Ending::refused;
    actions_.push_back(Leave{ending, "the broker refused this client: " + refused->message});
    return;
  }
  if (state_ != State::open || received.envelope.session != session_) return;
  liveness_.on_heard(now);
  if (std::holds_alternative<Bye>(received.message)) return hello(now);
  if (const auto* pace = std::get_if<Pace>(&received.message))
    return liveness_.keep_pace(pace->heartbeat_milliseconds, pace->dead_after_milliseconds, now);
  if (const auto* served = std::get_if<Served>(&received.message)) {
    if (workers_.size() >= names_max) workers_.clear();
    workers_[served->worker] = served->name;
    return;
  }
  if (std::holds_alternative<Report>(received.message) || std::holds_alternative<Explanation>(received.message)) {
    if (questions_.empty()) return;
    questions_.erase(questions_.begin());
    actions_.push_back(Answer{received.message});
    return;
  }
  const JobId id = id_of(received.envelope.job);
  auto it = jobs_.find(id);
  if (it == jobs_.end()) return;
  Job& job = it->second;
  if (const auto* accepted = std::get_if<Accepted>(&received.message)) {
    on_accepted(id, job, *accepted);
  } else if (const auto* propose = std::get_if<Propose>(&received.message)) {
    on_propose(id, job, *propose);
  } else if (const auto* all = std::get_if<End>(&received.message)) {
    job.ending = true;
    if (job.fetch) job.submitted = all->total;
    job.fetch ? maybe_whole(id, job) : maybe_close(id, job);
  } else if (std::holds_alternative<Close>(received.message)) {
    const bool settled = !job.specification.kept && job.completed && job.ledger.count() == job.submitted;
    const bool whole = job.fetch ? job.confirmed : settled;
    if (!job.cancelled.empty() && (!whole || job.has_cancelled)) {  // What was not offered yet, too.
      const std::string why = job.cancelled;
      settle(id, {0, job.submitted}, Outcome::cancelled, why);
      return end(id, "the job was cancelled: " + why, true);
    }
    end(id, whole ? std::string{} : "the broker has given the job up");
  }
}

// --- A job -------------------------------------------------------------------------------------------------------

void Submission::open(JobId id, Submit specification) {
  Job& job = jobs_[id];
  job.known_as = id;
  job.specification = std::move(specification);
  if (state_ == State::open) say_submit(id, job);
}

void Submission::say_submit(JobId id, Job& job) {
  job.accepted = job.said_complete = job.ending = false;
  job.cancelled.clear();
  job.offered = job.offered_bytes = 0;
  job.room = {};
  if (!planted("a client forgets what it said it has")) job.said = job.ledger.settled();
  job.early.clear();
  job.received_bytes = 0;
  for (const Settlement& settlement : job.unsent) job.received_bytes += settlement.bytes;
  Submit submit = job.specification;
  if (!submit.kept && !planted("a client does not say what it has")) submit.have = job.ledger.settled().ranges();
  submit.exceptions = job.ledger.exceptions();
  submit.credit = credit(job);
  say(id, std::move(submit));
}

SinkCredit Submission::credit(const Job& job) const {
  return {job.ledger.count() + options_.window_tasks, job.received_bytes + options_.window_bytes, UINT64_MAX};
}

void Submission::on_accepted(JobId id, Job& job, const Accepted& accepted) {
  // It is over, and the CLOSE was lost.
  if (!accepted.refusal.empty() && job.confirmed) return end(id, {});
  if (!accepted.refusal.empty()) return end(id, "the broker refused the job: " + accepted.refusal);
  if (accepted.job) job.known_as = accepted.job;
  if (job.fetch) return;
  if (accepted.job) return say_submit(id, job);
  if (job.specification.kept) return on_kept(id, job, accepted);
  if (give_up_shown(id, job, accepted.life)) return;
  if (!std::exchange(job.accepted, true)) {
    job.offered = planted("a client offers from where it was") ? job.submitted : accepted.submitted;
    if (accepted.submitted > job.submitted) return end(id, "the broker knows tasks that were never submitted");
  }
  job.room = {std::max(job.room.tasks, accepted.credit.tasks), std::max(job.room.bytes, accepted.credit.bytes)};
  if (!job.unsent.empty()) unsettled_.push_back(id);  // Of what was decided before, too.
  offer(id, job);
}

// Of a job that is to run once, any of that may have begun, and nobody knows of it any more. The dispatcher must know
// that these are settled before it has them.
bool Submission::give_up_shown(JobId id, Job& job, LifeId life) {
  const bool is_another = std::exchange(job.life, life) != life;
  if (!job.specification.once || !is_another || job.shown == 0) return false;
  if (planted("a client offers again what may have begun")) return false;
  settle(id, {0, std::exchange(job.shown, 0)}, Outcome::lost,
         "its broker was lost, and forgot whether it had begun: a broker with --durable remembers");
  say_submit(id, job);
  return true;
}

void Submission::on_kept(JobId id, Job& job, const Accepted& accepted) {
  if (accepted.submitted < job.kept) return end(id, "the broker has lost tasks of the job, which it had");
  job.accepted = true;
  job.kept = std::max(job.kept, accepted.submitted);
  job.kept_complete = job.kept_complete || accepted.complete;
  job.offered = std::max(job.offered, accepted.submitted);
  job.room = {std::max(job.room.tasks, accepted.credit.tasks), std::max(job.room.bytes, accepted.credit.bytes)};
  if (hand_over(id, job)) offer(id, job);
}

// What the broker has need not be held here, nor offered if another client has brought it. False if the job is over.
bool Submission::hand_over(JobId id, Job& job) {
  const std::uint64_t known = std::min(job.kept, job.submitted);
  if (known > job.ledger.count()) record(id, job, Range::between(job.ledger.count(), known), {});
  const bool too_short = job.completed && job.submitted < job.kept;
  const bool too_long = job.kept_complete && job.submitted > job.kept;
  if (too_short || too_long) {
    end(id, "its input has changed: the broker keeps a job of " + std::to_string(job.kept) + " tasks by this name");
    return false;
  }
  actions_.push_back(Kept{id, known, job.kept_complete && job.completed});
  return true;
}

Range Submission::submit(JobId id, std::uint64_t count, std::uint64_t bytes) {
  Job& job = jobs_.at(id);
  const Range range{job.submitted, count};
  if (count == 0) return range;
  job.blocks.emplace(range.first, Block{count, bytes});
  job.submitted = range.end();
  if (!job.specification.kept || hand_over(id, job)) offer(id, job);
  return range;
}

void Submission::complete(JobId id) {
  Job& job = jobs_.at(id);
  job.completed = true;
  if (!job.specification.kept || hand_over(id, job)) offer(id, job);
}

std::uint64_t Submission::bytes(JobId id, const Block& block, Range range) const {
  return options_.bytes_of ? options_.bytes_of(id, range) : share_of(block.bytes, range.count, block.count);
}

// How many tasks of the range, from its first on, are within the credit. When the dispatcher has nothing else, and
// knows that, one is.
std::uint64_t Submission::fitting(JobId id, const Job& job, const Block& block, Range range) const {
  if (job.room.tasks <= range.first) return 0;
  range.count = std::min(range.count, job.room.tasks - range.first);
  const std::uint64_t left = job.room.bytes > job.offered_bytes ? job.room.bytes - job.offered_bytes : 0;
  if (bytes(id, block, range) <= left) return range.count;
  std::uint64_t fits = 0;
  for (std::uint64_t too_many = range.count; too_many - fits > 1;) {
    const std::uint64_t middle = fits + (too_many - fits) / 2;
    (bytes(id, block, {range.first, middle}) <= left ? fits : too_many) = middle;
  }
  if (job.specification.kept) return fits == 0 && left > 0 ? 1 : fits;  // The last may be larger than what is left.
  const auto untold = [&job](const Settlement& settlement) { return settlement.range.first < job.offered; };
  const bool has_none =
      job.ledger.low_water() >= job.offered && std::none_of(job.unsent.begin(), job.unsent.end(), untold);
  return fits == 0 && has_none ? 1 : fits;
}

void Submission::offer(JobId id, Job& job) {
  if (state_ != State::open || !job.accepted) return;
  while (job.offered < job.submitted) {
    const Number first = job.offered;
    auto at = job.blocks.upper_bound(first);
    const bool in_block = at != job.blocks.begin() && std::prev(at)->first + std::prev(at)->second.count > first;
    if (!in_block) {  // Settled long ago.
      const Number end = at == job.blocks.end() ? job.submitted : at->first;
      if (job.room.tasks <= first) break;
      send_offer(id, job, Range::between(first, std::min(end, job.room.tasks)), 0);
      continue;
    }
    --at;
    const Number end = at->first + at->second.count;
    Range part = Range::between(first, end);
    const std::vector<Range> told = job.said.present(part);
    if (!told.empty() && told.front().first == first) {
      part = told.front();
      part.count = std::min(part.count, job.room.tasks > first ? job.room.tasks - first : 0);
      if (part.empty()) break;
      send_offer(id, job, part, 0);
      continue;
    }
    if (!told.empty()) part = Range::between(first, told.front().first);
    part.count = fitting(id, job, at->second, part);
    if (part.empty()) break;
    send_offer(id, job, part, bytes(id, at->second, part));
  }
  if (job.completed && !job.said_complete && job.offered == job.submitted && !planted("COMPLETE is not said")) {
    job.said_complete = true;
    if (job.kept_complete) return;
    if (!job.unsent.empty()) unsettled_.push_back(id);
    say(id, Complete{job.submitted});
  }
}

void Submission::send_offer(JobId id, Job& job, Range range, std::uint64_t bytes) {
  const bool index = job.specification.index.enabled;
  actions_.push_back(SendOffer{id, known_as(id), session_, range, index || job.said.contains(range)});
  job.offered = range.end();
  job.shown = std::max(job.shown, job.offered);
  job.offered_bytes += bytes;
  for (const Range part : job.early.present(range)) {
    job.early.erase(part);
    actions_.push_back(DropPayloads{id, part});
  }
  if (!job.unsent.empty()) unsettled_.push_back(id);
}

// Only what the client has settled of itself may be known in part.
void Submission::split_at(Number number, std::vector<Settlement>& settlements) {
  for (std::size_t i = settlements.size(); i-- > 0;) {
    const Range range = settlements[i].range;
    if (range.first >= number || range.end() <= number) continue;
    Settlement rest = settlements[i];
    const auto cut = [](Settlement& settlement, Range part) {
      settlement.range = part;
      for (FailureNote& note : settlement.failures) note.range = part;
    };
    cut(settlements[i], Range::between(range.first, number));
    cut(rest, Range::between(number, range.end()));
    settlements.push_back(std::move(rest));
  }
}

// --- Outcomes ----------------------------------------------------------------------------------------------------

void Submission::record(JobId id, Job& job, Range range, const std::vector<RangeOutcome>& exceptions) {
  job.ledger.record(range, exceptions);
  const Range late = intersection(range, {job.offered, UINT64_MAX - job.offered});
  const Range known = Range::between(range.first, std::min(range.end(), job.offered));
  if (!late.empty()) job.early.insert(late);
  if (!known.empty()) actions_.push_back(DropPayloads{id, known});
  while (!job.blocks.empty()) {
    const auto first = job.blocks.begin();
    if (first->first + first->second.count > std::min(job.ledger.low_water(), job.offered)) break;
    job.blocks.erase(first);
  }
}

void Submission::settle_one(JobId id, Job& job, Settlement settlement) {
  job.unsent.push_back(std::move(settlement));
  if (unsettled_.empty() || unsettled_.back() != id) unsettled_.push_back(id);
}

void Submission::on_results(FrameId frame, const Envelope& envelope, const Results& results) {
  const JobId id = id_of(envelope.job);
  auto it = jobs_.find(id);
  // Results of a session that is over come without the outcomes that went between them: all of it comes again.
  if (it != jobs_.end() && it->second.fetch && state_ == State::open) return on_fetched(frame, id, it->second, results);
  if (it == jobs_.end() || it->second.fetch || state_ == State::gone || results.range.end() > it->second.submitted) {
    actions_.push_back(Release{frame});
    return;
  }
  Job& job = it->second;
  const auto store = [&](Range part) {
    record(id, job, part, exceptions_in(results, part));
    job.received_bytes += bytes_of(results, part);
    settle_one(id, job, settlement_of(envelope, results, part, Verdict::stored));
    actions_.push_back(Deliver{frame, id, part});
  };
  const auto drop = [&](Range part, Verdict verdict) {
    job.duplicates += part.count;
    duplicates_ += part.count;
    settle_one(id, job, settlement_of(envelope, results, part, verdict));
  };
  if (!job.ledger.touches(results.range) || planted("a client does not deduplicate")) {
    store(results.range);
  } else if (job.ledger.has(results.range)) {
    drop(results.range, Verdict::duplicate);
  } else if (results.folded) {
    drop(results.range, Verdict::overlap);
  } else {
    const std::vector<Range> had = job.ledger.settled().present(results.range);
    for (const Range part : job.ledger.missing(results.range)) store(part);
    for (const Range part : had) drop(part, Verdict::duplicate);
  }
  actions_.push_back(Release{frame});
}

void Submission::on_propose(JobId id, Job& job, const Propose& propose) {
  if (propose.outcome == Outcome::cancelled && !job.fetch) job.cancelled = propose.message;
  for (const Range range : propose.ranges) {
    if (job.fetch) {
      for (const Range part : job.ledger.missing(range)) {
        job.ledger.record(part, {{part, propose.outcome}});
        actions_.push_back(DeliverOutcome{id, part, propose.outcome, propose.tries, propose.kind, propose.message});
      }
      maybe_whole(id, job);
      continue;
    }
    if (range.end() > job.submitted) continue;
    const std::vector<Range> had = job.ledger.settled().present(range);
    for (const Range part : job.ledger.missing(range)) {
      job.has_cancelled = job.has_cancelled || propose.outcome == Outcome::cancelled;
      record(id, job, part, {{part, propose.outcome}});
      FailureNote note{part, propose.outcome, propose.kind, propose.message.substr(0, FailureNote::message_bytes_max)};
      settle_one(id, job, {{}, {}, part, Verdict::stored, 0, 0, {std::move(note)}});
      actions_.push_back(DeliverOutcome{id, part, propose.outcome, propose.tries, propose.kind, propose.message});
    }
    for (const Range part : had) settle_one(id, job, {{}, {}, part, Verdict::duplicate, 0, 0, {}});
  }
}

void Submission::settle(JobId id, Range range, Outcome outcome, const std::string& message) {
  auto it = jobs_.find(id);
  if (it == jobs_.end() || it->second.fetch || it->second.specification.kept) return;
  Job& job = it->second;
  const std::string kind{to_string(outcome)};
  for (const Range part : job.ledger.missing(intersection(range, {0, job.submitted}))) {
    record(id, job, part, {{part, outcome}});
    FailureNote note{part, outcome, kind, message.substr(0, FailureNote::message_bytes_max)};
    settle_one(id, job, {{}, {}, part, Verdict::stored, 0, 0, {std::move(note)}});
    actions_.push_back(DeliverOutcome{id, part, outcome, 0, kind, message});
  }
}

// --- Telling -----------------------------------------------------------------------------------------------------

void Submission::on_turn_end() {
  if (state_ != State::open) return;
  for (const JobId id : std::exchange(unsettled_, {}))
    if (auto it = jobs_.find(id); it != jobs_.end()) tell(id, it->second);
}

// Of numbers that the dispatcher does not know yet nothing can be said.
void Submission::tell(JobId id, Job& job) {
  if (!job.accepted || job.unsent.empty()) return;
  split_at(job.offered, job.unsent);
  const auto known = std::stable_partition(job.unsent.begin(), job.unsent.end(), [&job](const Settlement& s) {
    return s.range.end() <= job.offered || planted("a client settles what it has not offered");
  });
  std::vector<Settlement> later(std::make_move_iterator(known), std::make_move_iterator(job.unsent.end()));
  job.unsent.erase(known, job.unsent.end());
  for (std::size_t at = 0; at < job.unsent.size(); at += settlements_max) {
    const auto first = job.unsent.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last = first + static_cast<std::ptrdiff_t>(std::min(settlements_max, job.unsent.size() - at));
    say(id, Stored{{std::make_move_iterator(first), std::make_move_iterator(last)}, credit(job)});
  }
  job.unsent = std::move(later);
  offer(id, job);
  maybe_close(id, job);
}

void Submission::maybe_close(JobId id, Job& job) {
  if (!job.ending || !job.unsent.empty() || job.ledger.count() != job.submitted) return;
  job.ending = false;
  say(id, Closed{job.ledger.outcomes(), job.duplicates, 0, {}});
}

// What was never offered has not left this process: nobody can have run it.
void Submission::end(JobId id, const std::string& error, bool cancelled) {
  if (const auto it = jobs_.find(id); it != jobs_.end() && !error.empty())
    settle(id, Range::between(it->second.shown, it->second.submitted), Outcome::cancelled, error);
  if (jobs_.erase(id) > 0) actions_.push_back(Over{id, error, cancelled});
}

// --- Questions, time, leaving ------------------------------------------------------------------------------------

void Submission::ask(Message question) {
  questions_.push_back(question);
  if (state_ == State::open) say({}, std::move(question));
}

void Submission::on_tick(TimePoint now) {
  if (state_ == State::gone) return;
  if (state_ == State::greeting) {
    if (now >= next_hello_) hello(now);
  } else if (liveness_.is_dead(now)) {
    actions_.push_back(Notice{Level::warning, "the broker is silent; introducing this client again until it answers"});
    hello(now);
  } else if (liveness_.word_is_due(now)) {
    liveness_.on_said(now);
    say({}, Heartbeat{});
  }
}

TimePoint Submission::next_tick() const {
  if (state_ == State::gone) return never;
  return state_ == State::greeting ? next_hello_ : liveness_.next_tick();
}

void Submission::leave() {
  if (state_ == State::open) say({}, Bye{});
  state_ = State::gone;
}

}  // namespace ventile
