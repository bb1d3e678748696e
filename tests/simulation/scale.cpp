#include "tests/simulation/scale.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <ventile/base/interval_set.hpp>
#include <ventile/queue/collector.hpp>
#include <ventile/queue/dispatcher.hpp>
#include <ventile/queue/session.hpp>

#include "tests/simulation/world.hpp"

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr JobId job{7, 7};
constexpr char function_name[] = "work";
constexpr Duration hold = 10ms;      // As RunOptions::hold.
constexpr Duration end_bound = 24h;  // Virtual; whatever takes longer has come to a halt.
constexpr std::uint32_t result_bytes = 9;
constexpr Duration relay_way_max = 10s;  // Each task of a batch takes its time in there; a worker's begin one by one.

// So many results of nine bytes.
PayloadView results_of(std::uint64_t count) {
  constexpr std::size_t most = std::size_t{1} << 20;
  static const std::vector<std::byte> data(most * result_bytes);
  static const std::vector<std::uint32_t> ends = [] {
    std::vector<std::uint32_t> all(most);
    for (std::size_t i = 0; i < most; ++i) all[i] = static_cast<std::uint32_t>(i + 1) * result_bytes;
    return all;
  }();
  require(count <= most, "a result is larger than this simulation can have it");
  return {data.data(), reinterpret_cast<const std::byte*>(ends.data()), static_cast<std::uint32_t>(count)};
}

// A process of one thread: it takes what has come, works on it, says what is to be said, and only then looks again.
class Host {
public:
  Host(World& world, const ScaleOptions& options) : world_(world), options_(options) {}
  virtual ~Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;

  TimePoint now() const { return world_.now(); }
  Duration busy() const { return busy_time_; }

  void receive(std::function<void()> what) {
    inbox_.push_back(std::move(what));
    if (!busy_) take_turn();
  }

protected:
  World& world() const { return world_; }
  const ScaleOptions& options() const { return options_; }

  // After everything that has come: say what is to be said.
  virtual void turn() = 0;

  // Within a turn: `what` happens at the other side when the message is there.
  void send(Host& to, std::function<void()> what) {
    spent_ += options_.costs.sent;
    world_.after(spent_ + options_.link, [&to, what = std::move(what)]() mutable { to.receive(std::move(what)); });
  }

  // Not again before `when`, unless something comes.
  void wake_at(TimePoint when, std::function<void()> what) {
    when = std::max(when, now() + 1ms);
    if (wake_ > now() && wake_ <= when) return;
    wake_ = when;
    world_.after(when - now(), [this, when, what = std::move(what)]() mutable {
      if (wake_ == when) receive(std::move(what));
    });
  }

private:
  World& world_;
  const ScaleOptions& options_;
  std::vector<std::function<void()>> inbox_;
  bool busy_ = false;
  Duration spent_{0};  // In this turn.
  Duration busy_time_{0};
  TimePoint wake_ = TimePoint::min();

  void take_turn() {
    busy_ = true;
    spent_ = options_.costs.turn;
    const std::vector<std::function<void()>> taken = std::exchange(inbox_, {});
    for (const auto& what : taken) {
      spent_ += options_.costs.received;
      what();
    }
    turn();
    busy_time_ += spent_;
    world_.after(spent_, [this] {
      busy_ = false;
      if (!inbox_.empty()) take_turn();
    });
  }
};

// --- A dispatcher and its peers ----------------------------------------------------------------------------------

using Heard = std::shared_ptr<const Received>;

// Whoever a dispatcher talks to.
class Listener : public Host {
public:
  using Host::Host;
  virtual void hear(const Received& received) = 0;
};

class Hub {
public:
  // Carries a message to the peer.
  using Deliver = std::function<void(Listener& to, const Heard& message)>;

  Hub(std::uint64_t identity, const DispatcherOptions& options, Deliver deliver)
      : incarnation_{identity}, dispatcher_(incarnation_, options), deliver_(std::move(deliver)) {}

