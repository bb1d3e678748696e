#include <ventile/queue/worker.hpp>

#include <unistd.h>

#include <array>
#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include <ventile/net/channel.hpp>
#include <ventile/net/lending.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/queue/link.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/task/runner.hpp>

namespace ventile {
namespace {

// How often a worker looks after its slots: of a thousand workers on a machine each look counts.
constexpr Duration tick_longest = std::chrono::seconds{1};
constexpr Duration tick_with_slots = std::chrono::milliseconds{100};  // What one holds up another may take.
constexpr Duration tick_with_timeouts = std::chrono::milliseconds{10};
constexpr Duration silence_max = std::chrono::seconds{3};  // Then whoever waits says what for.
constexpr Duration shut_out_pause = std::chrono::seconds{1};
constexpr Duration farewell_max = std::chrono::milliseconds{500};
constexpr std::size_t events_max = 64 * 1024;  // Between slots and reactor; a full channel holds slots up.

}  // namespace

// Carries out what Session and Outbox decide. Everything runs on the reactor's thread but the slots, which only push
// into the channel.
class Worker::Driver {
public:
  Driver(Context& context, Reactor& reactor, const TaskRegistry& tasks, WorkerOptions options)
      : context_(context),
        reactor_(reactor),
        tasks_(tasks),
        options_(std::move(options)),
        log_(options_.log),
        session_(session_options()),
        link_(
            context, reactor_, incarnation_, options_.frame_bytes_max,
            [this](const Received& received, const std::shared_ptr<const void>& memory) {
              on_message(received, memory);
            },
            [this](const Error& error, std::optional<std::uint16_t> version) {
              session_.on_malformed(error, version, reactor_.now());
              carry_out();
            },
            [this] { session_.on_part(reactor_.now()); }, options_.keys),
        events_(reactor_, events_max, [this] { on_runner_events(); }),
        runner_(RunnerOptions{.slots = options_.slots,
                              .run = {.limits = {.headroom = frame_header_size,
                                                 .section_bytes_max = section_bytes_max,
                                                 .result_bytes_max = result_bytes_max}}},
                [this](RunnerEvent event) { (void)events_.push_when_room(std::move(event)); }) {}

  ~Driver() { events_.close(); }

  Result<WorkerReport> run() {
    reactor_.on_turn_end([this] { send_results(); });
    if (Status started = start({}); !started) return started.error();
    reactor_.run();
    return report();
  }

  Status start(std::function<void(const WorkerReport&)> on_left) {
    on_left_ = std::move(on_left);
    borrows_ = session_.borrows();
    if (borrows_)
      link_.borrow([this](const Error& error) {
        if (error.code == Code::disconnected) return;  // A dispatcher that is dead: as if its connection had broken.
        session_.on_unreadable(error, reactor_.now());
        carry_out();
      });
    if (options_.stop_when_alone)
      link_.on_disconnected([this] {
        session_.on_disconnected(reactor_.now());
        schedule_tick();
      });
    if (Status connected = link_.connect(options_.connect, log_); !connected) return connected.error();
    reactor_.post([this] {
      started_ = reactor_.now();
      session_.start(started_);
      carry_out();
      tick();
    });
    return {};
  }

  void on_turn_end() { send_results(); }

  const WorkerReport& report() {
    report_.tasks = session_.finished_tasks();
    report_.resent = session_.outbox().resent();
    return report_;
  }

  void drain() {
    reactor_.post([this] {
      if (session_.draining()) return;
      deadline_ = reactor_.now() + options_.drain_timeout;
      session_.drain(reactor_.now());
      carry_out();
      schedule_tick();
    });
  }

  void abandon() {
    reactor_.post([this] {
      report_.ending = WorkerEnding::handed_back;
      deadline_ = std::min(deadline_, reactor_.now() + std::chrono::seconds{3});
      session_.abandon(reactor_.now());
      carry_out();
      schedule_tick();
    });
  }

private:
  // Results gathered in one message: those of a whole batch of 512 KiB, if they are no larger than its payloads, and
  // their table.
  static constexpr std::size_t section_bytes_max = std::size_t{768} << 10;
  static constexpr std::size_t result_bytes_max = message_bytes_default - 4096;  // A larger one fails its task.

  struct SinkLink {
    SinkLink(Context& context, std::int64_t frame_bytes_max, Curve curve)
        : socket(context, {.connection = {.frame_bytes_max = frame_bytes_max, .curve = std::move(curve)}}),
          monitor(context, socket) {}
    PushSocket socket;
    Monitor monitor;
    std::deque<Frame> queue;  // Parts of one result, in order.
    bool blocked = false;
    bool lends = false;  // Large results, in place of sending them.
    std::string address;
    bool connected = false;
    TimePoint apart_since;
    bool said_apart = false;
  };

