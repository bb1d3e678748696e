#include <ventile/queue/ventilator.hpp>

#include <deque>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>

#include <ventile/net/channel.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/queue/payload_store.hpp>

namespace ventile {
namespace {

constexpr std::size_t block_bytes = 256 * 1024;  // What the reader hands over at once.
constexpr std::uint32_t block_tasks = 64 * 1024;
constexpr std::size_t blocks_waiting_max = 4;
constexpr Duration progress_interval = std::chrono::milliseconds{100};
constexpr Duration tick_shortest = std::chrono::milliseconds{1};
constexpr Duration silence_max = std::chrono::seconds{3};
constexpr Duration farewell_max = std::chrono::milliseconds{500};
constexpr Duration refusal_interval = std::chrono::seconds{5};
constexpr Duration probe_after = std::chrono::milliseconds{50};

// What the reader thread says.
struct Block {
  PayloadWriter payloads{0};
  bool end = false;
  std::optional<Error> error;
};

}  // namespace

// Carries out what Dispatcher and Feed decide. One thread reads the input; everything else is the reactor's.
class Ventilator::Driver {
public:
  Driver(Context& context, VentilatorOptions options, std::unique_ptr<Input> input, VentilatorCallbacks callbacks)
      : options_(std::move(options)),
        log_(options_.log),
        callbacks_(std::move(callbacks)),
        input_(std::move(input)),
        dispatcher_(incarnation_, options_.dispatcher),
        feed_(options_.feed),
        socket_(context, {.send_high_water = 10'000,
                          .receive_high_water = 10'000,
                          .connection = {.frame_bytes_max = static_cast<std::int64_t>(options_.frame_bytes_max)}}),
        monitor_(context, socket_),
        blocks_(reactor_, blocks_waiting_max, [this] { take_blocks(); }) {
    assign_random(job_);
  }

  Result<Endpoint> bind() {
    Result<Endpoint> bound = socket_.bind(options_.bind);
    if (bound) bound_ = *bound;
    return bound;
  }

  Result<VentilatorReport> run() {
    if (!bound_)
      if (const Result<Endpoint> bound = bind(); !bound) return bound.error();
    reactor_.add(
        socket_, [this] { return receive(); }, [this] { flush_all(); });
    reactor_.add(monitor_, [this] { return on_connection(); });
    reactor_.on_turn_end([this] { carry_out(); });
    reactor_.post([this] { begin(); });
    reactor_.run();
    blocks_.close();
    if (input_ != nullptr) input_->interrupt();
    if (reader_.joinable()) reader_.join();
    report_.duration = reactor_.now() - started_;
    return report_;
  }