  Dispatcher& dispatcher() { return dispatcher_; }
  PeerId attach(Listener& peer) {
    const PeerId id{++peers_};
    listeners_.emplace(id, &peer);
    return id;
  }
  // Who hears what is for the dispatcher's own sink.
  void on_local(std::function<void(const Received&)> local) { local_ = std::move(local); }
  const std::optional<JobClosed>& closed() const { return closed_; }
  std::uint64_t settled() const { return settled_; }
  static constexpr PeerId local_sink{1'000'000'000};

  // Says what is to be said until nothing is. False if there was nothing.
  bool carry_out() {
    bool any = false;
    for (Actions actions = dispatcher_.take_actions(); !actions.empty(); actions = dispatcher_.take_actions()) {
      any = true;
      for (Action& action : actions) {
        if (auto* const say = std::get_if<Send>(&action)) deliver(say->to, say->job, say->session, say->message);
        if (auto* const tasks = std::get_if<SendTasks>(&action))
          deliver(tasks->to, tasks->job, tasks->session, tasks->tasks);
        if (const auto* const settled = std::get_if<Settled>(&action)) settled_ += settled->range.count;
        if (const auto* const closed = std::get_if<JobClosed>(&action)) closed_ = *closed;
        if (const auto* const failed = std::get_if<JobFailed>(&action)) throw Violation{failed->message};
      }
    }
    return any;
  }

private:
  IncarnationId incarnation_;
  Dispatcher dispatcher_;
  Deliver deliver_;
  std::function<void(const Received&)> local_;
  std::unordered_map<PeerId, Listener*> listeners_;
  std::uint64_t peers_ = 0;
  std::uint64_t sequence_ = 0;
  std::uint64_t settled_ = 0;
  std::optional<JobClosed> closed_;

  void deliver(PeerId to, JobId about, SessionId session, Message message) {
    const Received received{{about, incarnation_, session, ++sequence_}, std::move(message)};
    if (to == local_sink) return local_(received);
    deliver_(*listeners_.at(to), std::make_shared<const Received>(received));
  }
};

DispatcherOptions head_options(const ScaleOptions& options) {
  DispatcherOptions result;
  if (options.relays == 0) return result;
  result.granularity.batch_min = options.relay_batch;
  result.granularity.round_trip_max = relay_way_max;
  return result;
}

// The head of the fabric, which has the job.
class Head : public Host {
public:
  Head(World& world, const ScaleOptions& options)
      : Host(world, options), hub_(1, head_options(options), [this](Listener& to, const Heard& message) {
          send(to, [&to, message] { to.hear(*message); });
        }) {}

  Hub& hub() { return hub_; }
  void begin(std::uint64_t tasks) {
    receive([this, tasks] {
      hub_.dispatcher().open_job(job, {.name = "scale", .function = function_name, .index = {.enabled = true}}, now());
      hub_.dispatcher().offer(job, tasks, 0, now());
      hub_.dispatcher().end_job(job, now());
    });
  }
  void hear(PeerId from, const Received& received) { hub_.dispatcher().on_message(from, received, now()); }

protected:
  void turn() override {
    hub_.carry_out();
    wake_at(hub_.dispatcher().next_tick(), [this] { hub_.dispatcher().on_tick(now()); });
  }

private:
  Hub hub_;
};

// --- The sink ----------------------------------------------------------------------------------------------------

CollectorOptions collector_options(std::uint64_t identity) {
  CollectorOptions options;
  options.node = {2, identity};
  options.incarnation = {identity};
  options.name = "sink";
  options.results_address = "results";
  return options;
}

class SinkHost : public Listener {
public:
  SinkHost(World& world, const ScaleOptions& options, Head& head)
      : Listener(world, options), head_(head), peer_(head.hub().attach(*this)), collector_(collector_options(2)) {}

  void begin() {
    receive([this] { collector_.start(now()); });
  }
  void hear(const Received& received) override { collector_.on_message(received, now()); }
  void take(const Envelope& envelope, const Results& results) {
    collector_.on_results(FrameId{++frames_}, envelope, results);
  }

protected:
  void turn() override {
    carry_out();
    collector_.on_written(now());
    carry_out();
    wake_at(collector_.next_tick(), [this] { collector_.on_tick(now()); });
  }

private:
  Head& head_;
  PeerId peer_;
  Collector collector_;
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;

