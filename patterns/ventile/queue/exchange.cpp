#include <ventile/queue/exchange.hpp>

#include <utility>

#include <ventile/net/lending.hpp>
#include <ventile/queue/rights.hpp>
#include <ventile/queue/sealed.hpp>

namespace ventile {
namespace {

constexpr Duration probe_after = std::chrono::milliseconds{50};
constexpr int high_water = 10'000;  // Messages a peer.

}  // namespace

Exchange::Exchange(Context& context, Reactor& reactor, IncarnationId incarnation, std::size_t frame_bytes_max,
                   ExchangeHandlers handlers, Keys keys)
    : reactor_(reactor),
      incarnation_(incarnation),
      frame_bytes_max_(frame_bytes_max),
      handlers_(std::move(handlers)),
      keys_(std::move(keys)),
      socket_(context, {.send_high_water = high_water,
                        .receive_high_water = high_water,
                        .connection = {.frame_bytes_max = static_cast<std::int64_t>(frame_bytes_max),
                                       .curve = keys_.to_serve()}}),
      monitor_(context, socket_) {
  reactor_.add(
      socket_, [this] { return receive(); }, [this] { flush_all(); });
  reactor_.add(monitor_, [this] { return on_connection(); });
}

Exchange::~Exchange() {
  reactor_.remove(monitor_);
  reactor_.remove(socket_);
}

Result<Endpoint> Exchange::bind(const Endpoint& endpoint) {
  guarded_ = keys_ && endpoint.transport != Transport::inproc;
  Result<Endpoint> bound = socket_.bind(endpoint);
  if (bound && guarded_) sweep();
  return bound;
}

std::vector<PeerId> Exchange::peers() const {
  std::vector<PeerId> all;
  all.reserve(peers_.size());
  for (const auto& [peer, link] : peers_) all.push_back(peer);
  return all;
}

PeerIdentity Exchange::identity_of(PeerId peer) const {
  const auto it = peers_.find(peer);
  if (!guarded_ || it == peers_.end()) return {};
  return {it->second.key, it->second.role == KeyRole::admin};
}

bool Exchange::is_sealed(PeerId peer, const HeldRange& held) const {
  const auto it = peers_.find(peer);
  return !guarded_ || (it != peers_.end() && held.seal.range.contains(held.range) &&
                       held.seal == seal_for(it->second, held.job, held.lease, held.seal.range));
}

// --- What comes in -----------------------------------------------------------------------------------------------

PeerId Exchange::peer_of(const RoutingId& routing_id, int descriptor) {
  auto [it, fresh] = ids_.try_emplace(routing_id);
  if (fresh) {
    it->second = {++next_peer_};
    peers_[it->second].routing_id = routing_id;
  }
  Link& link = peers_.at(it->second);
  if (descriptor >= 0 && link.descriptor != descriptor) {
    link.descriptor = descriptor;
    by_descriptor_[descriptor] = it->second;
  }
  return it->second;
}

Reading Exchange::receive() {
  RoutingId routing_id;
  Frame frame;
  if (!socket_.receive(routing_id, frame)) return Reading::drained;
  if (!guarded_)
    take_unguarded(peer_of(routing_id, frame.source_descriptor()), frame);
  else if (const std::optional<PeerId> peer = guest_of(routing_id, frame))
    take(*peer, frame);
  return Reading::more;
}

void Exchange::take_unguarded(PeerId peer, Frame& frame) {
  if (!handlers_.on_unreadable || !is_note(frame)) return take(peer, frame);
  if (!peers_.at(peer).is_here)
    return handlers_.on_unreadable(peer, {Code::failed, "Nothing was to be lent by whoever has not said where it is."});
  if (const Status borrowed = borrow(frame, frame_bytes_max_); !borrowed)
    return handlers_.on_unreadable(peer, borrowed.error());
  take(peer, frame);
}

// A connection keeps the key that it began with, and a routing id may be taken over with ROUTER_HANDOVER only, which we
// never ask for; so a peer with two keys would be a bug of the transport, and is not heard either.
std::optional<PeerId> Exchange::guest_of(const RoutingId& routing_id, const Frame& frame) {
  const std::string key = frame.user_id();
  const std::optional<Guest> guest = keys_.guest(key);
  if (!guest) {
    handlers_.on_stranger();
    return std::nullopt;
  }
  const PeerId peer = peer_of(routing_id, frame.source_descriptor());
  Link& link = peers_.at(peer);
  if (link.key.empty()) {
    link.key = key;
    link.role = guest->role;
  }
  if (link.key == key) return peer;
  handlers_.on_stranger();
  return std::nullopt;
}

void Exchange::sweep() {
  if (const std::uint64_t changes = keys_.changes(); swept_ != changes) {
    swept_ = changes;
    for (const PeerId peer : peers()) {
      if (keys_.guest(peers_.at(peer).key)) continue;
      forget(peer);
      handlers_.on_revoked(peer);
    }
  }
  reactor_.call_at(reactor_.now() + sweep_interval, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) sweep();
  });
}

