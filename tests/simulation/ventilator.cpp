#include "tests/simulation/ventilator.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration tick_longest = 100ms;
constexpr std::uint64_t snapshot_every = 500;   // Turns of a durable broker.
constexpr std::array<std::byte, 8192> zeros{};  // What tasks are made of.

}  // namespace

Ventilator::Ventilator(Network& network, const Scenario& scenario, JobDisk& disk, std::uint64_t life)
    : Process(network.world(), "ventilator"),
      network_(network),
      scenario_(scenario),
      disk_(&disk),
      broker_disk_(nullptr),
      incarnation_{0xd15 + life},
      dispatcher_(incarnation_, {}),
      out_(scenario.frame_bytes_max) {}

Ventilator::Ventilator(Network& network, const Scenario& scenario, const DispatcherOptions& options, BrokerDisk& disk,
                       std::uint64_t life)
    : Process(network.world(), "broker"),
      network_(network),
      scenario_(scenario),
      disk_(nullptr),
      broker_disk_(options.durable ? &disk : nullptr),
      incarnation_{0xd15 + life},
      dispatcher_(incarnation_, options),
      out_(scenario.frame_bytes_max) {}

void Ventilator::start() {
  network_.listen("dispatcher", shared_from_this(),
                  [this](const std::shared_ptr<Connection>& connection) { accept(connection); });
  if (broker_disk_ != nullptr) start_keeper();
  if (broker_disk_ != nullptr) resume_clients();
  if (disk_ == nullptr) return run([] {});
  JobOptions options{
      .name = "simulated", .function = "work", .timeout = scenario_.timeout, .tries_max = scenario_.tries_max};
  options.index.enabled = scenario_.index_job;
  options.durable = scenario_.durable;
  options.on_lost = scenario_.fails_lost ? OnLost::fail : OnLost::rerun;
  options.begun = disk_->begun().ranges();
  suspects_ = disk_->suspects();
  options.suspects = suspects_.all();
  options.reread = scenario_.reread;
  options.resumed = std::exchange(disk_->opened, true) && scenario_.durable;
  dispatcher_.open_job(job, options, now());
  if (options.resumed) resume();
  if (!cancelled_) read_input();
  run([] {});
}

// What cannot be read again has the numbers that it had; the pipe goes on behind it.
void Ventilator::resume() {
  trace("resumes");
  const std::optional<std::uint64_t> cancelled_at = disk_->cancelled_at();
  if (const std::uint64_t count = cancelled_at.value_or(scenario_.reread ? 0 : disk_->offered()); count > 0) {
    std::uint64_t bytes = 0;
    for (Number number = 0; number < count; ++number) bytes += scenario_.bytes(number);
    require(dispatcher_.offer_again(job, count, bytes, now()) == Range{0, count}, "a task has lost its number");
    offered_ = count;
  }
  if (!cancelled_at) return;
  cancelled_ = true;
  dispatcher_.cancel_job(job, true, now());
}

void Ventilator::resume_clients() {
  for (const ClientJobs::Entry& entry : broker_disk_->journal.entries)
    require(static_cast<bool>(client_jobs_.restore(entry.kind, entry.payload.bytes())), "a journal cannot be read");
  const ClientJobs::Resumed resumed = client_jobs_.resume(dispatcher_, now());
  trace("resumes " + std::to_string(resumed.jobs) + " jobs");
  carry_out();
  keeper_->remove_others();
}

// --- What is kept ------------------------------------------------------------------------------------------------

void Ventilator::start_keeper() {
  const std::string address = "kept-results-" + std::to_string(incarnation_.value);
  KeeperOptions options{.results_address = address, .window_bytes = scenario_.sink_window_bytes};
  keeper_ = std::make_unique<Keeper>(options, broker_disk_->results.folder(), keeper_handlers());
  network_.listen(address, shared_from_this(),
                  [this](const std::shared_ptr<Connection>& connection) { take_results(connection); });
}

