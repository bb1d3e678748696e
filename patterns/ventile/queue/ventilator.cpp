#include <ventile/queue/ventilator.hpp>

#include <algorithm>
#include <set>
#include <thread>
#include <utility>

#include <ventile/net/channel.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/queue/exchange.hpp>
#include <ventile/queue/large.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/queue/payload_store.hpp>
#include <ventile/queue/role_journal.hpp>

namespace ventile {
namespace {

constexpr std::size_t block_bytes = 512 * 1024;  // What the reader hands over at once.
constexpr std::uint32_t block_tasks = 64 * 1024;
constexpr std::size_t blocks_waiting_max = 4;
constexpr Duration progress_interval = std::chrono::milliseconds{100};
constexpr Duration tick_shortest = std::chrono::milliseconds{1};
constexpr Duration silence_max = std::chrono::seconds{3};
constexpr Duration farewell_max = std::chrono::milliseconds{500};
constexpr Duration refusal_interval = std::chrono::seconds{5};
constexpr Duration mark_interval = std::chrono::seconds{1};
constexpr std::uint64_t snapshot_after = std::uint64_t{64} << 20;  // Bytes of entries.

// What the reader thread says.
struct Block {
  PayloadWriter payloads{frame_header_size};
  bool end = false;
  std::optional<Error> error;
};

// What waits for the disk before and behind the workers keeps them waiting if it is no more than they run meanwhile.
FeedOptions feed_options(const VentilatorOptions& options) {
  FeedOptions feed = options.feed;
  if (!options.durable.empty()) feed.slot_bytes = feed.window_bytes;
  return feed;
}

}  // namespace

// Carries out what Dispatcher and Feed decide. One thread reads the input; everything else is the reactor's.
class Ventilator::Driver {
public:
  Driver(Context& context, VentilatorOptions options, std::unique_ptr<Input> input, VentilatorCallbacks callbacks)
      : options_(std::move(options)),
        log_(options_.log),
        callbacks_(std::move(callbacks)),
        input_(std::move(input)),
        dispatcher_(incarnation_, known_by(exchange_, options_.dispatcher)),
        feed_(feed_options(options_)),
        exchange_(context, reactor_, incarnation_, options_.frame_bytes_max, handlers(), options_.keys),
        blocks_(reactor_, blocks_waiting_max, [this] { take_blocks(); }) {
    assign_random(job_);
  }

  Result<Endpoint> bind() {
    if (Status remembered = remember(); !remembered) return remembered.error();
    Result<Endpoint> bound = exchange_.bind(options_.bind);
    if (bound) bound_ = *bound;
    return bound;
  }

  Result<VentilatorReport> run() {
    if (!bound_)
      if (const Result<Endpoint> bound = bind(); !bound) return bound.error();
    if (state_.closed) {
      report_.ending = VentilatorEnding::finished_before;
      report_.job = to_string(job_);
      return report_;
    }
    reactor_.on_turn_end([this] { carry_out(); });
    reactor_.post([this] { begin(); });
    reactor_.run();
    blocks_.close();
    if (input_ != nullptr) input_->interrupt();
    if (reader_.joinable()) reader_.join();
    journal_.reset();
    report_.duration = reactor_.now() - started_;
    return report_;
  }

