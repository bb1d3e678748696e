#include <ventile/pipeline/stage.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/net/channel.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/pipeline/source.hpp>
#include <ventile/queue/link.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/task/runner.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

constexpr int high_water = 2;
constexpr Duration seek_interval = std::chrono::seconds{1};
constexpr Duration tick_interval = std::chrono::milliseconds{10};
constexpr Duration silence_max = std::chrono::seconds{3};
constexpr Duration farewell_max = std::chrono::milliseconds{500};  // For results that are on their way.
constexpr Duration refusal_interval = std::chrono::seconds{5};
constexpr std::size_t events_max = 64 * 1024;
constexpr std::size_t section_bytes_max = std::size_t{256} << 10;
constexpr std::size_t result_bytes_max = std::size_t{32} << 20;  // A larger one fails its task.
constexpr std::size_t outlets_max = 4;  // Sinks that results are open to; the oldest is closed for another.
constexpr std::size_t jobs_max = 16;    // Jobs remembered; the oldest is forgotten for another.
constexpr std::uint64_t failed_at_once = std::uint64_t{1} << 20;  // Of a batch that cannot run here: a text for each.
constexpr Duration reopen_max = std::chrono::seconds{2};  // A stream with keys opens anew when one of them is revoked.

}  // namespace

// Everything runs on the reactor's thread but the slots, which only push into the channel.
class Stage::Driver {
public:
  Driver(Context& context, const TaskRegistry& tasks, StageOptions options)
      : context_(context),
        tasks_(tasks),
        options_(std::move(options)),
        log_(options_.log),
        pull_(context, {.receive_high_water = high_water,
                        .connection = {.frame_bytes_max = flow_bytes_max, .curve = pull_curve()}}),
        monitor_(context, pull_),
        events_(reactor_, events_max, [this] { on_runner_events(); }),
        runner_(RunnerOptions{.slots = options_.slots,
                              .run = {.limits = {.headroom = frame_header_size,
                                                 .section_bytes_max = section_bytes_max,
                                                 .result_bytes_max = result_bytes_max}}},
                [this](RunnerEvent event) { (void)events_.push_when_room(std::move(event)); }) {}

  ~Driver() { events_.close(); }

  Result<Endpoint> bind() {
    if (!options_.bind) return options_.pull.value_or(options_.dispatcher.value_or(Endpoint{}));
    if (bound_) return *bound_;
    Result<Endpoint> bound = pull_.bind(*options_.bind);
    if (bound) bound_ = *bound;
    guarded_ = options_.keys && bound && bound->transport != Transport::inproc;
    return bound;
  }

  Result<StageReport> run() {
    if (const Result<Endpoint> bound = bind(); !bound) return bound.error();
    if (options_.pull)
      if (Status connected = pull_.connect(*options_.pull); !connected) return connected.error();
    if (options_.dispatcher) {
      link_ = std::make_unique<Link>(
          context_, reactor_, incarnation_, options_.frame_bytes_max,
          [this](const Received& received, const std::shared_ptr<const void>&) { on_answer(received); },
          [this](const Error& error, std::optional<std::uint16_t>) {
            log_.warning("refused a message of the dispatcher: " + error.message);
          },
          [] {}, options_.keys);
      if (Status connected = link_->connect(*options_.dispatcher, log_); !connected) return connected.error();
    }
    reactor_.add(monitor_, [this] { return on_connection(); });
    reactor_.on_turn_end([this] { turn(); });
    reactor_.post([this] {
      waiting_since_ = reactor_.now();
      tick();
    });
    reactor_.run();
    for (auto& [sink, outlet] : outlets_) outlet->socket.linger(farewell_max);
    if (pulling_) reactor_.remove(pull_);
    reactor_.remove(monitor_);
    link_.reset();
    return report_;
  }

