#include <ventile/pipeline/source.hpp>

#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/queue/link.hpp>
#include <ventile/queue/liveness.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/wire/codec.hpp>

namespace ventile {
namespace {

constexpr Duration hello_interval = std::chrono::seconds{1};
constexpr Duration hello_interval_max = std::chrono::seconds{8};
constexpr Duration tick_shortest = std::chrono::milliseconds{1};
constexpr Duration tick_longest = std::chrono::milliseconds{100};
constexpr Duration farewell_max = std::chrono::milliseconds{500};
constexpr Duration silence_max = std::chrono::seconds{3};
constexpr Duration reopen_interval = std::chrono::milliseconds{10};
constexpr int high_water = 2;  // Messages for one stage: what is queued is lost with it, and helps no other.

}  // namespace

// Speaks with the dispatcher as a worker does, and carries out what Resend decides. All on one thread.
class Source::Driver {
public:
  Driver(Context& context, SourceOptions options)
      : context_(context),
        options_(std::move(options)),
        log_(options_.log),
        resend_(resend_options()),
        link_(
            context, reactor_, incarnation_, options_.frame_bytes_max,
            [this](const Received& received, const std::shared_ptr<const void>& memory) {
              on_message(received, memory);
            },
            [this](const Error& error, std::optional<std::uint16_t> version) { on_malformed(error, version); },
            [this] { liveness_.on_heard(reactor_.now()); }, options_.keys) {
    assign_random(node_);
  }

  Result<Endpoint> bind() {
    departures_ = options_.keys.departures();
    auto push = std::make_unique<PushSocket>(context_, push_options());
    auto monitor = std::make_unique<Monitor>(context_, *push);
    Result<Endpoint> bound = push->bind(bound_.value_or(options_.bind));
    if (!bound) return bound;
    bound_ = *bound;
    push_ = std::move(push);
    monitor_ = std::move(monitor);
    return bound;
  }

  Result<SourceReport> run() {
    if (!bound_)
      if (const Result<Endpoint> bound = bind(); !bound) return bound.error();
    if (Status connected = link_.connect(options_.connect); !connected) return connected.error();
    watch();
    reactor_.on_turn_end([this] {
      carry_out();
      send_progress_if_due();
    });
    reactor_.post([this] {
      say_hello();
      tick();
    });
    reactor_.run();
    if (push_ != nullptr) unwatch();
    report_.tasks = resend_.done_tasks();
    report_.resent = resend_.resent_tasks();
    return report_;
  }

  void stop() {
    reactor_.post([this] {
      if (open_) link_.send({}, session_, Bye{ByeReason::done, "the source of the pipeline was told to stop"});
      leave(open_ ? farewell_max : Duration{0});
    });
  }

private:
  // What came as one TASKS.
  struct Piece {
    Range range;
    Seal seal;
    PayloadView payloads;
    std::shared_ptr<const void> memory;
  };
  struct Job {
    Open open;
    Route route;
  };
  struct Batch {
    JobId job;
    std::vector<Piece> pieces;
  };

  Context& context_;
  SourceOptions options_;
  Log log_;
  NodeId node_;
  IncarnationId incarnation_ = random_incarnation();
  Reactor reactor_;
  Resend resend_;
  Link link_;
  std::unique_ptr<PushSocket> push_;  // None while the stream opens anew.
  std::unique_ptr<Monitor> monitor_;  // Lets the socket keep strangers few.
  std::optional<Endpoint> bound_;
  std::uint64_t departures_ = 0;
  TimePoint reopening_since_ = never;
  bool open_ = false;
  bool leaving_ = false;
  SessionId session_;
  std::uint64_t greetings_ = 0;
  Duration hello_pause_ = hello_interval;
  TimePoint next_hello_ = TimePoint::min();
  Liveness liveness_;
  Credit granted_;
  std::map<JobId, Job> jobs_;
  std::map<LeaseId, Batch> batches_;
  std::deque<Resend::Send> queue_;  // Waits for room on the stream.
  bool blocked_ = false;
  TimePoint blocked_since_ = never;
  bool said_waiting_ = false;
  std::uint64_t sequence_ = 0;
  TimerId tick_;
  SourceReport report_;

  ResendOptions resend_options() const {
    ResendOptions resend = options_.resend;
    resend.window_batches = 3 * std::max(options_.lanes, 1U);
    return resend;
  }

  // --- The worker's conversation ---