  void drain() {
    when_begun([this] {
      if (options_.job.index.enabled) return drain_range();
      end_input(VentilatorEnding::drained, "stopped reading the input; finishing what was read");
      consider_halt();  // Its owner may want less than what was read: now, not after the next result.
    });
  }
  void cancel() {
    when_begun([this] {
      end_input(VentilatorEnding::halted, "cancelled");
      report_.ending = VentilatorEnding::halted;
      dispatcher_.cancel_job(job_, true, reactor_.now());
    });
  }
  void leave() {
    reactor_.post([this] {
      report_.ending = VentilatorEnding::abandoned;
      report_.why = "it was told to leave at once";
      over_ = true;
    });
  }

private:
  VentilatorOptions options_;
  Log log_;
  VentilatorCallbacks callbacks_;
  std::unique_ptr<Input> input_;
  IncarnationId incarnation_ = random_incarnation();
  JobId job_;
  Reactor reactor_;
  Dispatcher dispatcher_;
  Actions spent_actions_;  // Empty, for their memory.
  Feed feed_;
  PayloadStore store_;
  Exchange exchange_;
  std::optional<Endpoint> bound_;
  Channel<Block> blocks_;
  std::vector<Block> taken_;
  std::thread reader_;
  TimerId tick_;
  bool begun_ = false;
  TimePoint started_;
  TimePoint moved_;  // When something was last settled.
  TimePoint next_progress_ = TimePoint::min();
  std::string said_waiting_;
  RateLimit refusals_{refusal_interval};
  std::unique_ptr<RoleJournal> journal_;
  std::vector<Buffer> recovered_;  // What state_ points into.
  JobMemory state_;                // Of an earlier life; then what a snapshot would say, without the blocks.
  bool resumed_ = false;
  std::uint64_t journaled_ = 0;  // Bytes, since the last snapshot.
  TimePoint next_mark_ = TimePoint::min();
  bool halting_ = false;
  bool over_ = false;  // The job has ended, one way or another.
  bool finished_ = false;
  bool says_goodbye_ = true;     // When it stops.
  std::set<PeerId> unanswered_;  // Who has not reacted to the farewell.
  VentilatorReport report_;

  // --- What was ---

  JobSpecification specification() const {
    return {job_,
            options_.job.name,
            options_.job.function,
            options_.job.constants,
            options_.job.constant_count,
            options_.job.index,
            options_.index_count,
            options_.source};
  }

  Status remember() {
    if (options_.durable.empty() || journal_ != nullptr) return {};
    Result<std::unique_ptr<RoleJournal>> journal =
        RoleJournal::open(options_.durable, job_journal_owner, reactor_, log_, [this](const RecordView& record) {
          resumed_ = true;
          recovered_.emplace_back().append(record.payload);
          return apply_entry(state_, static_cast<JobEntryKind>(record.kind), recovered_.back());
        });
    if (!journal) return journal.error();
    if (resumed_) {
      if (const std::string other = difference(state_.specification, specification()); !other.empty())
        return Error{Code::invalid, options_.durable + " cannot go on with this job: " + other +
                                        "; use another --job or --durable for a new one"};
      job_ = state_.specification.id;
    }
    state_.specification = specification();
    options_.job.durable = true;
    options_.job.reread = options_.job.index.enabled || options_.source.reread;
    options_.job.resumed = resumed_;
    options_.job.retired = state_.retired;
    options_.job.begun = state_.begun.ranges();
    options_.job.suspects = state_.suspects.all();
    journal_ = std::move(*journal);
    journal_->start({.on_persisted = [this](std::uint64_t token) { dispatcher_.on_persisted(token, reactor_.now()); },
                     .on_failed = [this](const std::string& why) { give_up(why); },
                     .before_commit = {}});
    if (!resumed_) append(0, JobEntryKind::specification, pack_entry(state_.specification));
    return {};
  }

  // Its disk has failed. For everybody else it is as if it had been killed: they wait for it.
  void give_up(const std::string& why) {
    says_goodbye_ = false;
    report_.ending = VentilatorEnding::failed;
    report_.why = why + "; start it again with the same command to go on";
    over_ = true;
  }

  void append(std::uint64_t token, JobEntryKind kind, Buffer payload) {
    journaled_ += payload.size();
    journal_->append(token, static_cast<std::uint16_t>(kind), std::move(payload));
  }