void Ventilator::take_results(const std::shared_ptr<Connection>& connection) {
  auto wire = std::make_shared<Wire>(scenario_.frame_bytes_max);
  connection->attach(Side::server,
                     [this, wire, weak = std::weak_ptr(connection)](Bytes bytes) {
                       if (const auto from = weak.lock()) from->read(Side::server);
                       wire->unpack(bytes, [this](const Received& received) {
                         trace([&] { return "<- " + describe(received.message); });
                         const auto& results = std::get<Results>(received.message);
                         PayloadWriter payloads{frame_header_size};
                         payloads.append(results.payloads, 0, results.payloads.count());
                         auto frame = std::make_shared<Buffer>(encode(received.envelope, results, std::move(payloads)));
                         const Bytes all = frame->bytes();
                         require(static_cast<bool>(keeper_->take(all, std::move(frame), now())),
                                 "a result cannot be kept");
                       });
                     },
                     {});
}

KeeperHandlers Ventilator::keeper_handlers() {
  KeeperHandlers handlers;
  handlers.say = [this](PeerId local, const Received& received) { dispatcher_.on_message(local, received, now()); };
  handlers.on_kept = [this](JobId id, std::uint64_t bytes, bool full) { dispatcher_.on_kept(id, bytes, full, now()); };
  handlers.append = [this](JobId id, std::uint64_t token, Buffer entry) {
    awaited_.push_back({broker_disk_->journal.entries.size(), id, token});
    write(ClientJobs::Entry{0, BrokerEntryKind::kept, std::move(entry)});
  };
  handlers.send_results = [this](PeerId client, SessionId, Buffer frame) {
    const Result<Received> received = decode(frame);
    require(static_cast<bool>(received), "a kept result is damaged");
    require_kept(received->envelope.job, std::get<Results>(received->message).range);
    send(client, {}, out_.cut(frame, received->envelope));
  };
  handlers.send = [this](PeerId client, JobId id, SessionId session, const Message& message) {
    require_kept(id, std::get<Propose>(message).ranges.front());
    act(Send{client, id, session, message});
  };
  handlers.on_failed = [](const std::string& why) { throw Violation{why}; };
  handlers.random = [this] { return world().random().next(); };
  return handlers;
}

// Nobody is sent what a crash could take back.
void Ventilator::require_kept(JobId id, Range range) {
  const auto& jobs = broker_disk_->safe().jobs;
  const auto known = jobs.find(id);
  require(known != jobs.end(), "results are sent of a job that would be gone after a crash");
  IntervalSet kept;
  for (const KeptRecord& one : known->second.kept)
    for (const Range settled : one.record.settled) kept.insert(settled);
  require(kept.contains(range), "results are sent that would be gone after a crash");
}

void Ventilator::act(const Keeping& keeping) {
  require(keeper_ != nullptr, "a job is kept, and nobody keeps it");
  if (!std::holds_alternative<Keeping::Begin>(keeping.what)) return keeper_->act(keeping);
  const Status begun = keeper_->begin(keeping.job, client_jobs_.take_kept(keeping.job), now());
  if (!begun) throw Violation{"a kept job cannot begin: " + begun.error().message};
}

// One sync at a time; what comes meanwhile makes the next.
template <class Entry>
void Ventilator::sync(DiskLog<Entry>& log) {
  if (syncing_ || log.durable == log.entries.size()) return;
  syncing_ = true;
  if (keeper_ != nullptr) require(static_cast<bool>(keeper_->sync()), "a sync fails");
  const std::size_t taken = log.written = log.entries.size();
  const Duration stalled = std::max(Duration{0}, stalled_until_ - now());
  after(stalled + world().draw(Duration{0}, scenario_.disk_delay), [this, &log, taken] {
    syncing_ = false;
    log.durable = taken;
    dispatcher_.on_persisted(log.entries[taken - 1].token, now());
    for (; !awaited_.empty() && awaited_.front().entry < taken; awaited_.pop_front())
      keeper_->on_persisted(awaited_.front().job, awaited_.front().token, now());
    sync(log);
  });
}
void Ventilator::sync() { sync(disk_->journal); }