  void carry_out() {
    for (Collector::Actions actions = collector_.take_actions(); !actions.empty(); actions = collector_.take_actions())
      for (Collector::Action& action : actions) {
        if (std::holds_alternative<Collector::OpenOutput>(action)) collector_.on_output_opened();
        if (std::holds_alternative<Collector::Finalise>(action)) collector_.on_finalised(now());
        if (auto* const say = std::get_if<Collector::Say>(&action)) {
          auto message = std::make_shared<const Received>(
              Received{{say->job, {2}, say->session, ++sequence_}, std::move(say->message)});
          send(head_, [this, message] { head_.hear(peer_, *message); });
        }
      }
  }
};

// --- Workers -----------------------------------------------------------------------------------------------------

SessionOptions session_options(std::uint64_t identity, std::uint32_t slots) {
  SessionOptions options;
  options.node = {3, identity};
  options.incarnation = {identity};
  options.name = "worker-" + std::to_string(identity);
  options.functions = {{function_name, true}};
  options.slots = slots;
  return options;
}

// The worker's side of a conversation, over whatever leads to its dispatcher and its sink.
class Conversation : public Listener {
public:
  Conversation(World& world, const ScaleOptions& options, std::uint64_t identity, std::uint32_t slots)
      : Listener(world, options), identity_(identity), session_(session_options(identity, slots)) {}

  void start() {
    receive([this] { session_.start(now()); });
  }
  void hear(const Received& received) override { session_.on_message(received, now()); }

protected:
  virtual void say(const Heard& message) = 0;                                    // To the dispatcher.
  virtual void deliver(const Heard& results) = 0;                                // To the sink.
  virtual void begin(const Session::Start& start) = 0;                           // Run these tasks.
  virtual std::vector<Range> take_back(LeaseId lease, std::uint64_t count) = 0;  // What has not begun.
  virtual std::vector<RunningTask> running() const = 0;

  void finish(LeaseId lease, Range range, Duration busy) {
    Results results;
    results.lease = lease;
    results.range = range;
    results.tries = 1;
    results.busy_nanoseconds = static_cast<std::uint64_t>(busy.count());
    results.payloads = results_of(range.count);
    const ResultId id = session_.on_finished(job, lease, range, range.count * result_bytes, 0, now());
    if (id) kept_.emplace(id, std::move(results));
  }

  void turn() override {
    for (Session::Actions actions = session_.take_actions(); !actions.empty(); actions = session_.take_actions())
      for (Session::Action& action : actions) act(action);
    while (const auto next = session_.outbox().next(now()))
      deliver(std::make_shared<const Received>(
          Received{{next->job, {identity_}, {}, ++sequence_}, kept_.at(next->result)}));
    wake_at(session_.next_tick(), [this] { session_.on_tick(now(), running()); });
  }

private:
  std::uint64_t identity_;
  Session session_;
  std::map<ResultId, Results> kept_;
  std::uint64_t sequence_ = 0;

  void act(Session::Action& action) {
    if (auto* const words = std::get_if<Session::Say>(&action))
      say(std::make_shared<const Received>(
          Received{{words->job, {identity_}, words->session, ++sequence_}, std::move(words->message)}));
    if (const auto* const start = std::get_if<Session::Start>(&action)) begin(*start);
    if (const auto* const back = std::get_if<Session::TakeBack>(&action))
      session_.on_retracted(back->job, back->lease, take_back(back->lease, back->count), now());
    if (const auto* const drop = std::get_if<Session::DropResult>(&action)) kept_.erase(drop->result);
  }
};

// One slot.
class WorkerHost : public Conversation {
public:
  // To its dispatcher, and with results to its sink: the head and the sink, or a relay, which is both.
  struct Way {
    Host* dispatcher = nullptr;
    Host* sink = nullptr;
    std::function<void(const Received&)> say;
    std::function<void(const Received&)> deliver;
  };

  WorkerHost(World& world, const ScaleOptions& options, std::uint64_t identity)
      : Conversation(world, options, identity, 1) {}

  void connect(Way way) { way_ = std::move(way); }
  // Of its slot, until now; of tasks that have ended.
  Duration worked() const { return worked_; }

protected:
  void say(const Heard& message) override {
    send(*way_.dispatcher, [this, message] { way_.say(*message); });
  }
  void deliver(const Heard& results) override {
    send(*way_.sink, [this, results] { way_.deliver(*results); });
  }

  void begin(const Session::Start& start) override {
    waiting_.push_back({start.lease, start.range});
    run_next();
  }