  void say_hello() {
    const TimePoint now = reactor_.now();
    open_ = false;
    jobs_.clear();
    link_.drop_queue();
    resend_.on_new_session();
    granted_ = resend_.credit();
    Hello hello;
    hello.role = Role::worker;
    hello.node = node_;
    hello.name = (options_.name.empty() ? host_and_process() : options_.name) + " (source of a pipeline)";
    hello.build = options_.build;
    hello.slots = options_.lanes;
    for (const std::string& function : options_.functions) hello.functions.push_back({function, true});
    hello.results_address = bound_->to_string();
    hello.credit = granted_;
    for (const auto& [lease, batch] : batches_)
      for (const Range range : resend_.missing(lease)) hello.held.push_back({batch.job, lease, range, false});
    hello.greeting = ++greetings_;
    link_.send({}, {}, hello);
    next_hello_ = now + hello_pause_;
    hello_pause_ = std::min(2 * hello_pause_, hello_interval_max);
  }

  void on_malformed(const Error& error, std::optional<std::uint16_t> version) {
    if (version && *version != protocol_version) {
      report_.ending = SourceEnding::version_mismatch;
      report_.why = error.message;
      return leave(Duration{0});
    }
    log_.warning("refused a message of the dispatcher: " + error.message);
    say_hello();
  }

  void on_message(const Received& received, const std::shared_ptr<const void>& memory) {
    liveness_.on_heard(reactor_.now());
    if (leaving_) {
      if (std::holds_alternative<Bye>(received.message)) reactor_.stop();
      return;
    }
    if (const auto* welcome = std::get_if<Welcome>(&received.message)) return on_welcome(*welcome, received.envelope);
    if (const auto* refused = std::get_if<Refused>(&received.message)) {
      report_.ending = SourceEnding::refused;
      report_.why = "the dispatcher refused the source: " + refused->message;
      return leave(Duration{0});
    }
    if (std::holds_alternative<HelloAgain>(received.message)) {
      if (open_) hello_pause_ = hello_interval;
      return say_hello();
    }
    if (!open_ || received.envelope.session != session_) return;
    const JobId job = received.envelope.job;
    std::visit([&](const auto& message) { on(job, message, memory); }, received.message);
  }

  void on_welcome(const Welcome& welcome, const Envelope& envelope) {
    if (open_ || welcome.greeting != greetings_) return;
    open_ = true;
    session_ = envelope.session;
    liveness_.begin(welcome.heartbeat_milliseconds, welcome.dead_after_milliseconds, reactor_.now());
    liveness_.speak_by(reactor_.now());
    hello_pause_ = hello_interval;
  }

  using Memory = const std::shared_ptr<const void>&;

  template <class Other>
  void on(JobId, const Other&, Memory) {}  // Not for a worker, or not for this one.
  void on(JobId job, const Open& open, Memory) { jobs_[job].open = open; }
  void on(JobId job, const Route& route, Memory) { jobs_[job].route = route; }
  void on(JobId job, const Tasks& tasks, Memory memory) {
    if (!jobs_.contains(job)) return;
    if (jobs_.at(job).route.address.empty()) {  // A client of a broker takes results by way of the dispatcher only.
      const std::string why = "a pipeline pushes its results, and this job has nobody to pull them";
      return link_.send(job, session_, Return{tasks.lease, {tasks.range}, ReturnReason::unknown, {}, why});
    }
    Batch& batch = batches_[tasks.lease];
    batch.job = job;
    batch.pieces.push_back({tasks.range, tasks.seal, tasks.payloads, memory});
    const std::uint64_t bytes = tasks.payloads.run(0, tasks.payloads.count()).size();
    resend_.on_batch(tasks.lease, tasks.range, bytes);
  }
  void on(JobId, const Verdicts& verdicts, Memory) {
    for (const VerdictNote& note : verdicts.verdicts) forget(note.lease, note.range);
  }
  void on(JobId job, const Retract& retract, Memory) {
    link_.send(job, session_, Return{retract.lease, {}, ReturnReason::not_begun, {}, {}});
  }
  void on(JobId job, const Cancel& cancel, Memory) {
    if (cancel.lease) return forget(cancel.lease, cancel.range);
    for (const auto& [lease, ranges] : take_all(job))
      link_.send(job, session_, Return{lease, ranges, ReturnReason::cancelled, {}, {}});
  }
  void on(JobId job, const Close&, Memory) {
    take_all(job);
    jobs_.erase(job);
  }
  void on(JobId, const Pace& pace, Memory) {
    liveness_.keep_pace(pace.heartbeat_milliseconds, pace.dead_after_milliseconds, reactor_.now());
  }
  void on(JobId, const Bye&, Memory) {
    link_.send({}, session_, Bye{});
    open_ = false;
    next_hello_ = reactor_.now() + hello_pause_;
    if (options_.once) leave(Duration{0});
  }