  // Tasks that cannot be read again have the numbers that they had. Those without a payload were settled; the sink has
  // them, or the job fails.
  void offer_recovered() {
    Number next = 0;
    const auto skip_to = [&](Number number) {
      if (number == next) return;
      dispatcher_.offer_again(job_, number - next, 0, started_);
      feed_.on_submitted(number - next, 0);
      next = number;
    };
    std::sort(state_.blocks.begin(), state_.blocks.end(),
              [](const JobBlock& a, const JobBlock& b) { return a.first < b.first; });
    for (const JobBlock& block : state_.blocks) {
      skip_to(block.first);
      PayloadWriter payloads{0};
      for (const Bytes payload : block.payloads) payloads.append(payload);
      const std::uint64_t count = payloads.count();
      const std::uint64_t bytes = payloads.size();
      const std::uint64_t before = store_.bytes();
      const Range range = dispatcher_.offer_again(job_, count, bytes, started_);
      store_.add(range, std::move(payloads));
      feed_.on_submitted(count, store_.bytes() - before);
      next = range.end();
    }
    skip_to(state_.submitted);
    state_.blocks.clear();
    recovered_.clear();
  }

  // Stands for everything before it: which job it is, and the payloads that are still needed.
  void write_snapshot() {
    JobMemory state = state_;
    IntervalSet retired{Range{0, state.submitted}};
    if (!options_.job.reread)
      store_.for_each([&](Range range, const PayloadView& view) {
        retired.erase(range);
        JobBlock block{range.first, {}};
        for (std::uint32_t i = 0; i < view.count(); ++i) block.payloads.push_back(view[i]);
        state.blocks.push_back(std::move(block));
      });
    if (!options_.job.reread) state.retired = retired.ranges();
    journal_->append_snapshot(0, static_cast<std::uint16_t>(JobEntryKind::whole), pack_entry(state));
    journaled_ = 0;
  }

  void mark_input() {
    if (journal_ == nullptr || input_ == nullptr || reactor_.now() < next_mark_) return;
    next_mark_ = reactor_.now() + mark_interval;
    const InputMark mark{state_.submitted, input_->bytes_read()};
    state_.marks.push_back(mark);
    append(0, JobEntryKind::mark, pack_entry(mark));
  }

  void act(Persist& persist) {
    const Range range = persist.record.range;
    switch (persist.record.kind) {
      case JobRecord::Kind::offered:  // In one block, by submit(), and nothing of it has run.
        return append(persist.token, JobEntryKind::block, pack_entry(range.first, store_.block(range).value()));
      case JobRecord::Kind::ended:
        state_.total = range.count;
        return append(persist.token, JobEntryKind::ended, pack_entry(range.count));
      case JobRecord::Kind::cancelled:
        state_.cancelled = true;
        return append(persist.token, JobEntryKind::cancelled, pack_entry(range.count));
      case JobRecord::Kind::closed:
        return append(persist.token, JobEntryKind::closed, {});
      case JobRecord::Kind::leased:
        state_.begun.insert(range);
        return append(persist.token, JobEntryKind::leased, pack_entry(range));
      case JobRecord::Kind::returned:
        state_.begun.erase(range);
        return append(persist.token, JobEntryKind::returned, pack_entry(range));
      case JobRecord::Kind::suspected: {
        const Suspect suspect{range, persist.record.suspicion, persist.record.deaths_alone};
        state_.suspects.note(suspect);
        return append(persist.token, JobEntryKind::suspected, pack_entry(suspect));
      }
      case JobRecord::Kind::opened:  // Of clients' jobs.
        return;
    }
  }

  void act(JobResumed& resumed) {
    std::string line = "resumed " + job_name() + ": ";
    if (const std::optional<double> part = part_done(resumed.settled))
      line += std::to_string(static_cast<int>(100 * *part)) + " % done, ";
    log_.info(line + std::to_string(resumed.settled) + " tasks have their outcome");
  }
  std::string job_name() const { return options_.job.name.empty() ? "the job" : options_.job.name; }

  // How much of the job the first `settled` tasks are, as well as that is known.
  std::optional<double> part_done(std::uint64_t settled) const {
    const std::uint64_t total = options_.job.index.enabled ? options_.index_count : state_.ended() ? state_.total : 0;
    if (total > 0) return static_cast<double>(settled) / static_cast<double>(total);
    const std::optional<std::uint64_t> bytes = input_ != nullptr ? input_->bytes_total() : std::nullopt;
    if (!bytes || *bytes == 0 || state_.marks.empty()) return std::nullopt;
    const InputMark& last = state_.marks.back();
    if (last.number == 0) return std::nullopt;
    const double bytes_done =
        static_cast<double>(last.bytes) / static_cast<double>(last.number) * static_cast<double>(settled);
    return std::min(1.0, bytes_done / static_cast<double>(*bytes));
  }