  std::vector<Range> take_back(LeaseId lease, std::uint64_t count) override {
    std::vector<Range> taken;
    for (auto batch = waiting_.rbegin(); batch != waiting_.rend() && count > 0; ++batch)
      if (batch->lease == lease) count -= take_end(batch->range, count, taken);
    std::erase_if(waiting_, [](const Batch& batch) { return batch.range.empty(); });
    if (claim_ && claim_->lease == lease && count > 0) {
      Range rest{claim_->range.first + begun(), claim_->range.count - begun()};
      if (take_end(rest, count, taken) > 0) {
        claim_->range.count = rest.end() - claim_->range.first;
        end_claim_later();
      }
    }
    return taken;
  }

  std::vector<RunningTask> running() const override {
    if (!claim_) return {};
    const std::uint64_t at = begun() - 1;
    return {{job, claim_->lease, claim_->range.first + at,
             now() - claim_->since - claim_->each * static_cast<std::int64_t>(at)}};
  }

private:
  struct Batch {
    LeaseId lease;
    Range range;
  };
  struct Claim {
    LeaseId lease;
    Range range;
    TimePoint since;
    Duration each{0};
  };

  Way way_;
  std::deque<Batch> waiting_;
  std::optional<Claim> claim_;
  std::uint64_t claims_ = 0;  // And how often one was shortened.
  Duration worked_{0};

  static std::uint64_t take_end(Range& range, std::uint64_t most, std::vector<Range>& taken) {
    const std::uint64_t count = std::min(range.count, most);
    if (count == 0) return 0;
    range.count -= count;
    taken.push_back({range.end(), count});
    return count;
  }

  std::uint64_t begun() const {
    return std::min<std::uint64_t>(static_cast<std::uint64_t>((now() - claim_->since) / claim_->each) + 1,
                                   claim_->range.count);
  }

  // The slot takes as many as it can say something of in time.
  void run_next() {
    if (claim_ || waiting_.empty()) return;
    Batch& batch = waiting_.front();
    const Duration each = world().draw(options().task / 2, options().task * 3 / 2);
    const auto fitting = static_cast<std::uint64_t>(std::max<std::int64_t>(hold / each, 1));
    const std::uint64_t count = std::min(fitting, batch.range.count);
    claim_ = Claim{batch.lease, {batch.range.first, count}, now(), each};
    batch.range = {batch.range.first + count, batch.range.count - count};
    if (batch.range.empty()) waiting_.pop_front();
    end_claim_later();
  }