  void drain() {
    reactor_.post([this] { leave("it was told to drain", options_.drain_timeout); });
  }
  void abandon() {
    reactor_.post([this] {
      report_.ending = StageEnding::interrupted;
      reactor_.stop();
    });
  }

private:
  // One PUSH, and what its transport had no room for.
  struct Outlet {
    Outlet(Context& context, std::int64_t frame_bytes_max, Curve curve)
        : socket(context, {.send_high_water = high_water,
                           .connection = {.frame_bytes_max = frame_bytes_max, .curve = std::move(curve)}}) {}
    PushSocket socket;
    std::deque<Frame> queue;
    std::uint64_t used = 0;  // When it was, for the oldest to go.
    bool blocked = false;
  };
  // What the results of a batch need to travel on.
  struct Batches {
    Flow flow;                // Without payloads.
    std::vector<Seal> seals;  // One for each range in which it came to the source.
    IncarnationId source;
    JobId job;
    std::uint64_t left = 0;  // Numbers that have not come out.
  };

  Context& context_;
  const TaskRegistry& tasks_;
  StageOptions options_;
  Log log_;
  IncarnationId incarnation_ = random_incarnation();
  Reactor reactor_;
  PullSocket pull_;
  Monitor monitor_;
  std::optional<Endpoint> bound_;
  std::unique_ptr<Link> link_;
  std::string stream_;  // The address that a dispatcher named.
  TimePoint next_seek_ = TimePoint::min();
  TimePoint waiting_since_;
  bool said_waiting_ = false;
  bool guarded_ = false;  // Bound, with keys.
  bool connected_ = false;
  TimePoint gone_since_ = never;  // The stream, with `once`.
  bool pulling_ = false;
  bool leaving_ = false;
  TimePoint deadline_ = never;
  Channel<RunnerEvent> events_;
  std::vector<RunnerEvent> drained_;
  std::map<JobId, std::shared_ptr<const TaskJob>> jobs_;
  std::deque<JobId> job_order_;
  std::map<LeaseId, Batches> batches_;
  std::map<IncarnationId, std::unique_ptr<Outlet>> outlets_;  // By sink; the next stage's is under none.
  std::uint64_t uses_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t transfers_ = random_u64();  // A sink tells parts by sender and this.
  RateLimit refusals_{refusal_interval};
  StageReport report_;
  Runner runner_;  // Last: its threads end before anything they use.

  // --- Where batches come from ---

  Curve pull_curve() const {
    return options_.bind ? options_.keys.to_serve(KeyRole::worker) : options_.keys.to_meet(KeyRole::dispatcher);
  }

  void seek() {
    next_seek_ = reactor_.now() + seek_interval;
    link_->send({}, {}, Seek{options_.name.empty() ? host_and_process() : options_.name});
  }

  void on_refused(const std::string& why) {
    if (leaving_) return;
    report_.ending = StageEnding::refused;
    leave(why, Duration{0});
  }

  void on_answer(const Received& received) {
    if (const auto* refused = std::get_if<Refused>(&received.message))
      return on_refused("the dispatcher refused the stage: " + refused->message);
    const auto* stream = std::get_if<Stream>(&received.message);
    if (stream == nullptr || stream->address == stream_ || leaving_) return;
    Result<Endpoint> endpoint = Endpoint::parse(stream->address);
    if (!endpoint)
      return log_.error("the source announced an address that cannot be used: " + endpoint.error().message);
    if (endpoint->is_wildcard()) endpoint->host = options_.dispatcher->host;  // It is where the dispatcher is.
    if (!stream_.empty()) pull_.disconnect();
    stream_ = stream->address;
    if (Status connected = pull_.connect(*endpoint); !connected) log_.error(connected.error().message);
  }

  Reading on_connection() {
    ConnectionEvent event;
    if (!monitor_.receive(event)) return Reading::drained;
    if (const std::string warning = monitor_.take_warning(); !warning.empty()) log_.warning(warning);
    if (event.shut_out() && !bound_) {
      on_refused("the source of the pipeline refused the stage: its list has not the key that we have (any more)");
    } else if (event.kind == ConnectionEvent::Kind::handshake_succeeded) {
      connected_ = true;
      gone_since_ = never;
    } else if (event.kind == ConnectionEvent::Kind::disconnected && connected_ && !bound_) {
      connected_ = false;
      waiting_since_ = reactor_.now();
      said_waiting_ = false;
      gone_since_ = reactor_.now();
      leave_with_stream();
    }
    return Reading::more;
  }

  // One with keys may only open anew.
  void leave_with_stream() {
    if (!options_.once || gone_since_ == never) return;
    if (options_.keys && reactor_.now() - gone_since_ < reopen_max) return;
    leave("its stream is gone", options_.drain_timeout);
  }

