#include <ventile/queue/broker.hpp>

#include <utility>

#include <ventile/queue/names.hpp>

namespace ventile {
namespace {

constexpr Duration tick_shortest = std::chrono::milliseconds{1};
constexpr Duration tick_longest = std::chrono::milliseconds{250};
constexpr Duration refusal_interval = std::chrono::seconds{5};

}  // namespace

Broker::Broker(Context& context, Reactor& reactor, BrokerOptions options)
    : reactor_(reactor),
      options_(std::move(options)),
      log_(options_.log),
      incarnation_(random_incarnation()),
      dispatcher_(incarnation_, options_.dispatcher),
      exchange_(context, reactor, incarnation_, options_.frame_bytes_max, handlers(), options_.keys),
      refusals_(refusal_interval) {}

Broker::~Broker() = default;

Result<Endpoint> Broker::bind() { return exchange_.bind(options_.bind); }

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
  if (tick_) schedule();
}

void Broker::act(const SendTasks& tasks, const PayloadView*) {
  auto it = jobs_.find(tasks.job);
  exchange_.send(tasks, it != jobs_.end() && it->second.has_payloads ? &it->second.store : nullptr);
}

void Broker::act(const Keep& keep, const PayloadView* payloads) {
  if (payloads == nullptr) return;
  Job& job = jobs_[keep.job];
  job.has_payloads = true;
  PayloadWriter kept{0};
  kept.append(*payloads, keep.skip, static_cast<std::uint32_t>(keep.range.count));
  job.store.add(keep.range, std::move(kept));
  dispatcher_.on_held(keep.job, job.store.bytes());
}

void Broker::act(const Settled& settled, const PayloadView*) {
  auto it = jobs_.find(settled.job);
  if (it == jobs_.end()) return;
  it->second.store.release(settled.range);
  dispatcher_.on_held(settled.job, it->second.store.bytes());
}

void Broker::act(const Notice& notice, const PayloadView*) {
  if (notice.text.starts_with("refused") && !refusals_.allow(reactor_.now())) return;
  log_.write(notice.level, notice.text);
}

}  // namespace ventile