  // The slot is a thread of its own: the worker hears of its results as it hears of a message, and needs not have
  // taken them before the slot goes on.
  void end_claim_later() {
    const std::uint64_t this_one = ++claims_;
    const Duration busy = claim_->each * static_cast<std::int64_t>(claim_->range.count);
    world().after(claim_->since + busy - now(), [this, this_one, busy] {
      if (claims_ != this_one) return;
      const Claim done = *claim_;
      claim_.reset();
      worked_ += busy;
      run_next();
      receive([this, done, busy] { finish(done.lease, done.range, busy); });
    });
  }
};

// --- Relays ------------------------------------------------------------------------------------------------------

class Relay : public Conversation {
public:
  Relay(World& world, const ScaleOptions& options, std::uint64_t identity, Head& head, SinkHost& sink)
      : Conversation(world, options, identity, options.relay_slots),
        head_(head),
        sink_(sink),
        peer_(head.hub().attach(*this)),
        hub_(identity + 1'000'000'000, {},
             [this](Listener& to, const Heard& message) { send(to, [&to, message] { to.hear(*message); }); }),
        collector_(collector_options(identity + 1'000'000'000)) {
    hub_.on_local([this](const Received& received) { collector_.on_message(received, now()); });
  }

  Hub& hub() { return hub_; }
  // Its own job begins, of which it does not know the end.
  void open() {
    receive([this] {
      hub_.dispatcher().open_job(job, {.name = "relay", .function = function_name, .index = {.enabled = true}}, now());
      collector_.start(now());
    });
  }
  void hear_worker(PeerId from, const Received& received) { hub_.dispatcher().on_message(from, received, now()); }
  void take(const Envelope& envelope, const Results& results) {
    // One of its slots stands for so many of its workers'.
    const double fold = static_cast<double>(hub_.dispatcher().slot_count()) / options().relay_slots;
    if (const auto batch = open_.upper_bound(results.range.first); batch != open_.begin())
      std::prev(batch)->second.busy += from_seconds(static_cast<double>(results.busy_nanoseconds) * 1e-9 / fold);
    collector_.on_results(FrameId{++frames_}, envelope, results);
  }

protected:
  void say(const Heard& message) override {
    send(head_, [this, message] { head_.hear(peer_, *message); });
  }
  void deliver(const Heard& results) override {
    send(sink_, [this, results] { sink_.take(results->envelope, std::get<Results>(results->message)); });
  }
  void begin(const Session::Start& start) override {
    const Range own = hub_.dispatcher().offer(job, start.range.count, 0, now());
    open_.emplace(own.first, Batch{start.lease, start.range, own.count, now()});
  }
  // What its workers have is theirs; a real relay would ask them.
  std::vector<Range> take_back(LeaseId, std::uint64_t) override { return {}; }
  std::vector<RunningTask> running() const override {
    std::vector<RunningTask> running;
    for (const auto& [first, batch] : open_)
      running.push_back({job, batch.lease, batch.range.end() - batch.left, now() - batch.since});
    return running;
  }

  void turn() override {
    bool any = true;
    while (any) {
      any = carry_out();
      collector_.on_written(now());
      any = carry_out() || any;
      any = hub_.carry_out() || any;
    }
    Conversation::turn();
    hub_.carry_out();
    wake_inner();
  }

private:
  struct Batch {
    LeaseId lease;
    Range range;  // As the head numbers it.
    std::uint64_t left = 0;
    TimePoint since;
    Duration busy{0};
  };

  Head& head_;
  SinkHost& sink_;
  PeerId peer_;
  Hub hub_;
  Collector collector_;
  std::map<Number, Batch> open_;  // By the first of its own numbers.
  std::uint64_t frames_ = 0;
  std::uint64_t sequence_ = 0;
  TimePoint inner_wake_ = TimePoint::min();

  bool carry_out() {
    bool any = false;
    for (Collector::Actions actions = collector_.take_actions(); !actions.empty(); actions = collector_.take_actions())
      for (Collector::Action& action : actions) {
        any = true;
        if (std::holds_alternative<Collector::OpenOutput>(action)) collector_.on_output_opened();
        if (auto* const words = std::get_if<Collector::Say>(&action))
          hub_.dispatcher().on_message(
              Hub::local_sink,
              {{words->job, {collector_incarnation()}, words->session, ++sequence_}, std::move(words->message)}, now());
        if (const auto* const write = std::get_if<Collector::Write>(&action)) settle(write->range);
      }
    return any;
  }
  IncarnationId collector_incarnation() const { return {peer_.value + 2'000'000'000}; }

  // Whole batches go up, each as one result.
  void settle(Range own) {
    while (!own.empty()) {
      const auto batch = std::prev(open_.upper_bound(own.first));
      const std::uint64_t count = std::min(own.count, batch->first + batch->second.range.count - own.first);
      batch->second.left -= count;
      own = {own.first + count, own.count - count};
      if (batch->second.left > 0) continue;
      finish(batch->second.lease, batch->second.range, batch->second.busy);
      open_.erase(batch);
    }
  }

  void wake_inner() {
    const TimePoint next = std::max(std::min(hub_.dispatcher().next_tick(), collector_.next_tick()), now() + 1ms);
    if (inner_wake_ > now() && inner_wake_ <= next) return;
    inner_wake_ = next;
    world().after(next - now(), [this, next] {
      if (inner_wake_ != next) return;
      receive([this] {
        hub_.dispatcher().on_tick(now());
        collector_.on_tick(now());
      });
    });
  }
};

// --- All of them -------------------------------------------------------------------------------------------------

class Scale {
public:
  explicit Scale(const ScaleOptions& options)
      : options_(options), world_(options.seed, nullptr), head_(world_, options_), sink_(world_, options_, head_) {
    for (std::uint32_t i = 0; i < options_.relays; ++i)
      relays_.push_back(std::make_unique<Relay>(world_, options_, 10'000'000 + i, head_, sink_));
    for (std::uint32_t i = 0; i < options_.workers; ++i) add_worker(i);
  }

  ScaleReport run() {
    gather();
    const std::uint64_t tasks = tasks_of(options_);
    const TimePoint start = world_.now();
    sink_.begin();
    head_.begin(tasks);
    const Mark first = run_until(tasks / 5);
    const Mark last = run_until(tasks - tasks / 5);
    while (!head_.hub().closed()) step();
    require(head_.hub().settled() == tasks, "a task is lost or counted twice");
    const double seconds = to_seconds(last.when - first.when);
    ScaleReport report;
    report.tasks = tasks;
    report.seconds = to_seconds(world_.now() - start);
    report.tasks_per_second = static_cast<double>(last.settled - first.settled) / seconds;
    report.utilisation = to_seconds(last.workers - first.workers) / seconds / options_.workers;
    report.tasks_per_batch = static_cast<double>(tasks) / static_cast<double>(batches());
    report.requeued = requeued();
    report.head_busy = to_seconds(last.head - first.head) / seconds;
    report.sink_busy = to_seconds(last.sink - first.sink) / seconds;
    if (!relays_.empty())
      report.relay_busy = to_seconds(last.relays - first.relays) / seconds / static_cast<double>(relays_.size());
    return report;
  }

private:
  struct Mark {
    TimePoint when;
    std::uint64_t settled = 0;
    Duration head{0};
    Duration sink{0};
    Duration relays{0};
    Duration workers{0};
  };

  ScaleOptions options_;
  World world_;
  Head head_;
  SinkHost sink_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::vector<std::unique_ptr<WorkerHost>> workers_;

  static std::uint64_t tasks_of(const ScaleOptions& options) {
    const double batches = static_cast<double>(options.workers) * to_seconds(options.run) /
                           std::max(to_seconds(options.task), to_seconds(GranularityOptions{}.batch_min));
    const double each = std::max(to_seconds(GranularityOptions{}.batch_min) / to_seconds(options.task), 1.0);
    return static_cast<std::uint64_t>(std::min(batches, static_cast<double>(options.batches_max)) * each);
  }

  void add_worker(std::uint32_t index) {
    workers_.push_back(std::make_unique<WorkerHost>(world_, options_, 20'000'000 + index));
    WorkerHost& worker = *workers_.back();
    if (relays_.empty()) {
      const PeerId peer = head_.hub().attach(worker);
      worker.connect(
          {&head_, &sink_, [this, peer](const Received& received) { head_.hear(peer, received); },
           [this](const Received& received) { sink_.take(received.envelope, std::get<Results>(received.message)); }});
      return;
    }
    Relay& relay = *relays_[index % relays_.size()];
    const PeerId peer = relay.hub().attach(worker);
    worker.connect(
        {&relay, &relay, [&relay, peer](const Received& received) { relay.hear_worker(peer, received); },
         [&relay](const Received& received) { relay.take(received.envelope, std::get<Results>(received.message)); }});
  }

  // Everybody is there before the job is.
  void gather() {
    for (const auto& worker : workers_) world_.after(world_.draw(0s, 1s), [&worker = *worker] { worker.start(); });
    if (relays_.empty()) return run_while([this] { return head_.hub().dispatcher().worker_count() < workers_.size(); });
    run_while([this] {
      std::size_t count = 0;
      for (const auto& relay : relays_) count += relay->hub().dispatcher().worker_count();
      return count < workers_.size();
    });
    for (const auto& relay : relays_) {
      relay->open();
      relay->start();
    }
    run_while([this] { return head_.hub().dispatcher().worker_count() < relays_.size(); });
  }

  void step() {
    require(world_.step(), "nothing will ever happen again, and the job is not over");
    require(world_.now() < TimePoint{} + end_bound, "the job does not end");
  }
  template <class Condition>
  void run_while(Condition condition) {
    while (condition())
      for (int i = 0; i < 1'000; ++i) step();
  }
  Mark run_until(std::uint64_t settled) {
    while (head_.hub().settled() < settled) step();
    Mark mark{world_.now(), head_.hub().settled(), head_.busy(), sink_.busy()};
    for (const auto& relay : relays_) mark.relays += relay->busy();
    for (const auto& worker : workers_) mark.workers += worker->worked();
    return mark;
  }

  // Of those who have workers.
  template <class Count>
  std::uint64_t sum(Count count) {
    if (relays_.empty()) return count(head_.hub().dispatcher().counters(job));
    std::uint64_t all = 0;
    for (const auto& relay : relays_) all += count(relay->hub().dispatcher().counters(job));
    return all;
  }
  std::uint64_t batches() {
    return sum([](const JobCounters& counters) { return counters.batches; });
  }
  std::uint64_t requeued() {
    return sum([](const JobCounters& counters) { return counters.requeued_batches; });
  }
};

}  // namespace

ScaleReport simulate_scale(const ScaleOptions& options) { return Scale{options}.run(); }

}  // namespace ventile::simulation