  void forget(LeaseId lease, Range range) {
    resend_.on_done(lease, range, reactor_.now());
    if (resend_.missing(lease).empty()) batches_.erase(lease);
  }

  // What of the job is under way; it is not any more.
  std::vector<std::pair<LeaseId, std::vector<Range>>> take_all(JobId job) {
    std::vector<std::pair<LeaseId, std::vector<Range>>> taken;
    for (const auto& [lease, batch] : batches_)
      if (batch.job == job) taken.emplace_back(lease, resend_.missing(lease));
    for (const auto& [lease, ranges] : taken)
      for (const Range range : ranges) forget(lease, range);
    return taken;
  }

  // --- Time ---

  void tick() {
    const TimePoint now = reactor_.now();
    if (open_ && liveness_.is_dead(now)) say_hello();
    if (!open_ && !leaving_ && now >= next_hello_) say_hello();
    if (blocked_ && now - blocked_since_ >= silence_max && !std::exchange(said_waiting_, true))
      log_.info("waiting for a stage to pull from " + bound_->to_string() + " for 3 s");
    if (!blocked_) resend_.on_tick(now);
    if (departures_ != options_.keys.departures() && bound_->transport != Transport::inproc) close_stream();
    reactor_.call_at(now + std::clamp(liveness_.heartbeat() / 8, tick_shortest, tick_longest), [this] { tick(); });
  }

  // A heartbeat, and more often when much credit has become free. Every lease is renewed: if it is late, Resend knows.
  void send_progress_if_due() {
    if (!open_ || leaving_) return;
    const TimePoint now = reactor_.now();
    const Credit credit = resend_.credit();
    const bool much = credit.tasks - granted_.tasks > options_.resend.window_tasks / 8 ||
                      credit.bytes - granted_.bytes > options_.resend.window_bytes / 8;
    if (!liveness_.word_is_due(now) && !much) return;
    Progress progress{credit, options_.lanes, resend_.done_tasks(), {}};
    for (const auto& [lease, batch] : batches_) progress.running.push_back({batch.job, lease, 0, 1});
    link_.send({}, session_, progress);
    granted_ = credit;
    liveness_.on_said(now);
  }

  // --- The stream ---

  PushOptions push_options() const {
    return {.send_high_water = high_water,
            .connection = {.frame_bytes_max = static_cast<std::int64_t>(options_.frame_bytes_max),
                           .curve = options_.keys.to_serve(KeyRole::worker)}};
  }

  void watch() {
    reactor_.add(*push_, {}, [this] {
      reactor_.want_write(*push_, false);
      blocked_ = false;
    });
    reactor_.add(*monitor_, [this] {
      ConnectionEvent event;
      if (!monitor_->receive(event)) return Reading::drained;
      if (const std::string warning = monitor_->take_warning(); !warning.empty()) log_.warning(warning);
      return Reading::more;
    });
  }

  void unwatch() {
    reactor_.remove(*monitor_);
    reactor_.remove(*push_);
  }

  // Somebody who may be connected is a guest no longer.
  void close_stream() {
    departures_ = options_.keys.departures();
    if (push_ == nullptr) return;
    unwatch();
    monitor_.reset();
    push_.reset();
    blocked_ = true;
    reopening_since_ = reactor_.now();
    log_.info("a key was revoked; the stream on " + bound_->to_string() + " opens anew for the others");
    reactor_.call_at(reactor_.now() + reopen_interval, [this] { reopen_stream(); });
  }

  // As soon as libzmq, which closes in the background, has let go of the address; a path it removes last.
  void reopen_stream() {
    const bool held = bound_->transport == Transport::ipc && ::access(bound_->host.c_str(), F_OK) == 0;
    if (!held && bind()) {
      watch();
      blocked_ = false;
      return flush();
    }
    if (reactor_.now() - reopening_since_ > silence_max) {
      reopening_since_ = reactor_.now();
      log_.warning("the stream cannot be opened anew on " + bound_->to_string() + " for 3 s; still trying");
    }
    reactor_.call_at(reactor_.now() + reopen_interval, [this] { reopen_stream(); });
  }