  void drain() {
    reactor_.post(
        [this] { end_input(VentilatorEnding::drained, "stopped reading the input; finishing what was read"); });
  }
  void cancel() {
    reactor_.post([this] {
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
  struct PeerLink {
    RoutingId routing_id;
    std::deque<Frame> queue;  // What the transport had no room for, in order.
    std::uint64_t sequence = 0;
    int descriptor = -1;
    Assembler parts;
  };

  VentilatorOptions options_;
  Log log_;
  VentilatorCallbacks callbacks_;
  std::unique_ptr<Input> input_;
  IncarnationId incarnation_ = random_incarnation();
  JobId job_;
  Reactor reactor_;
  Dispatcher dispatcher_;
  Feed feed_;
  PayloadStore store_;
  RouterSocket socket_;
  Monitor monitor_;
  std::optional<Endpoint> bound_;
  Channel<Block> blocks_;
  std::vector<Block> taken_;
  std::thread reader_;
  std::unordered_map<RoutingId, PeerId> ids_;
  std::unordered_map<PeerId, PeerLink> peers_;
  std::unordered_map<int, PeerId> by_descriptor_;
  std::uint64_t next_peer_ = 0;
  std::uint64_t transfers_ = 0;
  std::size_t blocked_ = 0;  // Peers with a queue.
  TimerId tick_;
  TimePoint started_;
  TimePoint moved_;  // When something was last settled.
  TimePoint next_progress_ = TimePoint::min();
  std::string said_waiting_;
  RateLimit refusals_{refusal_interval};
  bool halting_ = false;
  bool over_ = false;  // The job has ended, one way or another.
  bool finished_ = false;
  std::set<PeerId> unanswered_;  // Who has not reacted to the farewell.
  VentilatorReport report_;

  // --- Input ---

  void begin() {
    started_ = moved_ = reactor_.now();
    dispatcher_.open_job(job_, options_.job, started_);
    if (options_.job.index.enabled) {
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
    for (bool more = true; more;) {
      Block block;
      Result<bool> read = input_->read(block.payloads, block_bytes, block_tasks);
      if (!read) block.error = read.error();
      more = read && *read;
      block.end = !more;
      if (!blocks_.push_when_room(std::move(block))) return;
    }
  }

  void take_blocks() {
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
  }

  void end_input(VentilatorEnding ending, const std::string& why) {
    if (feed_.ended()) return;
    if (ending != VentilatorEnding::done) {
      report_.ending = ending;
      report_.why = why;
      log_.write(ending == VentilatorEnding::bad_input ? Level::error : Level::info, why);
    }
    feed_.on_ended();
    if (input_ != nullptr) input_->interrupt();
    dispatcher_.end_job(job_, reactor_.now());
  }

  // --- What comes in ---

  PeerId peer_of(const RoutingId& routing_id, int descriptor) {
    auto [it, fresh] = ids_.try_emplace(routing_id);
    if (fresh) {
      it->second = {++next_peer_};
      peers_[it->second].routing_id = routing_id;
    }
    PeerLink& link = peers_.at(it->second);
    if (descriptor >= 0 && link.descriptor != descriptor) {
      link.descriptor = descriptor;
      by_descriptor_[descriptor] = it->second;
    }
    return it->second;
  }

  Reading receive() {
    RoutingId routing_id;
    Frame frame;
    if (!socket_.receive(routing_id, frame)) return Reading::drained;
    const PeerId peer = peer_of(routing_id, frame.source_descriptor());
    take(peer, frame.bytes());
    return Reading::more;
  }

  void take(PeerId peer, Bytes bytes) {
    const Result<Received> received = decode(bytes);
    if (!received) {
      const Result<std::uint16_t> version = peek_version(bytes);
      return dispatcher_.on_malformed(peer, received.error(), version ? std::optional{*version} : std::nullopt,
                                      reactor_.now());
    }
    if (const auto* part = std::get_if<Part>(&received->message)) {
      Result<Buffer> whole = peers_.at(peer).parts.add(*part);
      if (!whole) return dispatcher_.on_malformed(peer, whole.error(), std::nullopt, reactor_.now());
      dispatcher_.on_part(peer, reactor_.now());
      if (!whole->empty()) take(peer, *whole);
      return;
    }
    if (!finished_) return dispatcher_.on_message(peer, *received, reactor_.now());
    if (std::holds_alternative<Hello>(received->message) || std::holds_alternative<Bye>(received->message))
      on_answer(peer);
  }

  // ROUTER does not say that a peer is gone; its monitor names a descriptor, which may serve somebody else already.
  // So the peer is only probed, and the probe's outcome counts.
  Reading on_connection() {
    ConnectionEvent event;
    if (!monitor_.receive(event)) return Reading::drained;
    if (event.kind != ConnectionEvent::Kind::disconnected) return Reading::more;
    auto it = by_descriptor_.find(event.descriptor);
    if (it == by_descriptor_.end()) return Reading::more;
    const PeerId peer = it->second;
    by_descriptor_.erase(it);
    if (finished_) {
      on_answer(peer);
      return Reading::more;
    }
    probe(peer);
    reactor_.call_at(reactor_.now() + probe_after, [this, peer] { probe(peer); });
    return Reading::more;
  }

  void probe(PeerId peer) {
    if (peers_.contains(peer)) send(peer, {}, {}, Heartbeat{});
  }

  void forget(PeerId peer) {
    auto it = peers_.find(peer);
    if (it == peers_.end()) return;
    if (!it->second.queue.empty()) --blocked_;
    ids_.erase(it->second.routing_id);
    std::erase_if(by_descriptor_, [&](const auto& entry) { return entry.second == peer; });
    peers_.erase(it);
    on_answer(peer);
  }

  // --- What goes out ---

  void send(PeerId peer, JobId job, SessionId session, const Message& message) {
    auto it = peers_.find(peer);
    if (it == peers_.end()) return;
    const Envelope envelope{job, incarnation_, session, ++it->second.sequence};
    send_frame(peer, envelope, encode(envelope, message));
  }

  void send_frame(PeerId peer, const Envelope& envelope, Buffer frame) {
    for (Buffer& part : split(std::move(frame), envelope, ++transfers_, options_.frame_bytes_max)) {
      auto it = peers_.find(peer);
      if (it == peers_.end()) return;
      if (it->second.queue.empty()) ++blocked_;
      it->second.queue.emplace_back(std::move(part));
      flush(peer);
    }
  }

  void flush(PeerId peer) {
    PeerLink& link = peers_.at(peer);
    while (!link.queue.empty()) {
      const SendOutcome outcome = socket_.send(link.routing_id, link.queue.front());
      if (outcome == SendOutcome::would_block) return reactor_.want_write(socket_, true);
      if (outcome == SendOutcome::unreachable) {
        forget(peer);
        return dispatcher_.on_unreachable(peer, reactor_.now());
      }
      link.queue.pop_front();
    }
    --blocked_;
  }

  void flush_all() {
    std::vector<PeerId> waiting;
    for (const auto& [id, link] : peers_)
      if (!link.queue.empty()) waiting.push_back(id);
    for (const PeerId id : waiting)
      if (peers_.contains(id)) flush(id);
    reactor_.want_write(socket_, blocked_ > 0);
  }

  // --- What Dispatcher wants ---

  void carry_out() {
    for (Actions actions = dispatcher_.take_actions(); !actions.empty(); actions = dispatcher_.take_actions())
      for (Action& action : actions) std::visit([this](auto& a) { act(a); }, action);
    if (over_) return finish();  // Once.
    take_blocks();
    schedule();
  }

  void act(ventile::Send& say) { send(say.to, say.job, say.session, say.message); }

  void act(SendTasks& action) {
    Range rest = action.tasks.range;
    while (!rest.empty() && peers_.contains(action.to)) {
      PayloadWriter payloads{frame_header_size};
      const std::uint64_t count = options_.job.index.enabled
                                      ? rest.count
                                      : store_.copy(rest, options_.frame_bytes_max - 2 * frame_header_size, payloads);
      Tasks tasks = action.tasks;
      tasks.range = {rest.first, count};
      const Envelope envelope{action.job, incarnation_, action.session, ++peers_.at(action.to).sequence};
      send_frame(action.to, envelope, encode(envelope, tasks, std::move(payloads)));
      rest = {rest.first + count, rest.count - count};
    }
  }

  void act(Forget& action) { forget(action.peer); }

  void act(Settled& settled) {
    moved_ = reactor_.now();
    if (callbacks_.on_failure)
      for (const FailureNote& note : settled.failures)
        for (Number number = note.range.first; number < note.range.end(); ++number)
          callbacks_.on_failure(number, store_.find(number).value_or(Bytes{}), note);
    const std::uint64_t before = store_.bytes();
    store_.release(settled.range);
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
    const bool well = report_.ending != VentilatorEnding::failed && report_.ending != VentilatorEnding::abandoned;
    dispatcher_.stop(well ? ByeReason::done : ByeReason::failed, well ? std::string{} : report_.why);
    for (Action& action : dispatcher_.take_actions())
      if (auto* say = std::get_if<ventile::Send>(&action)) act(*say);
    // A connection that is closed too early may take the farewell with it: everybody answers it, by a goodbye or by a
    // new HELLO, or is gone.
    for (const auto& [peer, link] : peers_) unanswered_.insert(peer);
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
    status.refused = dispatcher_.refused_count() + socket_.malformed_count();
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