  void tick() {
    const TimePoint now = reactor_.now();
    on_events(runner_.tick(now));
    leave_with_stream();
    if (link_ != nullptr && !connected_ && !leaving_ && now >= next_seek_) seek();
    if (!connected_ && !bound_ && !leaving_ && now - waiting_since_ > silence_max &&
        !std::exchange(said_waiting_, true))
      log_.info("waiting for the source of a pipeline at " +
                (options_.pull ? *options_.pull : *options_.dispatcher).to_string() + "; none has answered for 3 s");
    if (now >= deadline_) {
      if (report_.ending != StageEnding::refused) report_.ending = StageEnding::interrupted;
      return reactor_.stop();
    }
    reactor_.call_at(now + tick_interval, [this] { tick(); });
  }

  void leave(const std::string& why, Duration within) {
    if (std::exchange(leaving_, true)) return;
    report_.why = why;
    deadline_ = reactor_.now() + within;
    if (!bound_ && (options_.pull || !stream_.empty())) pull_.disconnect();
  }

  bool blocked() const {
    return std::any_of(outlets_.begin(), outlets_.end(), [](const auto& outlet) { return outlet.second->blocked; });
  }

  // At the end of a turn: send what has come out, and pull if there is room for more.
  void turn() {
    for (auto& [sink, outlet] : outlets_) flush(*outlet);
    const bool room = !blocked() && batches_.size() < std::size_t{2} * options_.slots;
    const bool wanted = room && !leaving_;
    if (wanted && !pulling_) reactor_.add(pull_, [this] { return receive(); });
    if (!wanted && pulling_) reactor_.remove(pull_);
    pulling_ = wanted;
    if (leaving_ && batches_.empty() && !blocked()) reactor_.stop();
  }

  Reading receive() {
    if (batches_.size() >= std::size_t{2} * options_.slots) return Reading::drained;
    auto frame = std::make_shared<Frame>();
    if (!pull_.receive(*frame)) return Reading::drained;
    if (guarded_ && !options_.keys.guest(frame->user_id()))
      return refuse("the key of their sender is not on the list any more");
    Result<Received> received = decode(frame->bytes());
    if (!received) return refuse(received.error().message);
    auto* flow = std::get_if<Flow>(&received->message);
    if (flow == nullptr) return refuse(std::string{name_of(received->message)} + " does not belong on a stream");
    connected_ = true;
    take(received->envelope, std::move(*flow), frame);
    return Reading::more;
  }

  Reading refuse(const std::string& why) {
    if (refusals_.allow(reactor_.now())) log_.warning("refused bytes on the stream: " + why);
    return Reading::more;
  }

  // --- Running ---

  void take(const Envelope& envelope, Flow flow, const std::shared_ptr<const void>& memory) {
    const auto [job, why] = job_of(envelope.job, flow);
    if (job != nullptr && job->index.enabled != flow.index.enabled) {
      refuse(flow.index.enabled ? "the tasks of its job have payloads" : "the tasks of its job have none");
      return;
    }
    const PayloadView payloads = std::exchange(flow.payloads, {});
    const LeaseId lease = flow.lease;
    // The source sends the rest again, when it has waited.
    const Range range{flow.range.first, job == nullptr ? std::min(flow.range.count, failed_at_once) : flow.range.count};
    // The same lease may be here twice, if it was sent again: its parts are the same but for their range.
    Batches& batch = batches_[lease];
    const std::vector<Failure> failures = std::exchange(flow.failures, {});
    if (batch.seals.empty() || batch.seals.back() != flow.seal) batch.seals.push_back(flow.seal);
    batch.flow = std::move(flow);
    batch.source = envelope.incarnation;
    batch.job = envelope.job;
    batch.left += range.count;
    if (job == nullptr) return fail(lease, range, why);
    static_assert(Flow::tasks_max <= Batch::count_max);
    if (failures.empty()) {
      runner_.start(payloads.count() == 0 ? std::make_shared<Batch>(job, lease, range, 0)
                                          : std::make_shared<Batch>(job, lease, range, 0, payloads, memory));
      return;
    }
    take_with_failures(job, lease, range, failures, payloads);
  }