void Exchange::take(PeerId peer, Frame& frame) { take(peer, frame, frame); }

void Exchange::take(PeerId peer, Frame& frame, const Frame& last_part) {
  const bool may_divert = !guarded_ || peers_.at(peer).role == KeyRole::worker;
  const Bytes bytes = frame.bytes();
  if (guarded_ && may_divert && results_job(bytes)) {
    const Result<Received> received = decode(bytes);
    if (!received) return handlers_.on_malformed(peer, received.error(), std::nullopt);
    if (!is_sealed(peer, *received))
      return handlers_.on_unauthorized(peer, RefusedFor::forged, "its result has not the seal of a lease of its own");
  }
  if (handlers_.divert && may_divert && handlers_.divert(peer, frame)) return;
  Result<Received> received = decode(bytes);
  if (!received) {
    const Result<std::uint16_t> version = peek_version(bytes);
    return handlers_.on_malformed(peer, received.error(), version ? std::optional{*version} : std::nullopt);
  }
  if (guarded_)
    if (const std::string why = objection_to(peers_.at(peer).role, received->message); !why.empty())
      return handlers_.on_unauthorized(peer, RefusedFor::unauthorized, why);
  if (auto* hello = std::get_if<Hello>(&received->message); hello != nullptr && !guarded_) {
    const bool says_here = hello->machine && hello->machine == machine_of_process();
    const bool is_here = says_here && is_on_this_machine(last_part);
    peers_.at(peer).is_here = is_here;
    if (says_here && !is_here) hello->machine = {};
    if (is_here) start_lending();
  }
  const auto* part = std::get_if<Part>(&received->message);
  if (part == nullptr) return handlers_.on_message(peer, *received);
  Result<Buffer> whole = peers_.at(peer).parts.add(*part);
  if (!whole) return handlers_.on_malformed(peer, whole.error(), std::nullopt);
  handlers_.on_part(peer);
  if (whole->empty()) return;
  Frame assembled{std::move(*whole)};
  take(peer, assembled, last_part);
}

bool Exchange::is_sealed(PeerId peer, const Received& received) const {
  const auto* results = std::get_if<Results>(&received.message);
  return results != nullptr && bears_seal(keys_, received.envelope.job, *results, peers_.at(peer).key);
}

// ROUTER does not say that a peer is gone; its monitor names a descriptor, which may serve somebody else already. So
// the peer is only probed, and the probe's outcome counts.
Reading Exchange::on_connection() {
  ConnectionEvent event;
  if (!monitor_.receive(event)) return Reading::drained;
  if (const std::string warning = monitor_.take_warning(); !warning.empty()) handlers_.on_turned_away(warning);
  if (event.kind != ConnectionEvent::Kind::disconnected) return Reading::more;
  auto it = by_descriptor_.find(event.descriptor);
  if (it == by_descriptor_.end()) return Reading::more;
  const PeerId peer = it->second;
  by_descriptor_.erase(it);
  handlers_.on_connection_lost(peer);
  probe(peer);
  reactor_.call_at(reactor_.now() + probe_after, [this, peer, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) probe(peer);
  });
  return Reading::more;
}

void Exchange::probe(PeerId peer) {
  if (peers_.contains(peer)) send(peer, {}, {}, Heartbeat{});
}

void Exchange::forget(PeerId peer) {
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  if (!it->second.queue.empty()) --blocked_;
  if (!it->second.unhurried.empty()) one_unhurried_less();
  ids_.erase(it->second.routing_id);
  std::erase_if(by_descriptor_, [&](const auto& entry) { return entry.second == peer; });
  peers_.erase(it);
}

// --- What goes out -----------------------------------------------------------------------------------------------

void Exchange::send(PeerId peer, JobId job, SessionId session, const Message& message) {
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  const Envelope envelope{job, incarnation_, session, ++it->second.sequence};
  Buffer frame = encode(envelope, message);
  if (std::holds_alternative<Verdicts>(message) && frame.size() <= frame_bytes_max_)
    return put_off(peer, Frame{std::move(frame)});
  send_frame(peer, envelope, std::move(frame));
}

Seal Exchange::seal_for(const Link& link, JobId job, LeaseId lease, Range range) const {
  const std::string_view worker = link.role == KeyRole::dispatcher ? std::string_view{} : link.key;
  return {range, keys_.seal({job, lease, range, worker})};
}

void Exchange::send(const SendTasks& action, PayloadStore* store) {
  Range rest = action.tasks.range;
  Seal seal;
  if (const auto it = peers_.find(action.to); guarded_ && it != peers_.end())
    seal = seal_for(it->second, action.job, action.tasks.lease, rest);
  while (!rest.empty()) {
    auto it = peers_.find(action.to);
    if (it == peers_.end()) return;
    const Envelope envelope{action.job, incarnation_, action.session, ++it->second.sequence};
    Tasks tasks = action.tasks;
    tasks.range = rest;
    tasks.seal = seal;
    if (store == nullptr)
      send_frame(action.to, envelope, encode(envelope, tasks));
    else
      tasks.range.count = send_some(action.to, envelope, tasks, *store);
    rest = {rest.first + tasks.range.count, rest.count - tasks.range.count};
  }
}