// Entries that nobody waits for have the token of the one before.
void Ventilator::write(std::optional<ClientJobs::Entry> entry) {
  if (!entry || broker_disk_ == nullptr) return;
  auto& entries = broker_disk_->journal.entries;
  last_token_ = std::max(last_token_, entry->token);
  entry->token = last_token_;
  entries.push_back(std::move(*entry));
  sync(broker_disk_->journal);
}

void Ventilator::act(const Persist& persist) {
  require(scenario_.durable, "a job that is not durable asks for the disk");
  if (broker_disk_ != nullptr) return write(client_jobs_.record(persist));
  if (const JobRecord& record = persist.record; record.kind == JobRecord::Kind::suspected)
    suspects_.note({record.range, record.suspicion, record.deaths_alone});
  disk_->journal.entries.push_back({persist.token, persist.record});
  sync();
}
void Ventilator::act(const JobResumed& resumed) {
  trace("the sink has " + std::to_string(resumed.settled) + " tasks of the job");
}

void Ventilator::cancel() {
  trace("is told to cancel");
  cancelled_ = true;
  dispatcher_.cancel_job(job, world().random().chance(0.5), now());
}

void Ventilator::check() {
  const std::string wrong = dispatcher_.check();
  if (!wrong.empty()) throw Violation{"the dispatcher's books are wrong: " + wrong};
}

void Ventilator::turn() {
  carry_out();
  if (keeper_ == nullptr) return;
  if (!keeper_->on_turn_end(now())) after(Duration{0}, [] {});
  carry_out();
}

// --- Input -------------------------------------------------------------------------------------------------------

void Ventilator::read_input() {
  if (cancelled_) return;
  const std::uint64_t left = scenario_.tasks - offered_;
  const bool at_once = scenario_.input_interval.count() == 0;
  const std::uint64_t count = at_once ? left : std::min(left, world().random().between(1, scenario_.tasks / 10 + 1));
  if (count > 0) offer(count);
  if (offered_ == scenario_.tasks)
    dispatcher_.end_job(job, now());
  else
    after(world().draw(Duration{0}, 2 * scenario_.input_interval), [this] { read_input(); });
}

void Ventilator::offer(std::uint64_t count) {
  std::uint64_t bytes = 0;
  for (Number number = offered_; number < offered_ + count; ++number) bytes += scenario_.bytes(number);
  require(dispatcher_.offer(job, count, bytes, now()) == Range{offered_, count}, "numbers are not given out in order");
  offered_ += count;
}

// --- Peers -------------------------------------------------------------------------------------------------------

// A ROUTER names a connection when it hears of it, and forgets the name with it.
PeerId Ventilator::peer_of(const std::shared_ptr<Connection>& connection) {
  const auto [it, fresh] = ids_.try_emplace(connection.get(), PeerId{next_peer_ + 1});
  if (fresh) peers_.emplace(PeerId{++next_peer_}, scenario_.frame_bytes_max).first->second.connection = connection;
  return it->second;
}

void Ventilator::accept(const std::shared_ptr<Connection>& connection) {
  const std::weak_ptr weak{connection};
  connection->attach(
      Side::server,
      [this, weak](Bytes frame) {
        const auto from = weak.lock();
        if (from == nullptr) return;
        const PeerId peer = peer_of(from);
        peers_.at(peer).wire.unpack(frame, [&](const Received& received) {
          note(received);
          dispatcher_.on_message(peer, received, now());
          if (disk_ != nullptr) return;
          received_ = &received;  // Its payloads are kept at once.
          carry_out();
          received_ = nullptr;
        });
      },
      [this, weak] {
        const auto from = weak.lock();
        if (const auto it = ids_.find(from.get()); from != nullptr && it != ids_.end()) {
          const PeerId peer = it->second;
          act(Forget{peer});
          dispatcher_.on_unreachable(peer, now());
        }
      });
}

void Ventilator::send(PeerId to, const Envelope&, std::vector<Buffer> frames) {
  const auto it = peers_.find(to);
  if (it == peers_.end()) return;
  for (Buffer& frame : frames) it->second.connection->send(Side::server, std::move(frame));
}

// --- Time --------------------------------------------------------------------------------------------------------

void Ventilator::tick() {
  tick_.reset();
  dispatcher_.on_tick(now());
}