  // --- Input ---

  // From any thread. A signal may come before run() has opened the job.
  void when_begun(std::function<void()> call) {
    reactor_.post([this, call = std::move(call)]() mutable { begun_ ? call() : when_begun(std::move(call)); });
  }

  void begin() {
    begun_ = true;
    started_ = moved_ = reactor_.now();
    dispatcher_.open_job(job_, options_.job, started_);
    if (resumed_) log_.info("resuming " + job_name() + " from " + options_.durable);
    const bool was_ended = resumed_ && state_.ended();
    if (!options_.job.reread || state_.cancelled) offer_recovered();
    if (resumed_ && state_.cancelled) {
      report_.ending = VentilatorEnding::halted;
      report_.why = "it was cancelled before it was resumed";
      feed_.on_ended();
      dispatcher_.cancel_job(job_, true, started_);
    } else if (!options_.job.reread && was_ended) {
      end_input(VentilatorEnding::done, {});
    } else if (options_.job.index.enabled) {
      if (options_.index_count > 0) dispatcher_.offer(job_, options_.index_count, 0, started_);
      feed_.on_submitted(options_.index_count, 0);
      end_input(VentilatorEnding::done, {});
    } else {
      reader_ = std::thread([this] { read_all(); });
    }
    tick();
  }

  // On the reader's thread.
  void read_all() {
    std::size_t bytes = 0;  // Of the block before, and probably of the next.
    std::uint32_t count = 0;
    for (bool more = true; more;) {
      Block block;
      if (!are_large(bytes, count)) block.payloads.keep_private();
      block.payloads.reserve(bytes, count);
      Result<bool> read = input_->read(block.payloads, block_bytes, block_tasks);
      if (!read) block.error = read.error();
      more = read && *read;
      block.end = !more;
      bytes = block.payloads.size();
      count = block.payloads.count();
      if (!blocks_.push_when_room(std::move(block))) return;
    }
  }

  void take_blocks() {
    feed_.on_slots(dispatcher_.slot_count());
    if (taken_.empty() && feed_.wants_more()) blocks_.drain(taken_);
    for (Block& block : taken_) {
      if (feed_.ended()) break;
      if (block.payloads.count() > 0) submit(std::move(block.payloads));
      if (block.error)
        end_input(VentilatorEnding::bad_input, block.error->message);
      else if (block.end)
        end_input(VentilatorEnding::done, {});
    }
    taken_.clear();
  }

  void submit(PayloadWriter&& payloads) {
    const std::uint64_t before = store_.bytes();
    const std::uint32_t count = payloads.count();
    const std::uint64_t bytes = payloads.size();
    const Range range = dispatcher_.offer(job_, count, bytes, reactor_.now());
    store_.add(range, std::move(payloads));
    feed_.on_submitted(count, store_.bytes() - before);
    state_.submitted = range.end();
    mark_input();
  }

  void end_input(VentilatorEnding ending, const std::string& why) {
    if (feed_.ended()) return;
    if (ending != VentilatorEnding::done) {
      report_.ending = ending;
      report_.why = why;
      log_.info(why);  // Whoever runs this has it in the report, too.
    }
    feed_.on_ended();
    if (input_ != nullptr) input_->interrupt();
    dispatcher_.end_job(job_, reactor_.now());
  }

  // All of it was submitted at the start, so that to finish that would be no answer to whoever wants to stop. What can
  // be had again by the same command is not given up, though.
  void drain_range() {
    if (halting_ || finished_) return;
    if (!options_.durable.empty())
      return log_.info("going on until the time to drain is over; " + job_name() + " is resumed by the same command");
    halting_ = true;
    report_.ending = VentilatorEnding::drained;
    report_.why = "finishing what runs, and cancelling the rest of the range";
    log_.info(report_.why);
    dispatcher_.cancel_job(job_, false, reactor_.now());
  }