  Context& context_;
  Reactor& reactor_;
  const TaskRegistry& tasks_;
  WorkerOptions options_;
  Log log_;
  IncarnationId incarnation_ = random_incarnation();
  Session session_;
  Link link_;
  Channel<RunnerEvent> events_;
  std::vector<RunnerEvent> drained_;
  std::map<JobId, std::shared_ptr<const TaskJob>> jobs_;
  std::map<IncarnationId, std::unique_ptr<SinkLink>> sinks_;
  std::unordered_map<ResultId, std::shared_ptr<const Buffer>> kept_;
  std::uint64_t transfers_ = 0;
  std::uint64_t sequence_ = 0;
  TimePoint started_;
  TimePoint deadline_ = never;
  TimerId tick_;
  TimePoint gather_until_ = never;
  bool said_waiting_ = false;
  bool borrows_ = false;  // Messages may have been lent.
  bool leaving_ = false;
  bool left_ = false;
  std::function<void(const WorkerReport&)> on_left_;
  std::set<IncarnationId> passed_on_;  // Sinks whose results go by way of the dispatcher.
  WorkerReport report_;
  Runner runner_;  // Last: its threads end before anything they use.

  SessionOptions session_options() const {
    SessionOptions session;
    assign_random(session.node);
    session.incarnation = incarnation_;
    session.name = options_.name.empty() ? host_and_process() : options_.name;
    session.build = options_.build;
    if (!options_.keys && options_.connect.transport != Transport::inproc) session.machine = machine_of_process();
    session.slots = options_.slots;
    for (const std::string& name : tasks_.names())
      session.functions.push_back({name, tasks_.find(name)->traits().repeatable});
    session.credit_tasks = options_.credit_tasks;
    session.credit_bytes = options_.credit_bytes;
    session.kept_bytes_max = options_.kept_bytes_max;
    session.once = options_.once;
    session.stop_when_alone = options_.stop_when_alone;
    return session;
  }

  void stop() {
    if (std::exchange(left_, true)) return;
    if (on_left_)
      on_left_(report());
    else
      reactor_.stop();
  }

  // --- Messages and time ---

  void on_message(const Received& received, const std::shared_ptr<const void>& memory) {
    if (leaving_) {
      if (std::holds_alternative<Bye>(received.message)) stop();
      return;
    }
    const bool was_open = session_.open();
    session_.on_message(received, reactor_.now());
    if (session_.draining() && deadline_ == never) deadline_ = reactor_.now() + options_.drain_timeout;
    const auto* tasks = std::get_if<Tasks>(&received.message);
    carry_out(tasks != nullptr ? &tasks->payloads : nullptr, memory);
    // It is awake now, and need not be woken again for its word; and whoever watches on_tick learns of a session at
    // once.
    if (session_.next_tick() <= reactor_.now() || session_.open() != was_open) return tick();
    schedule_tick();  // What has come may have brought a time-out, or a deadline.
  }

  void tick() {
    reactor_.cancel(std::exchange(tick_, {}));
    if (left_) return;
    const TimePoint now = reactor_.now();
    on_events(runner_.tick(now));
    std::vector<RunningTask> running;
    for (const SlotStatus& slot : runner_.status())
      if (slot.state == SlotStatus::State::running)
        running.push_back({slot.job, slot.lease, slot.number, now - slot.since, slot.milestone});
    session_.on_tick(now, running);
    if (!session_.open() && !said_waiting_ && now - started_ > silence_max) {
      said_waiting_ = true;
      log_.info("waiting for a dispatcher at " + options_.connect.to_string() + "; none has answered for 3 s");
    }
    if (session_.open()) said_waiting_ = true;
    for (auto& [id, sink] : sinks_) say_apart(*sink, now);
    if (options_.on_tick) options_.on_tick(session_.open(), now);
    if (borrows_) let_go_of_what_is_lent(now);
    if (now >= deadline_ && !leaving_) {
      report_.ending = WorkerEnding::handed_back;
      session_.leave_now(now);
    }
    carry_out();
    schedule_tick();
  }

  Duration tick_interval() const {
    if (session_.running_tasks() == 0) return tick_longest;
    const bool timeouts =
        std::any_of(jobs_.begin(), jobs_.end(), [](const auto& job) { return job.second->timeout.count() > 0; });
    if (timeouts) return tick_with_timeouts;
    return runner_.slot_count() > 1 ? tick_with_slots : tick_longest;
  }