void Ventilator::schedule() {
  const TimePoint next = std::clamp(dispatcher_.next_tick(), now() + 1ms, now() + tick_longest);
  if (tick_ && *tick_ <= next) return;
  tick_ = next;
  after(next - now(), [this, next] {
    if (tick_ == next) tick();
  });
}

// --- What Dispatcher wants ---------------------------------------------------------------------------------------

void Ventilator::carry_out() {
  for (Actions actions = dispatcher_.take_actions(); !actions.empty(); actions = dispatcher_.take_actions())
    for (const Action& action : actions) std::visit([this](const auto& a) { act(a); }, action);
  if (broker_disk_ != nullptr && ++turns_ % snapshot_every == 0 && keeper_->is_clean())
    write(ClientJobs::Entry{0, BrokerEntryKind::whole,
                            client_jobs_.snapshot([this](JobId id) { return keeper_->record(id); })});
  schedule();
}

void Ventilator::act(const Send& say) {
  if (is_local(say.to)) return keeper_->hear(say.to, say.job, say.session, say.message, now());
  if (broker_disk_ != nullptr) require_safe(say);
  const auto it = peers_.find(say.to);
  if (it == peers_.end()) return;
  if (world().tracing()) trace("-> peer " + std::to_string(say.to.value) + " " + describe(say.message));
  const Envelope envelope{say.job, incarnation_, say.session, ++it->second.sequence};
  send(say.to, envelope, out_.pack(envelope, say.message));
}

void Ventilator::act(const SendTasks& say) {
  Range rest = say.tasks.range;
  disk_ == nullptr ? require_brought(say.job, rest) : require_allowed(rest);
  if (disk_ != nullptr && scenario_.durable) require_remembered(say.tasks);
  while (!rest.empty() && peers_.contains(say.to)) {
    PayloadWriter payloads{frame_header_size};
    std::uint64_t count = scenario_.index_job ? rest.count : 0;
    const std::size_t room = scenario_.frame_bytes_max - 3 * frame_header_size;
    while (!scenario_.index_job && count < rest.count) {
      const std::uint64_t bytes = scenario_.bytes(rest.first + count);
      if (count > 0 && payloads.section_size() + bytes + sizeof(std::uint32_t) > room) break;
      payloads.append(Bytes{zeros}.first(bytes));
      ++count;
    }
    Tasks tasks = say.tasks;
    tasks.range = {rest.first, count};
    if (world().tracing()) trace("-> peer " + std::to_string(say.to.value) + " " + describe(tasks));
    const Envelope envelope{say.job, incarnation_, say.session, ++peers_.at(say.to).sequence};
    send(say.to, envelope, out_.pack(envelope, tasks, std::move(payloads)));
    rest = {rest.first + count, rest.count - count};
  }
}

void Ventilator::require_brought(JobId id, Range range) const {
  if (scenario_.index_job) return;
  const PayloadStore* const payloads = client_jobs_.payloads(id);
  require(payloads != nullptr, "a task was sent, and nobody has brought any");
  for (Number number = range.first; number < range.end(); ++number) {
    const std::optional<Bytes> payload = payloads->find(number);
    require(payload && payload->size() == scenario_.bytes(number), "a task was sent whose payload nobody has brought");
  }
}

// Nothing is said to a client that is not so after any crash.
void Ventilator::require_safe(const Send& say) {
  const auto* accepted = std::get_if<Accepted>(&say.message);
  if (accepted == nullptr || !accepted->refusal.empty() || accepted->job) return;
  const auto& jobs = broker_disk_->safe().jobs;
  const auto known = jobs.find(say.job);
  require(known != jobs.end(), "a client is told of a job that would be gone after a crash");
  require(accepted->submitted <= known->second.submitted, "a client is told of tasks that would be gone after a crash");
  require(!known->second.job.specification.kept || !accepted->complete || known->second.ended,
          "a client is told that a job has all its tasks, and a crash would forget that");
}