  // --- What comes in ---

  ExchangeHandlers handlers() {
    ExchangeHandlers handlers;
    handlers.on_message = [this](PeerId peer, const Received& received) {
      if (!finished_) return dispatcher_.on_message(peer, received, reactor_.now());
      if (std::holds_alternative<Hello>(received.message) || std::holds_alternative<Bye>(received.message))
        on_answer(peer);
    };
    handlers.on_malformed = [this](PeerId peer, const Error& error, std::optional<std::uint16_t> version) {
      dispatcher_.on_malformed(peer, error, version, reactor_.now());
    };
    handlers.on_unauthorized = [this](PeerId peer, RefusedFor reason, const std::string& why) {
      dispatcher_.on_unauthorized(peer, reason, why, reactor_.now());
    };
    handlers.on_revoked = [this](PeerId peer) { dispatcher_.on_revoked(peer, reactor_.now()); };
    handlers.on_stranger = [this] { dispatcher_.on_stranger(); };
    handlers.on_part = [this](PeerId peer) { dispatcher_.on_part(peer, reactor_.now()); };
    handlers.on_unreachable = [this](PeerId peer) {
      on_answer(peer);
      dispatcher_.on_unreachable(peer, reactor_.now());
    };
    handlers.on_turned_away = [this](const std::string& warning) { log_.warning(warning); };
    handlers.on_connection_lost = [this](PeerId peer) {
      if (finished_) on_answer(peer);
    };
    return handlers;
  }

  // --- What Dispatcher wants ---

  void carry_out() {
    Actions actions = std::exchange(spent_actions_, {});
    while (dispatcher_.take_actions(actions))
      for (Action& action : actions) std::visit([this](auto& a) { act(a); }, action);
    spent_actions_ = std::move(actions);
    if (over_) return finish();  // Once.
    if (journaled_ > snapshot_after) write_snapshot();
    take_blocks();
    schedule();
  }

  void act(ventile::Send& say) { exchange_.send(say.to, say.job, say.session, say.message); }

  void act(SendTasks& action) { exchange_.send(action, options_.job.index.enabled ? nullptr : &store_); }

  void act(Forget& action) {
    exchange_.forget(action.peer);
    on_answer(action.peer);
  }

  void act(Settled& settled) {
    moved_ = reactor_.now();
    if (callbacks_.on_failures)
      for (const FailureNote& note : settled.failures) callbacks_.on_failures(note);
    if (callbacks_.on_failure)
      for (const FailureNote& note : settled.failures)
        for (Number number = note.range.first; number < note.range.end(); ++number)
          callbacks_.on_failure(number, store_.find(number).value_or(Bytes{}), note);
    const std::uint64_t before = store_.bytes();
    store_.release(settled.range);
    if (!state_.suspects.empty()) state_.suspects.forget(settled.range);
    feed_.on_settled(settled.range.count);
    feed_.on_released(before - store_.bytes());
    consider_halt();
  }

  void consider_halt() {
    if (!callbacks_.halt || halting_ || finished_) return;
    const HaltDecision decision = callbacks_.halt(dispatcher_.audit(job_), feed_.ended());
    if (decision == HaltDecision::go_on) return;
    halting_ = true;
    report_.ending = VentilatorEnding::halted;
    report_.why = "the halt rule was met";
    feed_.on_ended();
    if (input_ != nullptr) input_->interrupt();
    dispatcher_.cancel_job(job_, decision == HaltDecision::now, reactor_.now());
  }

  void act(JobClosed& closed) {
    report_.closed = closed.report;
    over_ = true;
  }
  void act(JobFailed& failed) {
    report_.ending = VentilatorEnding::failed;
    report_.why = failed.message;
    over_ = true;
  }
  void act(Keep&) {}  // Only of clients' jobs,
  void act(Keeping&) {}
  void act(JobForgotten&) {}  // and there are none here.
  void act(Notice& notice) {
    const bool refusal = notice.text.starts_with("refused");
    if (refusal && !refusals_.allow(reactor_.now())) return;
    log_.write(notice.level, notice.text);
  }