  // What failed in a stage before only passes through; what is between runs.
  void take_with_failures(const std::shared_ptr<const TaskJob>& job, LeaseId lease, Range range,
                          const std::vector<Failure>& failures, const PayloadView& payloads) {
    std::uint32_t next = 0;
    const auto run_until = [&](std::uint32_t end) {
      if (next == end) return;
      auto copy = std::make_shared<PayloadWriter>(0);
      copy->append(payloads, next, end - next);
      runner_.start(std::make_shared<Batch>(job, lease, Range{range.first + next, end - next}, 0, copy->view(), copy));
    };
    for (const Failure& failure : failures) {
      run_until(failure.offset);
      PayloadWriter payload{frame_header_size};
      payload.append(payloads[failure.offset]);
      come_out(lease, {range.first + failure.offset, 1}, false, 1, 0, {{0, failure.outcome}}, payload.take(), 1);
      next = failure.offset + 1;
    }
    run_until(static_cast<std::uint32_t>(range.count));
  }

  // The job, or null and why it cannot run here.
  std::pair<std::shared_ptr<const TaskJob>, std::string> job_of(JobId id, const Flow& flow) {
    if (auto it = jobs_.find(id); it != jobs_.end()) return {it->second, {}};
    const std::string& name = options_.function.empty() ? flow.function : options_.function;
    auto job = std::make_shared<TaskJob>();
    job->id = id;
    job->function = tasks_.find(name);
    if (job->function == nullptr)
      return {nullptr, "a stage of the pipeline has no function '" + name + "'; load the plugin that has it"};
    if (!job->function->traits().repeatable)
      return {nullptr, "the function '" + name + "' must not run twice, and a pipeline may run it twice"};
    const bool last = !options_.push;
    if (last && !flow.fold.empty()) {
      job->fold = tasks_.find_fold(flow.fold);
      if (job->fold == nullptr) log_.warning("there is no reducer '" + flow.fold + "' here; results travel one by one");
    }
    if (options_.function.empty()) {
      job->constants = flow.constants;
    }
    job->index = flow.index;
    job->timeout = std::chrono::nanoseconds{flow.timeout_nanoseconds};
    jobs_.emplace(id, job);
    job_order_.push_back(id);
    if (job_order_.size() > jobs_max) {
      jobs_.erase(job_order_.front());
      job_order_.pop_front();
    }
    return {job, {}};
  }

  void fail(LeaseId lease, Range range, const std::string& why) {
    PayloadWriter payloads{frame_header_size};
    std::vector<Failure> failures;
    for (std::uint32_t offset = 0; offset < range.count; ++offset) {
      Packer packer{payloads.buffer()};
      pack_error(packer, {"function", why, {}});
      payloads.end_payload();
      failures.push_back({offset, Outcome::failed});
    }
    const std::uint32_t count = payloads.count();
    come_out(lease, range, false, 1, 0, std::move(failures), payloads.take(), count);
  }

  // --- What the slots say ---

  void on_runner_events() {
    events_.drain(drained_);
    on_events(std::move(drained_));
    drained_.clear();
  }
  void on_events(std::vector<RunnerEvent>&& events) {
    for (RunnerEvent& event : events) std::visit([this](auto& e) { on_event(e); }, event);
  }
  void on_event(Finished& finished) {
    report_.tasks += finished.range.count;
    come_out(finished.lease, finished.range, finished.folded, finished.tries, finished.busy_nanoseconds,
             std::move(finished.failures), std::move(finished.payloads), finished.payload_count);
  }
  void on_event(Retry&) {}      // Every task is tried once.
  void on_event(Returned&) {}   // Nothing is cancelled.
  void on_event(TasksWait&) {}  // Nobody counts what a stage has.
  void on_event(SlotAbandoned& abandoned) {
    log_.warning("slot " + std::to_string(abandoned.slot) + " hangs in task " + std::to_string(abandoned.number) +
                 " over its time-out and is given up; " + std::to_string(abandoned.slots_left) + " left");
    if (abandoned.slots_left > 0) return;
    report_.ending = StageEnding::hung;
    report_.why = "every slot hangs in a task over its time-out";
    reactor_.stop();
  }

  // --- Where results go ---

