#include <ventile/queue/collector.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <utility>

#include <ventile/base/crc32c.hpp>
#include <ventile/base/mixed.hpp>
#include <ventile/base/planted.hpp>

namespace ventile {
namespace {

// The digest is a sum, so that the order of arrival does not matter.
std::uint64_t digest_of(Number number, Outcome outcome, std::uint32_t checksum) {
  return mixed(mixed(number) + (std::uint64_t{static_cast<std::uint8_t>(outcome)} << 32) + checksum);
}

}  // namespace

Collector::Collector(CollectorOptions options) : options_(std::move(options)), hello_pause_(options_.hello_interval) {}

Collector::Actions Collector::take_actions() { return std::exchange(actions_, {}); }

void Collector::say(Message message) { actions_.push_back(Say{job_.value_or(JobId{}), session_, std::move(message)}); }

// --- Opening and losing a session --------------------------------------------------------------------------------

void Collector::start(TimePoint now) { hello(now); }

void Collector::hello(TimePoint now) {
  session_ = {};
  asked_ = opened_ = false;
  state_ = State::greeting;
  ++greetings_;
  next_hello_ = now + hello_pause_;
  hello_pause_ = std::min(2 * hello_pause_, options_.hello_interval_max);
  std::vector<HeldRange> held;
  if (job_) held.push_back({.job = *job_});  // So that no other sink gets it.
  actions_.push_back(Say{{},
                         {},
                         Hello{Role::sink,
                               options_.node,
                               options_.name,
                               options_.build,
                               0,
                               {},
                               options_.results_address,
                               {},
                               held,
                               greetings_,
                               options_.machine}});
}

void Collector::on_unreadable(const Error& error, TimePoint now) {
  if (state_ == State::gone || !std::exchange(options_.machine, {})) return;
  actions_.push_back(Notice{Level::warning, error.message + " Nothing is lent to this sink from now on."});
  hello(now);
}

void Collector::on_malformed(const Error& error, std::optional<std::uint16_t> version, TimePoint) {
  ++refused_;
  if (version && *version != protocol_version) {
    const std::string why = "the dispatcher speaks protocol version " + std::to_string(*version) +
                            ", this sink version " + std::to_string(protocol_version) +
                            "; run the same release on both sides";
    actions_.push_back(Leave{Ending::version_mismatch, why});
  } else {
    actions_.push_back(Notice{Level::warning, "refused a message: " + error.message});
  }
}

void Collector::on_message(const Received& received, TimePoint now) {
  if (state_ == State::gone) return;
  if (const auto* welcome = std::get_if<Welcome>(&received.message)) {
    if (state_ != State::greeting || welcome->greeting != greetings_) return;
    session_ = received.envelope.session;
    hello_pause_ = options_.hello_interval;
    state_ = State::open;
    liveness_.begin(welcome->heartbeat_milliseconds, welcome->dead_after_milliseconds, now);
    welcome_since_ = now;
    return;
  }
  if (std::holds_alternative<HelloAgain>(received.message)) {
    if (state_ != State::greeting) hello(now);
    return;
  }
  if (const auto* refused = std::get_if<Refused>(&received.message)) {
    const Ending ending = refused->reason == Refusal::version ? Ending::version_mismatch : Ending::refused;
    actions_.push_back(Leave{ending, "the dispatcher refused this sink: " + refused->message});
    return;
  }
  if (state_ != State::open || received.envelope.session != session_) return;
  liveness_.on_heard(now);
  if (const auto* pace = std::get_if<Pace>(&received.message))
    return liveness_.keep_pace(pace->heartbeat_milliseconds, pace->dead_after_milliseconds, now);
  if (const auto* opened = std::get_if<Open>(&received.message)) return on_open(received.envelope.job, *opened);
  if (std::holds_alternative<Bye>(received.message)) {
    if (job_ && !options_.stay) {
      actions_.push_back(Leave{Ending::failed, "the dispatcher has left before the job was over"});
    } else {
      hello(now);
    }
    return;
  }
  if (!job_ || received.envelope.job != *job_) return;
  if (const auto* propose = std::get_if<Propose>(&received.message)) {
    on_propose(*propose);
  } else if (const auto* end = std::get_if<End>(&received.message)) {
    on_end(*end);
  } else if (std::holds_alternative<Close>(received.message)) {
    if (!options_.stay) say(Bye{});  // So that the dispatcher need not wait to learn that its own has arrived.
    job_.reset();
    if (!options_.stay) actions_.push_back(Leave{output_failed_ ? Ending::failed : Ending::done, {}});
  }
}

// --- The job -----------------------------------------------------------------------------------------------------

void Collector::on_open(JobId job, const Open& open) {
  if (job_ && *job_ != job && !finalised_) {
    actions_.push_back(Say{job, session_, Opened{"it works for another job", {}, false, {}, {}, {}}});
    return;
  }
  total_.reset();
  asked_ = true;
  if (job_ == job && opening_token_ != 0) return;  // It is said when the disk knows the job.
  if (job_ == job) return say_opened();
  job_ = job;
  ledger_ = {};
  waiting_.clear();
  uses_.clear();
  unsent_.clear();
  in_flight_.clear();
  kept_.clear();
  kept_outcomes_.clear();
  written_ = held_bytes_ = duplicates_ = digest_ = 0;
  finalising_ = finalised_ = said_closed_ = output_failed_ = false;
  actions_.push_back(OpenOutput{job, open});
}

void Collector::say_opened() {
  opened_ = true;
  received_bytes_ = 0;
  for (const Settlement& settlement : unsent_) received_bytes_ += settlement.bytes;
  // What is still to be acknowledged is not said here: of a durable sink it may be gone after a crash, and nobody
  // should hear of an outcome twice.
  IntervalSet have = ledger_.settled();
  const auto not_yet = [&](const Settlement& settlement) {
    if (settlement.verdict == Verdict::stored && !planted("OPENED says what is not on the disk"))
      have.erase(settlement.range);
  };
  for (const Settlement& settlement : unsent_) not_yet(settlement);
  for (const InFlight& batch : in_flight_)
    for (const Settlement& settlement : batch.settlements) {
      received_bytes_ += settlement.bytes;
      not_yet(settlement);
    }
  std::vector<RangeOutcome> exceptions;
  for (const RangeOutcome& exception : ledger_.exceptions())
    for (const Range part : have.present(exception.range)) exceptions.push_back({part, exception.outcome});
  say(Opened{{}, options_.fold, options_.ordered, have.ranges(), std::move(exceptions), credit()});
}

// A durable sink must know after a crash that the output is its own, and where its job begins in it.
void Collector::on_output_opened() {
  if (job_ && options_.durable) {
    actions_.push_back(Persist{opening_token_ = ++tokens_, snapshot(), {}});
    return;
  }
  if (job_ && asked_ && state_ == State::open) say_opened();
}

void Collector::on_output_refused(const std::string& why) {
  say(Opened{why, {}, false, {}, {}, {}});
  job_.reset();
  actions_.push_back(Leave{Ending::failed, why});
}

SinkCredit Collector::credit() const {
  const Number limit = options_.ordered ? ledger_.low_water() + options_.ordered_window : UINT64_MAX;
  const std::uint64_t room = options_.window_bytes > held_bytes_ ? options_.window_bytes - held_bytes_ : 0;
  return {ledger_.count() + options_.window_tasks, received_bytes_ + room, limit};
}

// --- Results -----------------------------------------------------------------------------------------------------

void Collector::on_results(FrameId frame, const Envelope& envelope, const Results& results) {
  if (!job_ || envelope.job != *job_ || output_failed_ || finalising_) {
    // Its worker sends it again if anybody still wants it.
    ++refused_;
    actions_.push_back(Release{frame});
    return;
  }
  uses_[frame] = 1;
  if (planted("results are not deduplicated")) {
    store(frame, envelope, results, results.range);
  } else if (!ledger_.touches(results.range)) {
    store(frame, envelope, results, results.range);
  } else if (ledger_.has(results.range)) {
    settle(envelope, results, results.range, Verdict::duplicate);
  } else if (results.folded && !planted("part of a fold is taken for all")) {
    settle(envelope, results, results.range, Verdict::overlap);
  } else {
    const IntervalSet before = ledger_.settled();
    for (const Range part : before.present(results.range)) settle(envelope, results, part, Verdict::duplicate);
    for (const Range part : before.missing(results.range)) store(frame, envelope, results, part);
  }
  release(frame);
  maybe_finalise();
}

void Collector::store(FrameId frame, const Envelope& envelope, const Results& results, Range part) {
  std::vector<RangeOutcome> exceptions;
  for (const Failure& failure : results.failures)
    if (const Number number = results.range.first + failure.offset; part.contains(number))
      exceptions.push_back({{number, 1}, failure.outcome});
  ledger_.record(part, exceptions);
  const auto checksum_of = [&](std::uint32_t index) {
    return results.checksums.empty() ? crc32c(results.payloads[index]) : results.checksums[index];
  };
  if (results.folded) {
    digest_ += digest_of(part.first, Outcome::done, checksum_of(0));
  } else {
    auto exception = exceptions.begin();
    for (Number number = part.first; number < part.end(); ++number) {
      const bool failed = exception != exceptions.end() && exception->range.first == number;
      const std::uint32_t checksum = checksum_of(static_cast<std::uint32_t>(number - results.range.first));
      digest_ += digest_of(number, failed ? (exception++)->outcome : Outcome::done, checksum);
    }
  }
  received_bytes_ += bytes_of(results, part);
  settle(envelope, results, part, Verdict::stored);
  if (options_.durable && (options_.ordered || !options_.fold.empty())) {
    ++uses_[frame];
    kept_.push_back({frame, part});
  }
  if (!options_.fold.empty()) {
    actions_.push_back(Combine{frame, part});
  } else {
    write_or_hold({frame, part, bytes_of(results, part), {}});
  }
}

void Collector::settle(const Envelope& envelope, const Results& results, Range range, Verdict verdict) {
  if (verdict != Verdict::stored) duplicates_ += range.count;
  unsent_.push_back(settlement_of(envelope, results, range, verdict));
}

void Collector::write_or_hold(Waiting waiting) {
  const auto write = [this](const Waiting& now) {
    if (now.frame)
      actions_.push_back(Write{*now.frame, now.range});
    else
      actions_.push_back(now.outcome);
  };
  if (!options_.ordered) return write(waiting);
  if (options_.durable && !waiting.frame) {
    const WriteOutcome& outcome = waiting.outcome;
    kept_outcomes_.push_back({outcome.range, outcome.outcome, outcome.tries, outcome.kind, outcome.message});
  }
  hold(std::move(waiting));
  while (!waiting_.empty() && waiting_.begin()->first == written_) {
    const Waiting next = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    write(next);
    written_ = next.range.end();
    held_bytes_ -= next.bytes;
    if (next.frame) release(*next.frame);
  }
}

void Collector::hold(Waiting waiting) {
  if (waiting.frame) ++uses_[*waiting.frame];
  held_bytes_ += waiting.bytes;
  waiting_.emplace(waiting.range.first, std::move(waiting));
}

void Collector::release(FrameId frame) {
  auto it = uses_.find(frame);
  if (--it->second > 0) return;
  uses_.erase(it);
  actions_.push_back(Release{frame});
}

void Collector::on_propose(const Propose& propose) {
  if (finalising_ || output_failed_) return;
  for (const Range range : propose.ranges) {
    std::vector<Range> missing = ledger_.missing(range);
    if (planted("a proposal overrules a result")) missing = {range};
    for (const Range part : ledger_.settled().present(range))
      unsent_.push_back({{}, {}, part, Verdict::duplicate, 0, 0, {}});
    for (const Range part : missing) {
      ledger_.record(part, {{part, propose.outcome}});
      digest_ += digest_of(part.first, propose.outcome, static_cast<std::uint32_t>(part.count));
      FailureNote note{part, propose.outcome, propose.kind, propose.message.substr(0, FailureNote::message_bytes_max)};
      unsent_.push_back({{}, {}, part, Verdict::stored, 0, 0, {std::move(note)}});
      write_or_hold({std::nullopt, part, 0, {part, propose.outcome, propose.tries, propose.kind, propose.message}});
    }
  }
  maybe_finalise();
}

void Collector::on_written(TimePoint now) {
  if (unsent_.empty() || output_failed_ || !job_) return;
  if (options_.durable && !planted("results are acknowledged before the sync")) return persist();
  if (!opened_) return;
  acknowledge(std::exchange(unsent_, {}), now);
  maybe_finalise();
}

void Collector::acknowledge(std::vector<Settlement> settlements, TimePoint now) {
  constexpr std::size_t settlements_max = 1000;  // In one message.
  for (std::size_t at = 0; at < settlements.size(); at += settlements_max) {
    const auto first = settlements.begin() + static_cast<std::ptrdiff_t>(at);
    const auto last = first + static_cast<std::ptrdiff_t>(std::min(settlements_max, settlements.size() - at));
    say(Stored{{std::make_move_iterator(first), std::make_move_iterator(last)}, credit()});
  }
  liveness_.on_said(now);
}

// --- The disk ----------------------------------------------------------------------------------------------------

void Collector::persist() {
  SinkRecord record{.job = *job_, .digest = digest_, .duplicates = duplicates_, .written = written_};
  for (const Settlement& settlement : unsent_) {
    if (settlement.verdict != Verdict::stored) continue;
    record.settled.push_back(settlement.range);
    for (const FailureNote& note : settlement.failures) record.exceptions.push_back({note.range, note.outcome});
  }
  // What was written meanwhile needs no second copy.
  const auto was_written = [this](const auto& kept) { return options_.ordered && kept.range.first < written_; };
  std::vector<Kept> kept;
  std::copy_if(kept_.begin(), kept_.end(), std::back_inserter(kept), std::not_fn(was_written));
  std::copy_if(kept_outcomes_.begin(), kept_outcomes_.end(), std::back_inserter(record.outcomes),
               std::not_fn(was_written));
  kept_outcomes_.clear();
  actions_.push_back(Persist{++tokens_, std::move(record), std::move(kept)});
  if (planted("the disk forgets failures")) std::get<Persist>(actions_.back()).record.exceptions.clear();
  if (planted("kept payloads are not written")) std::get<Persist>(actions_.back()).kept.clear();
  in_flight_.push_back({tokens_, std::exchange(unsent_, {})});
  for (const Kept& one : std::exchange(kept_, {})) release(one.frame);
}

void Collector::on_persisted(std::uint64_t token, TimePoint now) {
  std::vector<Settlement> safe;
  for (; !in_flight_.empty() && (in_flight_.front().token <= token || planted("one sync acknowledges all"));
       in_flight_.pop_front()) {
    std::vector<Settlement>& settlements = in_flight_.front().settlements;
    safe.insert(safe.end(), std::make_move_iterator(settlements.begin()), std::make_move_iterator(settlements.end()));
  }
  if (!job_ || output_failed_) return;
  if (opening_token_ != 0 && token >= opening_token_) {
    opening_token_ = 0;
    if (asked_ && state_ == State::open) say_opened();  // Else OPEN of this session is yet to come.
  }
  if (opened_) acknowledge(std::move(safe), now);  // Else the next OPENED says so.
  if (final_token_ != 0 && token >= final_token_) {
    final_token_ = 0;
    finalised_ = true;
    if (opened_) say_closed();
  }
  maybe_finalise();
}

void Collector::restore(const SinkRecord& record) {
  if (job_ != record.job || (record.whole && !planted("replay counts a snapshot on top"))) {
    job_ = record.job;
    ledger_ = {};
    waiting_.clear();
    uses_.clear();
    held_bytes_ = 0;
  }
  for (const Range range : record.settled) {
    std::vector<RangeOutcome> exceptions;
    for (const RangeOutcome& exception : record.exceptions)
      if (const Range part = intersection(exception.range, range); !part.empty())
        exceptions.push_back({part, exception.outcome});
    ledger_.record(range, exceptions);
  }
  digest_ = record.digest;
  duplicates_ = record.duplicates;
  if (!planted("replay forgets how much was written")) written_ = record.written;
  finalising_ = finalised_ = record.finalised;
  while (!waiting_.empty() && waiting_.begin()->first < written_) {
    const Waiting written = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    held_bytes_ -= written.bytes;
    if (written.frame) release(*written.frame);
  }
  for (const HeldOutcome& held : record.outcomes)
    if (held.range.first >= written_)
      hold({std::nullopt, held.range, 0, {held.range, held.outcome, held.tries, held.kind, held.message}});
}

bool Collector::restore_kept(FrameId frame, Range range, std::uint64_t bytes) {
  if (!options_.ordered || range.first < written_) return false;
  hold({frame, range, bytes, {}});
  return true;
}

SinkRecord Collector::snapshot() const {
  SinkRecord record{.job = job_.value_or(JobId{}),
                    .whole = true,
                    .settled = ledger_.settled().ranges(),
                    .exceptions = ledger_.exceptions(),
                    .digest = digest_,
                    .duplicates = duplicates_,
                    .written = written_,
                    .finalised = finalised_};
  for (const auto& [first, held] : waiting_)
    if (!held.frame)
      record.outcomes.push_back(
          {held.range, held.outcome.outcome, held.outcome.tries, held.outcome.kind, held.outcome.message});
  return record;
}

std::vector<Collector::Kept> Collector::waits() const {
  std::vector<Kept> kept;
  for (const auto& [first, held] : waiting_)
    if (held.frame) kept.push_back({*held.frame, held.range});
  return kept;
}

// --- The end -----------------------------------------------------------------------------------------------------

void Collector::on_end(const End& end) {
  total_ = end.total;
  if (finalised_ && !planted("CLOSED is said once only"))
    say_closed();  // It was lost with a session.
  else
    maybe_finalise();
}

void Collector::maybe_finalise() {
  if (!total_ || finalising_ || output_failed_ || !unsent_.empty() || !in_flight_.empty() || ledger_.count() != *total_)
    return;
  finalising_ = true;
  actions_.push_back(Finalise{*job_, *total_});
}

void Collector::on_finalised(TimePoint) {
  if (options_.durable && !planted("CLOSED comes before the sync")) {
    SinkRecord record{
        .job = *job_, .digest = digest_, .duplicates = duplicates_, .written = written_, .finalised = true};
    actions_.push_back(Persist{final_token_ = ++tokens_, std::move(record), {}});
    return;
  }
  finalised_ = true;
  say_closed();
}

void Collector::say_closed() {
  said_closed_ = true;
  say(Closed{ledger_.outcomes(), duplicates_, digest_, {}});
}

void Collector::on_output_failed(const std::string& why, TimePoint) {
  if (std::exchange(output_failed_, true)) return;
  unsent_.clear();
  actions_.push_back(Notice{Level::error, why});
  if (job_) say(Closed{ledger_.outcomes(), duplicates_, digest_, why});
  if (state_ != State::open) actions_.push_back(Leave{Ending::failed, why});
}

void Collector::drain(const std::string& why) {
  options_.stay = false;
  if (!job_) leave(why);
}

void Collector::leave(const std::string& why) {
  if (state_ == State::open) say(Bye{ByeReason::done, why});
  state_ = State::gone;
  actions_.push_back(Leave{job_ ? Ending::failed : Ending::done, why});
}

// --- Time --------------------------------------------------------------------------------------------------------

void Collector::on_tick(TimePoint now) {
  if (state_ == State::greeting && said_closed_ && !options_.stay && liveness_.silence(now) > options_.finished_after)
    return leave_finished();
  if (state_ == State::greeting && now >= next_hello_) return hello(now);
  if (state_ != State::open) return;
  if (liveness_.is_dead(now)) {
    actions_.push_back(
        Notice{Level::warning, "the dispatcher is silent; introducing this sink again until it answers"});
    return hello(now);
  }
  const bool has_no_open = job_ && !opened_ && opening_token_ == 0;  // And none that the disk is still to know.
  if (has_no_open && now - welcome_since_ > options_.orphan_after) return on_orphaned(now);
  if (!liveness_.word_is_due(now)) return;
  liveness_.on_said(now);
  say(Heartbeat{});
}

// Its output is whole, and the dispatcher has left in a hurry, was killed, or is cut off for long: then it has perhaps
// not heard so, and will miss this sink.
void Collector::leave_finished() {
  state_ = State::gone;
  actions_.push_back(
      Leave{Ending::done, "the dispatcher has been silent for two minutes since the output was closed, whole"});
}

// The dispatcher of the job is gone for good: another answers at its address, and does not know the job.
void Collector::on_orphaned(TimePoint now) {
  const std::string why = "the dispatcher that answers does not know this sink's job; what it collected is incomplete";
  job_.reset();
  if (options_.stay) {
    actions_.push_back(Notice{Level::warning, why});
    return hello(now);  // Without the job, so that it is given another.
  }
  say(Bye{ByeReason::failed, why});
  state_ = State::gone;
  actions_.push_back(Leave{Ending::failed, why});
}

TimePoint Collector::next_tick() const {
  if (state_ == State::gone) return never;
  return state_ == State::greeting ? next_hello_ : liveness_.next_tick();
}

std::string Collector::why_waiting() const {
  if (state_ == State::greeting) return "the dispatcher has not answered";
  if (!job_) return "the dispatcher has no job for this sink";
  return {};
}

}  // namespace ventile
