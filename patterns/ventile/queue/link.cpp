#include <ventile/queue/link.hpp>

#include <algorithm>
#include <utility>

#include <ventile/net/lending.hpp>

namespace ventile {

Link::Link(Context& context, Reactor& reactor, IncarnationId incarnation, std::size_t frame_bytes_max,
           OnMessage on_message, OnMalformed on_malformed, OnPart on_part, const Keys& keys, const Resolver& resolver)
    : reactor_(reactor),
      incarnation_(incarnation),
      frame_bytes_max_(frame_bytes_max),
      on_message_(std::move(on_message)),
      on_malformed_(std::move(on_malformed)),
      on_part_(std::move(on_part)),
      has_keys_(keys),
      socket_(context, {.connection = {.frame_bytes_max = static_cast<std::int64_t>(frame_bytes_max),
                                       .curve = keys.to_meet(KeyRole::dispatcher)}}),
      monitor_(context, socket_),
      resolver_(resolver),
      lookup_(reactor, resolver) {
  reactor_.add(
      socket_, [this] { return receive(); }, [this] { flush(); });
  reactor_.add(monitor_, [this] { return on_connection(); });
}

Link::~Link() {
  reactor_.cancel(next_lookup_);
  reactor_.remove(monitor_);
  reactor_.remove(socket_);
}

Status Link::connect(const Endpoint& dispatcher, Log log) {
  dispatcher_ = dispatcher;
  log_ = std::move(log);
  const Result<Endpoint> address = resolver_(dispatcher);
  if (!address) {
    on_looked_up(address);
    return {};
  }
  address_ = *address;
  look_up_later();
  return socket_.connect(*address);
}

void Link::look_up_later() {
  const bool has_name = !address_ || *address_ != dispatcher_;
  if (!has_name || lookup_.in_progress() || next_lookup_ != TimerId{}) return;
  if (is_heard()) lookup_pause_ = lookup_interval;
  next_lookup_ = reactor_.call_at(reactor_.now() + lookup_pause_, [this] {
    next_lookup_ = {};
    if (is_heard()) return look_up_later();
    lookup_.start(dispatcher_, [this](const Result<Endpoint>& address) { on_looked_up(address); });
  });
}

void Link::on_looked_up(const Result<Endpoint>& address) {
  if (is_heard()) return look_up_later();
  if (!address && !std::exchange(lookup_failed_, true))
    log_.warning(address.error().message + " It is looked up again until it can be.");
  if (address) lookup_failed_ = false;
  lookup_pause_ = std::min(2 * lookup_pause_, lookup_interval_max);
  if (address && address_ != *address) {
    lookup_pause_ = lookup_interval;
    if (address_) log_.info(dispatcher_.to_string() + " is now at " + address->to_string());
    address_ = *address;
    connected_ = false;
    socket_.disconnect();
    if (Status connected = socket_.connect(*address); !connected) log_.error(connected.error().message);
  }
  look_up_later();
}

void Link::send(JobId job, SessionId session, const Message& message) {
  send(next_envelope(job, session), message, PayloadWriter{frame_header_size});
}

void Link::send(const Envelope& envelope, const Message& message, PayloadWriter&& payloads) {
  if (std::holds_alternative<Hello>(message)) lends_ = false;  // It may meet another dispatcher.
  send_parts(encode(envelope, message, std::move(payloads)), envelope);
}

void Link::send_encoded(const std::shared_ptr<const Buffer>& frame, const Envelope& envelope) {
  if (frame->size() <= frame_bytes_max_) {
    queue_.push_back(Frame::shared(frame));
    return flush();
  }
  Buffer copy;
  copy.append(*frame);
  send_parts(std::move(copy), envelope);
}

void Link::send_parts(Buffer frame, const Envelope& envelope) {
  for (Buffer& part : split(std::move(frame), envelope, ++transfers_, frame_bytes_max_))
    queue_.emplace_back(std::move(part));
  flush();
}

void Link::flush() {
  const auto send = [this](Frame& frame) { return socket_.send(frame); };
  while (!queue_.empty()) {
    Frame& next = queue_.front();
    if ((lends_ ? send_or_lend(next, send) : send(next)) != SendOutcome::sent) break;
    queue_.pop_front();
  }
  reactor_.want_write(socket_, !queue_.empty());
}

void Link::on_welcome(const Welcome& welcome) {
  lends_ = !has_keys_ && address_ && may_lend_to(welcome.machine, *address_);
  if (lends_) start_lending();
}

Reading Link::receive() {
  auto frame = std::make_shared<Frame>();
  if (!socket_.receive(*frame)) return Reading::drained;
  heard_ = reactor_.now();
  if (on_unreadable_)
    if (const Status borrowed = ventile::borrow(*frame, frame_bytes_max_); !borrowed) {
      on_unreadable_(borrowed.error());
      return Reading::more;
    }
  const Bytes bytes = frame->bytes();
  take(bytes, std::move(frame));
  return Reading::more;
}

Reading Link::on_connection() {
  ConnectionEvent event;
  if (!monitor_.receive(event)) return Reading::drained;
  using Kind = ConnectionEvent::Kind;
  if (event.kind == Kind::handshake_succeeded) {
    connected_ = true;
    heard_ = reactor_.now();
  }
  if (event.kind == Kind::disconnected || event.kind == Kind::connect_retried) connected_ = lends_ = false;
  if (event.kind == Kind::disconnected && on_disconnected_) on_disconnected_();
  if (!event.shut_out()) return Reading::more;
  const std::string why = has_keys_ ? "its list has not the key that we have (any more), or it has no keys at all"
                                    : "it asks for keys, and we have none; name them with --keys";
  on_message_({{}, Refused{Refusal::unauthorized, why}}, nullptr);
  return Reading::more;
}

void Link::take(Bytes bytes, const std::shared_ptr<const void>& memory) {
  const Result<Received> received = decode(bytes);
  if (!received) {
    const Result<std::uint16_t> version = peek_version(bytes);
    return on_malformed_(received.error(), version ? std::optional{*version} : std::nullopt);
  }
  if (const auto* welcome = std::get_if<Welcome>(&received->message)) on_welcome(*welcome);
  const auto* part = std::get_if<Part>(&received->message);
  if (part == nullptr) return on_message_(*received, memory);
  Result<Buffer> whole = parts_.add(*part);
  if (!whole) return on_malformed_(whole.error(), std::nullopt);
  if (whole->empty()) return on_part_();
  auto kept = std::make_shared<Buffer>(std::move(*whole));
  const Bytes all = kept->bytes();
  take(all, std::move(kept));
}

}  // namespace ventile