  void come_out(LeaseId lease, Range range, bool folded, std::uint32_t tries, std::uint64_t busy,
                std::vector<Failure> failures, Buffer&& payloads, std::uint32_t count) {
    auto it = batches_.find(lease);
    if (it == batches_.end()) return;
    Batches& batch = it->second;
    const std::uint64_t before = batch.flow.busy_nanoseconds / std::max<std::uint64_t>(batch.flow.range.count, 1);
    busy += before * range.count;
    const Envelope envelope{batch.job, batch.source, {}, ++sequence_};
    if (options_.push) {
      Flow flow = batch.flow;
      flow.index = {};
      flow.range = range;
      flow.busy_nanoseconds = busy;
      flow.failures = std::move(failures);
      flow.seal = seal_of(batch, range);
      send({}, *options_.push, encode(envelope, flow, std::move(payloads), count), flow_bytes_max);
    } else if (const Result<Endpoint> drain = Endpoint::parse(batch.flow.results_address); !drain) {
      if (refusals_.allow(reactor_.now())) log_.warning("a batch names no drain: " + drain.error().message);
    } else {
      const Results results{lease, range, folded, tries, busy, std::move(failures), seal_of(batch, range)};
      send(batch.flow.sink, *drain, encode(envelope, results, std::move(payloads), count), options_.frame_bytes_max);
    }
    batch.left -= std::min(batch.left, range.count);
    if (batch.left == 0) batches_.erase(it);
  }

  static Seal seal_of(const Batches& batch, Range range) {
    const auto found = std::find_if(batch.seals.begin(), batch.seals.end(),
                                    [&](const Seal& seal) { return seal.range.contains(range); });
    return found == batch.seals.end() ? Seal{} : *found;
  }

  void send(IncarnationId sink, const Endpoint& to, Buffer frame, std::size_t frame_bytes_max) {
    Outlet& outlet = outlet_to(sink, to, frame_bytes_max);
    outlet.used = ++uses_;
    const Envelope envelope{{}, incarnation_, {}, ++sequence_};
    for (Buffer& part : split(std::move(frame), envelope, ++transfers_, frame_bytes_max))
      outlet.queue.emplace_back(std::move(part));
    flush(outlet);
  }

  Outlet& outlet_to(IncarnationId sink, const Endpoint& to, std::size_t frame_bytes_max) {
    if (auto it = outlets_.find(sink); it != outlets_.end()) return *it->second;
    if (outlets_.size() >= outlets_max) close_oldest_outlet();
    Curve curve = options_.push ? options_.keys.to_meet(KeyRole::worker, options_.push_key)
                                : options_.keys.to_meet(KeyRole::sink);
    auto owned = std::make_unique<Outlet>(context_, static_cast<std::int64_t>(frame_bytes_max), std::move(curve));
    Outlet& outlet = *owned;
    reactor_.add(outlet.socket, {}, [this, &outlet] {
      outlet.blocked = false;
      reactor_.want_write(outlet.socket, false);
    });
    if (Status connected = outlet.socket.connect(to); !connected) log_.error(connected.error().message);
    outlets_.emplace(sink, std::move(owned));
    return outlet;
  }

  void close_oldest_outlet() {
    const auto oldest = std::min_element(outlets_.begin(), outlets_.end(),
                                         [](const auto& a, const auto& b) { return a.second->used < b.second->used; });
    reactor_.remove(oldest->second->socket);
    outlets_.erase(oldest);
  }

  void flush(Outlet& outlet) {
    while (!outlet.queue.empty() && !outlet.blocked) {
      if (outlet.socket.send(outlet.queue.front()) == SendOutcome::sent) {
        outlet.queue.pop_front();
      } else {
        outlet.blocked = true;
        reactor_.want_write(outlet.socket, true);
      }
    }
  }
};

Stage::Stage(Context& context, const TaskRegistry& tasks, StageOptions options)
    : driver_(std::make_unique<Driver>(context, tasks, std::move(options))) {}
Stage::~Stage() = default;
Result<Endpoint> Stage::bind() { return driver_->bind(); }
Result<StageReport> Stage::run() { return driver_->run(); }
void Stage::drain() { driver_->drain(); }
void Stage::abandon() { driver_->abandon(); }

}  // namespace ventile