  // Says goodbye, lets the transport carry it, and stops.
  void finish() {
    if (std::exchange(finished_, true)) return;
    report_.status = status();
    report_.job = to_string(job_);
    report_.settled_numbers = dispatcher_.account(job_).ledger().settled().count();
    if (callbacks_.on_progress) callbacks_.on_progress(report_.status);
    if (!says_goodbye_) return reactor_.stop();
    const bool well = report_.ending != VentilatorEnding::failed && report_.ending != VentilatorEnding::abandoned;
    dispatcher_.stop(well ? ByeReason::done : ByeReason::failed, well ? std::string{} : report_.why);
    for (Action& action : dispatcher_.take_actions())
      if (auto* say = std::get_if<ventile::Send>(&action)) act(*say);
    // A connection that is closed too early may take the farewell with it: everybody answers it, by a goodbye or by a
    // new HELLO, or is gone.
    for (const PeerId peer : exchange_.peers()) unanswered_.insert(peer);
    reactor_.call_at(reactor_.now() + farewell_max, [this] { reactor_.stop(); });
    on_answer({});
  }

  void on_answer(PeerId peer) {
    unanswered_.erase(peer);
    if (finished_ && unanswered_.empty()) reactor_.stop();
  }

  // --- Time ---

  void schedule() {
    const TimePoint now = reactor_.now();
    const TimePoint next = std::clamp(dispatcher_.next_tick(), now + tick_shortest, now + progress_interval);
    if (tick_ && tick_.when <= next && tick_.when > now) return;
    reactor_.cancel(tick_);
    tick_ = reactor_.call_at(next, [this] { tick(); });
  }

  void tick() {
    const TimePoint now = reactor_.now();
    tick_ = {};
    if (!finished_) {
      dispatcher_.on_tick(now);
      if (now >= next_progress_) {
        next_progress_ = now + progress_interval;
        say_waiting(now);
        if (callbacks_.on_progress) callbacks_.on_progress(status());
      }
    }
    schedule();
  }

  void say_waiting(TimePoint now) {
    const std::string why = now - moved_ > silence_max ? dispatcher_.why_waiting(job_) : std::string{};
    if (why != said_waiting_ && !why.empty()) log_.info("waiting at " + bound_->to_string() + " for 3 s: " + why);
    if (!why.empty()) dispatcher_.tell_unfit_workers(job_);
    said_waiting_ = why;
  }

  JobStatus status() const {
    JobStatus status;
    status.audit = dispatcher_.audit(job_);
    status.counters = dispatcher_.counters(job_);
    if (input_ != nullptr) {
      status.skipped = input_->skipped();
      status.input_bytes = input_->bytes_read();
      status.input_bytes_total = input_->bytes_total();
    }
    status.input_ended = feed_.ended();
    status.workers = dispatcher_.worker_count();
    status.workers_seen = dispatcher_.workers_seen();
    status.slots = dispatcher_.slot_count();
    status.refused = dispatcher_.refusals();
    status.refused.count(RefusedFor::malformed, exchange_.malformed_count());
    status.waiting_for = dispatcher_.why_waiting(job_);
    return status;
  }
};

Ventilator::Ventilator(Context& context, VentilatorOptions options, std::unique_ptr<Input> input,
                       VentilatorCallbacks callbacks)
    : driver_(std::make_unique<Driver>(context, std::move(options), std::move(input), std::move(callbacks))) {}
Ventilator::~Ventilator() = default;
Result<Endpoint> Ventilator::bind() { return driver_->bind(); }
Result<VentilatorReport> Ventilator::run() { return driver_->run(); }
void Ventilator::drain() { driver_->drain(); }
void Ventilator::cancel() { driver_->cancel(); }
void Ventilator::leave() { driver_->leave(); }

}  // namespace ventile