// The first of these tasks, as many as one message holds; returns how many.
std::uint64_t Exchange::send_some(PeerId peer, const Envelope& envelope, Tasks tasks, PayloadStore& store) {
  constexpr std::size_t body_max = 256;  // Of TASKS, and the header.
  const std::size_t section_bytes_max = frame_bytes_max_ - std::min(frame_bytes_max_, body_max);
  const Range wanted = tasks.range;
  const auto lent = store.lend(wanted, section_bytes_max, [&](Buffer&& section, std::uint32_t count) {
    tasks.range.count = count;
    return encode(envelope, tasks, std::move(section), count);
  });
  if (lent != nullptr) {
    enqueue(peer, Frame::shared(lent));
    return tasks.range.count;
  }
  PayloadWriter payloads{frame_header_size};
  tasks.range.count = store.copy({wanted.first, store.until_lendable(wanted)}, section_bytes_max, payloads);
  send_frame(peer, envelope, encode(envelope, tasks, std::move(payloads)));
  return tasks.range.count;
}

void Exchange::send_frame(PeerId peer, const Envelope& envelope, Buffer frame) {
  for (Buffer& part : split(std::move(frame), envelope, ++transfers_, frame_bytes_max_))
    enqueue(peer, Frame{std::move(part)});
}

void Exchange::pass_on(PeerId peer, JobId job, SessionId session, Frame frame) {
  if (frame.size() <= frame_bytes_max_) return enqueue(peer, std::move(frame));
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  Buffer copy;
  copy.append(frame.bytes());
  send_frame(peer, {job, incarnation_, session, ++it->second.sequence}, std::move(copy));
}

void Exchange::enqueue(PeerId peer, Frame frame) {
  auto it = peers_.find(peer);
  if (it == peers_.end()) return;
  Link& link = it->second;
  if (link.queue.empty()) ++blocked_;
  if (!link.unhurried.empty()) {
    for (Frame& before : link.unhurried) link.queue.push_back(std::move(before));
    link.unhurried.clear();
    one_unhurried_less();
  }
  link.queue.push_back(std::move(frame));
  flush(peer);
}

void Exchange::put_off(PeerId peer, Frame frame) {
  Link& link = peers_.at(peer);
  if (link.unhurried.empty()) {
    unhurried_.push_back(peer);
    ++unhurried_count_;
  }
  link.unhurried.push_back(std::move(frame));
  if (unhurried_due_) return;
  // Behind the end of that turn, at which what goes with it is sent.
  unhurried_due_ = reactor_.call_at(reactor_.now() + verdicts_wait, [this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    reactor_.post([this, alive] {
      if (!alive.expired()) send_unhurried();
    });
  });
}

// A reactor that has nothing to send need not wake up for it.
void Exchange::one_unhurried_less() {
  if (--unhurried_count_ > 0) return;
  unhurried_.clear();
  reactor_.cancel(std::exchange(unhurried_due_, {}));
}

void Exchange::send_unhurried() {
  unhurried_due_ = {};
  for (const PeerId peer : std::exchange(unhurried_, {})) {
    auto it = peers_.find(peer);
    if (it == peers_.end() || it->second.unhurried.empty()) continue;
    Frame last = std::move(it->second.unhurried.back());
    it->second.unhurried.pop_back();
    if (it->second.unhurried.empty()) one_unhurried_less();
    enqueue(peer, std::move(last));
  }
}

void Exchange::flush(PeerId peer) {
  Link& link = peers_.at(peer);
  const auto send = [&](Frame& frame) { return socket_.send(link.routing_id, frame); };
  while (!link.queue.empty()) {
    Frame& next = link.queue.front();
    const SendOutcome outcome = link.is_here ? send_or_lend(next, send) : send(next);
    if (outcome == SendOutcome::would_block) return reactor_.want_write(socket_, true);
    if (outcome == SendOutcome::unreachable) {
      forget(peer);
      return handlers_.on_unreachable(peer);
    }
    link.queue.pop_front();
  }
  --blocked_;
}

void Exchange::flush_all() {
  std::vector<PeerId> waiting;
  for (const auto& [id, link] : peers_)
    if (!link.queue.empty()) waiting.push_back(id);
  for (const PeerId id : waiting)
    if (peers_.contains(id)) flush(id);
  reactor_.want_write(socket_, blocked_ > 0);
}

DispatcherOptions known_by(const Exchange& exchange, DispatcherOptions options) {
  options.identity_of = [&exchange](PeerId peer) { return exchange.identity_of(peer); };
  options.is_sealed = [&exchange](PeerId peer, const HeldRange& held) { return exchange.is_sealed(peer, held); };
  return options;
}

}  // namespace ventile
