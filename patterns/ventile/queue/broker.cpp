#include <ventile/queue/broker.hpp>

#include <utility>

#include <ventile/net/lending.hpp>
#include <ventile/queue/names.hpp>

namespace ventile {
namespace {

constexpr Duration tick_shortest = std::chrono::milliseconds{1};
constexpr Duration tick_longest = std::chrono::milliseconds{250};
constexpr Duration refusal_interval = std::chrono::seconds{5};
constexpr std::uint64_t snapshot_after = std::uint64_t{64} << 20;  // Bytes of entries, or what is held if that is more.
constexpr std::uint64_t snapshot_bytes_max = std::uint64_t{768} << 20;  // While more is held the journal grows.

DispatcherOptions dispatcher_options(const BrokerOptions& options) {
  DispatcherOptions made = options.dispatcher;
  made.durable = !options.durable.empty();
  if (!options.keys && options.bind.transport != Transport::inproc) made.machine = machine_of_process();
  return made;
}

std::string counted(std::uint64_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

Broker::Broker(Context& context, Reactor& reactor, BrokerOptions options)
    : reactor_(reactor),
      options_(std::move(options)),
      log_(options_.log),
      incarnation_(random_incarnation()),
      dispatcher_(incarnation_, known_by(exchange_, dispatcher_options(options_))),
      exchange_(context, reactor, incarnation_, options_.frame_bytes_max, handlers(), options_.keys),
      refusals_(refusal_interval) {}

Broker::~Broker() = default;

Result<Endpoint> Broker::bind() {
  if (Status opened = open_journal(); !opened) return opened.error();
  return exchange_.bind(options_.bind);
}

void Broker::start() {
  reactor_.post([this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) schedule();
  });
}

void Broker::stop() {
  stopped_ = true;
  dispatcher_.stop(ByeReason::done, {});
  carry_out(nullptr);
}

ExchangeHandlers Broker::handlers() {
  ExchangeHandlers handlers;
  handlers.divert = [this](PeerId from, Frame& frame) { return pass_on(from, frame); };
  handlers.on_message = [this](PeerId from, const Received& received) {
    if (stopped_) return;
    dispatcher_.on_message(from, received, reactor_.now());
    if (const auto* offer = std::get_if<Offer>(&received.message)) carry_out(&offer->payloads);
  };
  handlers.on_malformed = [this](PeerId from, const Error& error, std::optional<std::uint16_t> version) {
    dispatcher_.on_malformed(from, error, version, reactor_.now());
  };
  handlers.on_unauthorized = [this](PeerId peer, RefusedFor reason, const std::string& why) {
    dispatcher_.on_unauthorized(peer, reason, why, reactor_.now());
  };
  handlers.on_unreadable = [this](PeerId peer, const Error& error) {
    dispatcher_.on_unreadable(peer, error, reactor_.now());
  };
  handlers.on_revoked = [this](PeerId peer) { dispatcher_.on_revoked(peer, reactor_.now()); };
  handlers.on_stranger = [this] { dispatcher_.on_stranger(); };
  handlers.on_part = [this](PeerId from) { dispatcher_.on_part(from, reactor_.now()); };
  handlers.on_unreachable = [this](PeerId peer) { dispatcher_.on_unreachable(peer, reactor_.now()); };
  handlers.on_turned_away = [this](const std::string& warning) { log_.warning(warning); };
  return handlers;
}

// Results on their way to a client: not unpacked here. The client checks them.
bool Broker::pass_on(PeerId from, Frame& frame) {
  const std::optional<JobId> job = results_job(frame.bytes());
  if (!job) return false;
  if (!dispatcher_.knows(from)) return false;  // It will be told HELLO-AGAIN.
  dispatcher_.on_part(from, reactor_.now());
  if (keeper_ != nullptr && keeper_->has(*job)) {
    auto kept = std::make_shared<Frame>(std::move(frame));
    const Bytes bytes = kept->bytes();
    const Status taken = keeper_->take(bytes, std::move(kept), reactor_.now());
    if (!taken) dispatcher_.on_malformed(from, taken.error(), std::nullopt, reactor_.now());
    return true;
  }
  if (const auto passage = dispatcher_.passage(*job))
    exchange_.pass_on(passage->client, *job, passage->session, std::move(frame));
  return true;
}

void Broker::schedule() {
  const TimePoint now = reactor_.now();
  const TimePoint next = std::clamp(dispatcher_.next_tick(), now + tick_shortest, now + tick_longest);
  if (tick_ && tick_.when <= next && tick_.when > now) return;
  reactor_.cancel(tick_);
  tick_ = reactor_.call_at(next, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    tick_ = {};
    let_go_of_what_is_lent(reactor_.now());
    if (!stopped_) dispatcher_.on_tick(reactor_.now());
    schedule();
  });
}

void Broker::on_turn_end() {
  carry_out(nullptr);
  if (keeper_ == nullptr) return;
  const bool all_sent = keeper_->on_turn_end(reactor_.now());
  carry_out(nullptr);
  if (all_sent) return;
  reactor_.post([] {});  // Another turn.
}

void Broker::carry_out(const PayloadView* payloads) {
  Actions actions = std::exchange(spent_actions_, {});
  while (dispatcher_.take_actions(actions))
    for (const Action& action : actions) std::visit([&](const auto& a) { act(a, payloads); }, action);
  spent_actions_ = std::move(actions);
  maybe_write_snapshot();
  if (tick_) schedule();
}

// --- The disk ----------------------------------------------------------------------------------------------------

Status Broker::open_journal() {
  if (options_.durable.empty() || journal_ != nullptr) return {};
  Result<std::unique_ptr<RoleJournal>> journal =
      RoleJournal::open(options_.durable, broker_journal_owner, reactor_, log_, [this](const RecordView& record) {
        return jobs_.restore(static_cast<BrokerEntryKind>(record.kind), record.payload);
      });
  if (!journal) return journal.error();
  journal_ = std::move(*journal);
  Result<std::unique_ptr<Folder>> folder = open_folder(options_.durable + "/results", false);
  if (!folder) return folder.error();
  keeper_ = std::make_unique<Keeper>(KeeperOptions{.bytes_max = options_.keep_bytes, .log = log_}, std::move(*folder),
                                     keeper_handlers());
  journal_->start({.on_persisted = [this](std::uint64_t entry) { on_persisted(entry); },
                   .on_failed = [this](const std::string& why) { fail(why); },
                   .before_commit = [this] { return keeper_->sync(); }});
  journaled_ = journal_->bytes_since_snapshot();
  const ClientJobs::Resumed resumed = jobs_.resume(dispatcher_, reactor_.now());
  carry_out(nullptr);
  if (!failure_.empty()) return Error{Code::corrupt, failure_};
  keeper_->remove_others();
  if (resumed.jobs > 0)
    log_.info("resumed " + counted(resumed.jobs, "job", "jobs") + " from " + options_.durable + ": " +
              counted(resumed.tasks, "task was", "tasks were") + " submitted; waiting for " +
              (resumed.jobs == 1 ? "its client" : "their clients"));
  return {};
}

KeeperHandlers Broker::keeper_handlers() {
  KeeperHandlers handlers;
  handlers.say = [this](PeerId local, const Received& received) {
    dispatcher_.on_message(local, received, reactor_.now());
  };
  handlers.on_kept = [this](JobId job, std::uint64_t bytes, bool full) {
    dispatcher_.on_kept(job, bytes, full, reactor_.now());
  };
  handlers.append = [this](JobId job, std::uint64_t token, Buffer entry) {
    append({0, token, job}, BrokerEntryKind::kept, std::move(entry));
  };
  handlers.send_results = [this](PeerId client, SessionId session, Buffer frame) {
    const std::optional<JobId> job = results_job(frame.bytes());
    if (job) exchange_.pass_on(client, *job, session, Frame{std::move(frame)});
  };
  handlers.send = [this](PeerId client, JobId job, SessionId session, const Message& message) {
    exchange_.send(client, job, session, message);
  };
  handlers.on_failed = [this](const std::string& why) { fail(why); };
  handlers.random = [] { return random_incarnation().value; };
  return handlers;
}

void Broker::fail(const std::string& why) {
  if (failure_.empty()) failure_ = why;
  if (auto callback = std::exchange(on_failed_, {}))
    callback(why + "; start the broker again with the same command to go on");
}

void Broker::append(Awaited awaited, BrokerEntryKind kind, Buffer payload) {
  if (journal_ == nullptr) return;
  journaled_ += payload.size();
  awaited.entry = ++entries_;
  if (awaited.token != 0) awaited_.push_back(awaited);
  journal_->append(awaited.entry, static_cast<std::uint16_t>(kind), std::move(payload));
}

void Broker::on_persisted(std::uint64_t entry) {
  std::uint64_t token = 0;  // The dispatcher's.
  for (; !awaited_.empty() && awaited_.front().entry <= entry; awaited_.pop_front()) {
    const Awaited& safe = awaited_.front();
    if (safe.kept)
      keeper_->on_persisted(*safe.kept, safe.token, reactor_.now());
    else
      token = safe.token;
  }
  if (token != 0) dispatcher_.on_persisted(token, reactor_.now());
}

void Broker::write(std::optional<ClientJobs::Entry> entry) {
  if (entry) append({0, entry->token, {}}, entry->kind, std::move(entry->payload));
}

// When what is there to be read again is more than what is needed.
void Broker::maybe_write_snapshot() {
  if (journal_ == nullptr || journaled_ < snapshot_after) return;
  const std::uint64_t held = jobs_.held_bytes();
  if (held >= journaled_ || held >= snapshot_bytes_max || !keeper_->is_clean()) return;
  Buffer whole = jobs_.snapshot([this](JobId job) { return keeper_->record(job); });
  journal_->append_snapshot(0, static_cast<std::uint16_t>(BrokerEntryKind::whole), std::move(whole));
  journaled_ = 0;
}

// --- What Dispatcher wants ---------------------------------------------------------------------------------------

void Broker::act(const Send& say, const PayloadView*) {
  if (!is_local(say.to)) return exchange_.send(say.to, say.job, say.session, say.message);
  if (keeper_ != nullptr) keeper_->hear(say.to, say.job, say.session, say.message, reactor_.now());
}

void Broker::act(const JobForgotten& job, const PayloadView*) {
  write(jobs_.forget(job.job));
  if (keeper_ != nullptr) keeper_->forget(job.job);
}

void Broker::act(const Keeping& keeping, const PayloadView*) {
  if (keeper_ == nullptr) return;
  if (!std::holds_alternative<Keeping::Begin>(keeping.what)) return keeper_->act(keeping);
  const Status begun = keeper_->begin(keeping.job, jobs_.take_kept(keeping.job), reactor_.now());
  if (!begun) fail(begun.error().message);
}

void Broker::act(const SendTasks& tasks, const PayloadView*) { exchange_.send(tasks, jobs_.payloads(tasks.job)); }

void Broker::act(const Keep& keep, const PayloadView* payloads) {
  if (payloads == nullptr) return;
  jobs_.keep(keep, *payloads);
  dispatcher_.on_held(keep.job, jobs_.held_bytes(keep.job));
}

void Broker::act(const Settled& settled, const PayloadView*) {
  jobs_.settle(settled);
  dispatcher_.on_held(settled.job, jobs_.held_bytes(settled.job));
}

void Broker::act(const JobResumed& resumed, const PayloadView*) {
  log_.info("job " + to_string(resumed.job) + " goes on: its client has outcomes of " +
            counted(resumed.settled, "task", "tasks"));
}

void Broker::act(const Notice& notice, const PayloadView*) {
  if (notice.text.starts_with("refused") && !refusals_.allow(reactor_.now())) return;
  log_.write(notice.level, notice.text);
}

}  // namespace ventile