  // An earlier tick that was set stays.
  void schedule_tick() {
    if (left_) return;
    const TimePoint now = reactor_.now();
    const TimePoint deadline = leaving_ ? never : deadline_;
    const TimePoint due = std::min({session_.next_tick(), deadline, now + tick_interval()});
    const TimePoint next = std::max(due, now + std::chrono::milliseconds{1});
    if (tick_ && tick_.when <= next) return;
    reactor_.cancel(tick_);
    tick_ = reactor_.call_at(next, [this] { tick(); });
  }

  // --- What the slots say ---

  void on_runner_events() {
    events_.drain(drained_);
    on_events(std::move(drained_));
    drained_.clear();
    carry_out();
    schedule_tick();  // A task that waits has perhaps been lent a slot.
  }

  void on_events(std::vector<RunnerEvent>&& events) {
    for (RunnerEvent& event : events) std::visit([this](auto& e) { on_event(e); }, event);
  }
  void on_event(Finished& finished) {
    Results results{finished.lease,
                    finished.range,
                    finished.folded,
                    finished.tries,
                    finished.busy_nanoseconds,
                    std::move(finished.failures),
                    session_.seal_of(finished.lease, finished.range),
                    {}};
    const std::size_t failures = results.failures.size();
    const Envelope envelope{finished.job, incarnation_, {}, ++sequence_};
    auto frame =
        std::make_shared<Buffer>(encode(envelope, results, std::move(finished.payloads), finished.payload_count));
    const ResultId id =
        session_.on_finished(finished.job, finished.lease, finished.range, frame->size(), failures, reactor_.now());
    if (id) kept_.emplace(id, std::move(frame));
  }
  void on_event(Retry& retry) {
    session_.on_failed_try(retry.job, retry.lease, retry.number, std::move(retry.kind), std::move(retry.message),
                           reactor_.now());
  }
  void on_event(Returned& returned) {
    session_.on_cancelled(returned.job, returned.lease, returned.range, reactor_.now());
  }
  void on_event(TasksWait& wait) { session_.on_waiting(wait.tasks); }
  void on_event(SlotAbandoned& abandoned) {
    session_.on_slots_left(abandoned.slots_left,
                           "slot " + std::to_string(abandoned.slot) + " hangs in task " +
                               std::to_string(abandoned.number) + " of job " + to_string(abandoned.job) +
                               " over its time-out and is given up; " + std::to_string(abandoned.slots_left) + " left",
                           reactor_.now());
  }

  // --- What Session wants ---

  void carry_out(const PayloadView* payloads = nullptr, const std::shared_ptr<const void>& memory = nullptr) {
    for (Session::Actions actions = session_.take_actions(); !actions.empty(); actions = session_.take_actions())
      for (auto& action : actions) std::visit([&](auto& a) { act(a, payloads, memory); }, action);
  }

  using Payloads = const PayloadView*;
  using Memory = const std::shared_ptr<const void>&;

