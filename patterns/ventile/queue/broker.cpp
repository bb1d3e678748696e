#include <ventile/queue/broker.hpp>

#include <utility>

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
      dispatcher_(incarnation_, dispatcher_options(options_)),
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
  handlers.on_unauthorized = [this](PeerId peer, const std::string& why) {
    dispatcher_.on_unauthorized(peer, why, reactor_.now());
  };
  handlers.on_revoked = [this](PeerId peer) { dispatcher_.on_revoked(peer, reactor_.now()); };
  handlers.on_stranger = [this] { dispatcher_.on_stranger(); };
  handlers.on_part = [this](PeerId from) { dispatcher_.on_part(from, reactor_.now()); };
  handlers.on_unreachable = [this](PeerId peer) { dispatcher_.on_unreachable(peer, reactor_.now()); };
  return handlers;
}

// Results on their way to a client: not unpacked here. The client checks them.
bool Broker::pass_on(PeerId from, Frame& frame) {
  const std::optional<JobId> job = results_job(frame.bytes());
  if (!job) return false;
  if (!dispatcher_.knows(from)) return false;  // It will be told HELLO-AGAIN.
  dispatcher_.on_part(from, reactor_.now());
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
    if (!stopped_) dispatcher_.on_tick(reactor_.now());
    schedule();
  });
}

void Broker::carry_out(const PayloadView* payloads) {
  for (Actions actions = dispatcher_.take_actions(); !actions.empty(); actions = dispatcher_.take_actions())
    for (const Action& action : actions) std::visit([&](const auto& a) { act(a, payloads); }, action);
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
  journal_->start({.on_persisted = [this](std::uint64_t token) { dispatcher_.on_persisted(token, reactor_.now()); },
                   .on_failed =
                       [this](const std::string& why) {
                         if (auto callback = std::exchange(on_failed_, {}))
                           callback(why + "; start the broker again with the same command to go on");
                       },
                   .before_commit = {}});
  journaled_ = journal_->bytes_since_snapshot();
  const ClientJobs::Resumed resumed = jobs_.resume(dispatcher_, reactor_.now());
  if (resumed.jobs > 0)
    log_.info("resumed " + counted(resumed.jobs, "job", "jobs") + " from " + options_.durable + ": " +
              counted(resumed.tasks, "task was", "tasks were") + " submitted; waiting for " +
              (resumed.jobs == 1 ? "its client" : "their clients"));
  return {};
}

void Broker::write(std::optional<ClientJobs::Entry> entry) {
  if (journal_ == nullptr || !entry) return;
  journaled_ += entry->payload.size();
  journal_->append(entry->token, static_cast<std::uint16_t>(entry->kind), std::move(entry->payload));
}

// When what is there to be read again is more than what is needed.
void Broker::maybe_write_snapshot() {
  if (journal_ == nullptr || journaled_ < snapshot_after) return;
  const std::uint64_t held = jobs_.held_bytes();
  if (held >= journaled_ || held >= snapshot_bytes_max) return;
  journal_->append_snapshot(0, static_cast<std::uint16_t>(BrokerEntryKind::whole), jobs_.snapshot());
  journaled_ = 0;
}

// --- What Dispatcher wants ---------------------------------------------------------------------------------------

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