  void carry_out() {
    for (Resend::Actions actions = resend_.take_actions(); !actions.empty(); actions = resend_.take_actions())
      for (Resend::Action& action : actions) std::visit([this](auto& a) { act(a); }, action);
    flush();
  }

  void act(Resend::Send& send) {
    if (send.again) {
      std::uint64_t count = 0;
      for (const Range range : send.ranges) count += range.count;
      log_.debug("sending " + std::to_string(count) + " tasks again, from number " +
                 std::to_string(send.ranges.front().first) + " on");
    }
    queue_.push_back(std::move(send));
  }

  void act(Resend::GiveUp& give_up) {
    auto it = batches_.find(give_up.lease);
    if (it == batches_.end()) return;
    const std::string sends = std::to_string(give_up.sends);
    log_.warning("tasks from number " + std::to_string(give_up.ranges.front().first) + " on were sent " + sends +
                 " times and never arrived; given up");
    link_.send(it->second.job, session_,
               Return{give_up.lease, give_up.ranges, ReturnReason::dead, "lost",
                      "was sent down the pipeline " + sends + " times and never arrived"});
    if (resend_.missing(give_up.lease).empty()) batches_.erase(it);
  }

  void flush() {
    while (!queue_.empty() && !blocked_) {
      const Resend::Send& send = queue_.front();
      // What was settled while it waited is not sent any more. What the dispatcher has not opened in this session is
      // late one day, and by then it has.
      auto it = batches_.find(send.lease);
      const bool known = it != batches_.end() && jobs_.contains(it->second.job);
      if (known && !put(send, it->second)) return;
      resend_.on_sent(send.id, reactor_.now());
      queue_.pop_front();
    }
  }

  // False if the stream has no room: then nothing, or only a part, was sent, and all of it is sent later.
  bool put(const Resend::Send& send, const Batch& batch) {
    for (const Range wanted : send.ranges) {
      for (const Piece& piece : batch.pieces) {
        const Range range = intersection(wanted, piece.range);
        if (range.empty()) continue;
        Frame frame{frame_of(send.lease, batch.job, piece, range)};
        if (frame.size() > flow_bytes_max) {
          fail(send.lease, batch.job, range);
          return true;
        }
        if (push_->send(frame) == SendOutcome::sent) {
          blocked_since_ = never;
          said_waiting_ = false;
          continue;
        }
        blocked_ = true;
        if (blocked_since_ == never) blocked_since_ = reactor_.now();
        reactor_.want_write(*push_, true);
        return false;
      }
    }
    return true;
  }

  Buffer frame_of(LeaseId lease, JobId job_id, const Piece& piece, Range range) {
    const Job& job = jobs_.at(job_id);
    Flow flow;
    flow.function = job.open.function;
    flow.constants = job.open.constants;
    flow.constant_count = job.open.constant_count;
    flow.index = job.open.index;
    flow.timeout_nanoseconds = job.open.timeout_nanoseconds;
    flow.fold = job.open.fold;
    flow.sink = job.route.sink;
    flow.results_address = job.route.address;
    flow.lease = lease;
    flow.range = range;
    flow.seal = piece.seal;
    PayloadWriter payloads{frame_header_size};
    if (!flow.index.enabled)
      payloads.append(piece.payloads, static_cast<std::uint32_t>(range.first - piece.range.first),
                      static_cast<std::uint32_t>(range.count));
    return encode({job_id, incarnation_, {}, ++sequence_}, flow, std::move(payloads));
  }

  void fail(LeaseId lease, JobId job, Range range) {
    link_.send(job, session_,
               Return{lease,
                      {range},
                      ReturnReason::failed,
                      "size",
                      "is larger than a message of a pipeline may be (" + std::to_string(flow_bytes_max) + " bytes)"});
    forget(lease, range);
  }

  void leave(Duration after) {
    if (std::exchange(leaving_, true)) return;
    reactor_.call_at(reactor_.now() + after, [this] { reactor_.stop(); });
  }
};

Source::Source(Context& context, SourceOptions options)
    : driver_(std::make_unique<Driver>(context, std::move(options))) {}
Source::~Source() = default;
Result<Endpoint> Source::bind() { return driver_->bind(); }
Result<SourceReport> Source::run() { return driver_->run(); }
void Source::stop() { driver_->stop(); }

}  // namespace ventile