  void act(Session::Say& say, Payloads, Memory) {
    if (std::holds_alternative<Hello>(say.message)) {
      link_.drop_queue();
      // Until ROUTE comes again nobody knows whom the dispatcher would pass them on to, if it passes them on at all.
      for (const IncarnationId sink : std::exchange(passed_on_, {})) session_.outbox().on_disconnected(sink);
    }
    link_.send(say.job, say.session, say.message);
  }
  void act(Session::PrepareJob& prepare, Payloads, Memory) {
    const Open& open = prepare.open;
    auto job = std::make_shared<TaskJob>();
    job->id = prepare.job;
    job->function = tasks_.find(open.function);
    if (!open.fold.empty() && options_.find_fold) job->fold = options_.find_fold(open.fold);
    if (!open.fold.empty() && !job->fold) job->fold = tasks_.find_fold(open.fold);
    job->constants = open.constants;
    job->index = open.index;
    job->timeout = std::chrono::nanoseconds{open.timeout_nanoseconds};
    job->tries_max = open.tries_max;
    if (job->function != nullptr) {
      jobs_[prepare.job] = std::move(job);
    } else {
      log_.warning("a job wants the function '" + open.function + "', which this worker does not have; " +
                   (open.function == "exec"  ? "start it with --exec 'CMD {}'"
                    : open.function == "run" ? "start it with --exec '*' to let it run what `ventile run` sends"
                                             : "load the plugin that has it with --plugin"));
      session_.on_job_refused(prepare.job, "it has no function '" + open.function + "'", reactor_.now());
    }
  }
  void act(Session::Start& start, Payloads payloads, Memory memory) {
    const auto job = jobs_.at(start.job);
    const bool sized = start.range.count > 0 && start.range.count <= Batch::count_max;
    if (sized && job->index.enabled) {
      runner_.start(std::make_shared<Batch>(job, start.lease, start.range, start.tries));
    } else if (sized && !job->index.enabled && payloads != nullptr && payloads->count() == start.range.count) {
      runner_.start(std::make_shared<Batch>(job, start.lease, start.range, start.tries, *payloads, memory));
    } else {
      log_.warning("a batch came without its payloads or is too large; handed back");
      session_.on_retracted(start.job, start.lease, {start.range}, reactor_.now());
    }
  }
  void act(Session::TakeBack& take, Payloads, Memory) {
    session_.on_retracted(take.job, take.lease, runner_.retract(take.lease, take.count), reactor_.now());
  }
  void act(Session::TakeBackAll&, Payloads, Memory) {
    for (const Retracted& back : runner_.retract_all())
      session_.on_retracted(back.job, back.lease, {back.range}, reactor_.now());
  }
  void act(Session::CancelLease& cancel, Payloads, Memory) { on_events(runner_.cancel(cancel.lease, cancel.range)); }
  void act(Session::CancelJob& cancel, Payloads, Memory) { on_events(runner_.cancel(cancel.job)); }
  void act(Session::ForgetJob& forget, Payloads, Memory) { jobs_.erase(forget.job); }
  void act(Session::ConnectSink& connect, Payloads, Memory) { connect_sink(connect); }
  void act(Session::DisconnectSink& disconnect, Payloads, Memory) { disconnect_sink(disconnect.sink); }
  void act(Session::DropResult& drop, Payloads, Memory) { kept_.erase(drop.result); }
  void act(Notice& notice, Payloads, Memory) { log_.write(notice.level, notice.text); }
  void act(Session::Leave& leave, Payloads, Memory) {
    leaving_ = true;
    report_.why = leave.why;
    switch (leave.ending) {
      case Session::Ending::done:
        break;
      case Session::Ending::hung:
        report_.ending = WorkerEnding::hung;
        break;
      case Session::Ending::refused:
        report_.ending = WorkerEnding::refused;
        break;
      case Session::Ending::version_mismatch:
        report_.ending = WorkerEnding::version_mismatch;
        break;
    }
    // The dispatcher answers a goodbye with its own; not for ever.
    if (leave.ending == Session::Ending::version_mismatch || leave.ending == Session::Ending::refused)
      stop();
    else
      reactor_.call_at(reactor_.now() + farewell_max, [this] { stop(); });
  }

  // --- Results ---

  void connect_sink(const Session::ConnectSink& connect) {
    const IncarnationId sink = connect.sink;
    if (connect.address.empty()) {
      passed_on_.insert(sink);
      return;
    }
    const Result<Endpoint> endpoint = Endpoint::parse(connect.address);
    const bool lends = endpoint && !options_.keys && may_lend_to(connect.machine, *endpoint);
    if (lends) start_lending();
    if (const auto it = sinks_.find(sink); it != sinks_.end()) {
      it->second->lends = lends;
      return;
    }
    if (!endpoint) return log_.error("the sink announced an address that cannot be used: " + endpoint.error().message);
    auto link = std::make_unique<SinkLink>(context_, static_cast<std::int64_t>(options_.frame_bytes_max),
                                           options_.keys.to_meet(KeyRole::sink));
    SinkLink& opened = *link;
    opened.lends = lends;
    opened.address = endpoint->to_string();
    opened.connected = endpoint->transport == Transport::inproc;  // Nothing is said of these.
    opened.apart_since = reactor_.now();
    reactor_.add(opened.monitor, [this, sink, &opened] { return on_sink_event(sink, opened); });
    reactor_.add(opened.socket, {}, [this, &opened] {
      opened.blocked = false;
      reactor_.want_write(opened.socket, false);
      send_results();
    });
    if (Status connected = opened.socket.connect(*endpoint); !connected) log_.error(connected.error().message);
    sinks_.emplace(sink, std::move(link));
  }

  void disconnect_sink(IncarnationId sink) {
    passed_on_.erase(sink);
    auto it = sinks_.find(sink);
    if (it == sinks_.end()) return;
    reactor_.remove(it->second->monitor);
    reactor_.remove(it->second->socket);
    sinks_.erase(it);
  }