void Ventilator::require_allowed(Range range) const {
  require(range.end() <= offered_, "a task was sent that nobody has offered");
  require(!scenario_.durable || scenario_.reread || range.end() <= disk_->offered(),
          "a task was sent that would be gone after a crash");
  require(!scenario_.durable || !scenario_.fails_lost || disk_->begun().contains(range),
          "a task was sent that would begin again after a crash");
  require(!told_.intersects(range), "a task is run again that the sink has");
  require(range.end() <= credit_.number_limit, "a task was sent beyond the window of an ordered output");
  const Account& account = dispatcher_.account(job);
  require(account.leased_count() + account.ledger().count() <= credit_.tasks, "more is leased than the sink takes");
}

// What is sent has the history that it has after any crash, and in no life one that was forgotten.
void Ventilator::require_remembered(const Tasks& tasks) const {
  const Lease* const lease = dispatcher_.account(job).find(tasks.lease);
  if (lease == nullptr) return;
  const bool is_suspect = lease->history.is_suspect();
  IntervalSet known;
  for (const Suspect& suspect : (is_suspect ? disk_->suspects() : suspects_).within(tasks.range)) {
    require(suspect.suspicion == lease->history.suspicion && suspect.deaths_alone == lease->history.deaths_alone,
            "a task is sent with another history than it has had");
    known.insert(suspect.range);
  }
  require(!is_suspect || known.contains(tasks.range), "a suspect is sent, and a crash would forget what it has done");
}

// What the sink says of itself, to be held against what is done then.
void Ventilator::note(const Received& received) {
  const auto grant = [this](const SinkCredit& credit) {
    credit_ = {std::max(credit_.tasks, credit.tasks), std::max(credit_.bytes, credit.bytes),
               std::max(credit_.number_limit, credit.number_limit)};
  };
  if (const auto* opened = std::get_if<Opened>(&received.message)) {
    grant(opened->credit);
    for (const Range range : opened->have) told_.insert(range);
  } else if (const auto* stored = std::get_if<Stored>(&received.message)) {
    grant(stored->credit);
    for (const Settlement& settlement : stored->settlements)
      if (settlement.verdict == Verdict::stored) told_.insert(settlement.range);
  }
}

void Ventilator::act(const Keep& keep) {
  require(received_ != nullptr, "payloads are to be kept of a message that is gone");
  const auto& payloads = std::get<Offer>(received_->message).payloads;
  for (std::uint64_t i = 0; i < keep.range.count; ++i)
    require(payloads[static_cast<std::uint32_t>(keep.skip + i)].size() == scenario_.bytes(keep.range.first + i),
            "a task is kept with the payload of another");
  client_jobs_.keep(keep, payloads);
  dispatcher_.on_held(keep.job, client_jobs_.held_bytes(keep.job));
}

void Ventilator::act(const JobForgotten& forgotten) {
  settled_.erase(forgotten.job);
  write(client_jobs_.forget(forgotten.job));
  if (keeper_ != nullptr) keeper_->forget(forgotten.job);
}

void Ventilator::act(const Forget& forget) {
  const auto it = peers_.find(forget.peer);
  if (it == peers_.end()) return;
  ids_.erase(it->second.connection.get());
  peers_.erase(it);
}

void Ventilator::act(const Settled& settled) {
  require(settled_[settled.job].insert(settled.range) == settled.range.count, "a task is settled twice");
  if (disk_ != nullptr) return;
  client_jobs_.settle(settled);
  dispatcher_.on_held(settled.job, client_jobs_.held_bytes(settled.job));
}
void Ventilator::act(const JobClosed& closed) {
  if (disk_ == nullptr) return;
  require(!closed_ && !failed_, "a job ends twice");
  require(!scenario_.durable || disk_->has(JobRecord::Kind::closed), "a job is over and nobody will know");
  closed_ = closed;
  trace("the job is closed");
}
void Ventilator::act(const JobFailed& failed) {
  require(disk_ != nullptr, "a client's job has failed");
  require(!closed_ && !failed_, "a job ends twice");
  failed_ = failed;
  trace("the job has failed: " + failed.message);
}
void Ventilator::act(const Notice& notice) { trace(notice.text); }

}  // namespace ventile::simulation