  Reading on_sink_event(IncarnationId sink, SinkLink& link) {
    ConnectionEvent event;
    if (!link.monitor.receive(event)) return Reading::drained;
    if (event.kind == ConnectionEvent::Kind::handshake_succeeded) {
      link.connected = true;
      if (std::exchange(link.said_apart, false)) log_.info("has reached the sink at " + link.address);
    } else if (event.kind == ConnectionEvent::Kind::disconnected) {
      link.queue.clear();
      session_.outbox().on_disconnected(sink);
      if (std::exchange(link.connected, false)) link.apart_since = reactor_.now();
    } else if (event.shut_out()) {
      reactor_.call_at(reactor_.now() + shut_out_pause, [this, sink, &link] { knock_again(sink, link); });
    }
    return Reading::more;
  }

  // It may learn of our key later, but libzmq does not try again.
  void knock_again(IncarnationId sink, const SinkLink& link) {
    const auto it = sinks_.find(sink);
    if (it == sinks_.end() || it->second.get() != &link) return;
    it->second->socket.disconnect();
    const Result<Endpoint> endpoint = Endpoint::parse(link.address);
    if (endpoint) (void)it->second->socket.connect(*endpoint);
  }

  void say_apart(SinkLink& link, TimePoint now) {
    if (link.connected || link.said_apart || now - link.apart_since <= silence_max) return;
    link.said_apart = true;
    log_.warning("cannot reach the sink at " + link.address + " for 3 s; results of " +
                 std::to_string(session_.outbox().tasks()) +
                 " tasks wait for it. If it has another address from here, start it with --advertise");
  }

  // Whether what is to be sent had better wait for more. Sets a timer when it begins to wait.
  bool gathers() {
    const std::size_t waiting = session_.outbox().waiting();
    const bool worth_it = options_.gather > Duration::zero() && waiting > 0 && 2 * waiting < options_.slots &&
                          session_.running_tasks() > 0;
    if (!worth_it || reactor_.now() >= gather_until_) {
      gather_until_ = never;
      return false;
    }
    if (gather_until_ == never) {
      gather_until_ = reactor_.now() + options_.gather;
      reactor_.call_at(gather_until_, [] {});  // The turn ends with another look.
    }
    return true;
  }

  void send_results() {
    for (auto& [id, sink] : sinks_) flush(*sink);
    if (gathers()) return;
    const auto has_room = [this](IncarnationId id) {
      if (passed_on_.contains(id)) return session_.open() && link_.idle();
      const auto sink = sinks_.find(id);
      return sink != sinks_.end() && !sink->second->blocked;
    };
    while (const auto next = session_.outbox().next(reactor_.now(), has_room)) {
      const std::shared_ptr<const Buffer>& frame = kept_.at(next->result);
      if (passed_on_.contains(next->sink)) {
        link_.send_encoded(frame, {next->job, incarnation_, {}, ++sequence_});
        continue;
      }
      auto sink = sinks_.find(next->sink);
      if (frame->size() <= options_.frame_bytes_max) {
        sink->second->queue.push_back(Frame::shared(frame));
      } else {
        Buffer copy;
        copy.append(*frame);
        const Envelope envelope{next->job, incarnation_, {}, ++sequence_};
        for (Buffer& part : split(std::move(copy), envelope, ++transfers_, options_.frame_bytes_max))
          sink->second->queue.emplace_back(std::move(part));
      }
      flush(*sink->second);
    }
  }

  // Until the transport has no room: the rest waits until it has.
  void flush(SinkLink& link) {
    const auto send = [&](Frame& frame) { return link.socket.send(frame); };
    while (!link.queue.empty() && !link.blocked) {
      Frame& next = link.queue.front();
      if ((link.lends ? send_or_lend(next, send) : send(next)) == SendOutcome::sent) {
        link.queue.pop_front();
      } else {
        link.blocked = true;
        reactor_.want_write(link.socket, true);
      }
    }
  }
};

Worker::Worker(Context& context, const TaskRegistry& tasks, WorkerOptions options)
    : reactor_(std::make_unique<Reactor>()),
      driver_(std::make_unique<Driver>(context, *reactor_, tasks, std::move(options))) {}
Worker::Worker(Context& context, Reactor& reactor, const TaskRegistry& tasks, WorkerOptions options)
    : driver_(std::make_unique<Driver>(context, reactor, tasks, std::move(options))) {}
Worker::~Worker() = default;
Result<WorkerReport> Worker::run() { return driver_->run(); }
Status Worker::start(std::function<void(const WorkerReport&)> on_left) { return driver_->start(std::move(on_left)); }
void Worker::on_turn_end() { driver_->on_turn_end(); }
void Worker::drain() { driver_->drain(); }
void Worker::abandon() { driver_->abandon(); }

}  // namespace ventile
