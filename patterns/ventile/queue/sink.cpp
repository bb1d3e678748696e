#include <ventile/queue/sink.hpp>

#include <atomic>
#include <unordered_map>
#include <utility>

#include <ventile/net/lending.hpp>
#include <ventile/net/monitor.hpp>
#include <ventile/net/reactor.hpp>
#include <ventile/net/socket.hpp>
#include <ventile/queue/collector.hpp>
#include <ventile/queue/link.hpp>
#include <ventile/queue/names.hpp>
#include <ventile/queue/part_store.hpp>
#include <ventile/queue/role_journal.hpp>
#include <ventile/queue/sealed.hpp>
#include <ventile/queue/sink_journal.hpp>
#include <ventile/task/function.hpp>

namespace ventile {
namespace {

constexpr std::uint16_t results_port = 5571;
constexpr Duration silence_max = std::chrono::seconds{3};
constexpr Duration farewell_max = std::chrono::milliseconds{500};
constexpr Duration room_interval = std::chrono::milliseconds{100};  // To look for some on a full disk at the end.
constexpr Duration refusal_interval = std::chrono::seconds{5};
constexpr std::uint16_t entry_kind = 1;
constexpr std::uint64_t snapshot_after = std::uint64_t{64} << 20;  // Bytes of entries.

}  // namespace

// Carries out what Collector decides, on one thread.
class Sink::Driver {
public:
  Driver(Context& context, const TaskRegistry& tasks, SinkOptions options, OpenOutput open_output)
      : context_(context),
        tasks_(tasks),
        options_(std::move(options)),
        log_(options_.log),
        open_output_(std::move(open_output)) {}

  Result<Endpoint> bind() {
    if (!options_.fold.empty() && tasks_.find_fold(options_.fold) == nullptr)
      return Error{Code::invalid,
                   "there is no reducer '" + options_.fold + "'; load the plugin that has it with --plugin"};
    PullOptions pull{.connection = {.frame_bytes_max = static_cast<std::int64_t>(options_.frame_bytes_max),
                                    .curve = options_.keys.to_serve()}};
    pull_ = std::make_unique<PullSocket>(context_, pull);
    monitor_ = std::make_unique<Monitor>(context_, *pull_);
    Result<Endpoint> bound = options_.bind ? pull_->bind(*options_.bind) : bind_beside_dispatcher();
    if (!bound) return bound.error();
    guarded_ = options_.keys && bound->transport != Transport::inproc;
    address_ = options_.advertise.value_or(*bound);
    if (address_->is_wildcard()) {
      const Result<std::string> local = local_address_towards(options_.connect);
      if (!local) return local.error();
      address_->host = *local;
    }
    return *address_;
  }

  Result<SinkReport> run() {
    if (!address_)
      if (const Result<Endpoint> bound = bind(); !bound) return bound.error();
    borrows_ = !guarded_ && address_->transport != Transport::inproc && machine_of_process();
    collector_ = std::make_unique<Collector>(collector_options());
    if (Status remembered = remember(); !remembered) return remembered.error();
    link_ = std::make_unique<Link>(
        context_, reactor_, incarnation_, options_.frame_bytes_max,
        [this](const Received& received, const std::shared_ptr<const void>&) { on_message(received); },
        [this](const Error& error, std::optional<std::uint16_t> version) {
          collector_->on_malformed(error, version, reactor_.now());
          carry_out();
        },
        [this] { collector_->on_part(reactor_.now()); }, options_.keys);
    if (borrows_) link_->borrow([this](const Error& error) { on_unreadable(error); });
    if (Status connected = link_->connect(options_.connect, log_); !connected) return connected.error();
    reactor_.add(*pull_, [this] { return receive(); });
    reactor_.add(*monitor_, [this] {
      ConnectionEvent event;
      if (!monitor_->receive(event)) return Reading::drained;
      if (const std::string warning = monitor_->take_warning(); !warning.empty()) log_.warning(warning);
      return Reading::more;
    });
    reactor_.on_turn_end([this] { acknowledge(); });
    reactor_.post([this] {
      waiting_since_ = reactor_.now();
      collector_->start(reactor_.now());
      carry_out();
      tick();
    });
    reactor_.run();
    reactor_.remove(*monitor_);
    reactor_.remove(*pull_);
    link_.reset();
    journal_.reset();
    return report_;
  }

  void drain() {
    reactor_.post([this] {
      if (leaving_) return;
      collector_->drain("it was told to stop");
      carry_out();
    });
  }

  void leave() {
    reactor_.post([this] {
      if (leaving_) return;
      if (collector_->has_job()) report_.ending = SinkEnding::left;
      collector_->leave("it was told to stop");
      carry_out();
    });
  }

private:
  // A frame of results for as long as Collector needs it; its views point into itself.
  struct Held {
    Frame frame;
    Buffer whole;  // Instead, if it came in parts.
    Envelope envelope;
    Results results;
  };

  Context& context_;
  const TaskRegistry& tasks_;
  SinkOptions options_;
  Log log_;
  OpenOutput open_output_;
  IncarnationId incarnation_ = random_incarnation();
  Reactor reactor_;
  std::unique_ptr<PullSocket> pull_;
  std::unique_ptr<Monitor> monitor_;  // Lets the socket keep strangers few.
  std::optional<Endpoint> address_;
  bool guarded_ = false;  // Every message is held against the key of its sender.
  bool borrows_ = false;  // Messages may have been lent.
  std::unique_ptr<Collector> collector_;
  std::unique_ptr<Link> link_;
  std::unordered_map<FrameId, std::unique_ptr<Held>> held_;
  PartStore parts_;
  std::uint64_t frames_ = 0;
  std::unique_ptr<Output> output_;
  std::atomic<Output*> synced_ = nullptr;  // What the writer's thread syncs: the output, unless it is closed.
  std::unique_ptr<FoldAccumulator> fold_;
  std::uint64_t jobs_ = 0;
  std::unique_ptr<RoleJournal> journal_;
  std::uint64_t journaled_ = 0;  // Bytes, since the last snapshot.
  std::uint64_t output_end_ = 0;
  bool output_rewinds_ = false;
  bool said_full_ = false;
  bool written_ = false;  // Since the last acknowledgement.
  RefusalCounts refused_;
  RateLimit refusals_{refusal_interval};
  TimePoint waiting_since_;
  bool said_waiting_ = false;
  bool leaving_ = false;
  SinkReport report_;

  Result<Endpoint> bind_beside_dispatcher() {
    Endpoint endpoint = options_.connect;
    if (endpoint.transport != Transport::tcp) {
      endpoint.host += "-results-" + to_string(incarnation_).substr(0, 8);
      return pull_->bind(endpoint);
    }
    const Result<std::string> local = local_address_towards(options_.connect);
    if (!local) return local.error();
    endpoint.host = *local;
    endpoint.port = results_port;
    if (Result<Endpoint> bound = pull_->bind(endpoint); bound) return bound;
    endpoint.port = 0;
    Result<Endpoint> bound = pull_->bind(endpoint);
    if (bound)
      log_.info("port " + std::to_string(results_port) + " is taken; results come in on " + bound->to_string());
    return bound;
  }

  CollectorOptions collector_options() const {
    CollectorOptions collector;
    assign_random(collector.node);
    collector.incarnation = incarnation_;
    collector.name = options_.name.empty() ? host_and_process() : options_.name;
    collector.build = options_.build;
    collector.results_address = address_->to_string();
    if (borrows_) collector.machine = machine_of_process();
    collector.fold = options_.fold;
    collector.ordered = options_.ordered;
    collector.stay = options_.stay;
    collector.durable = !options_.durable.empty();
    collector.window_tasks = options_.window_tasks;
    collector.window_bytes = options_.window_bytes;
    collector.ordered_window = options_.ordered_window;
    return collector;
  }

  // --- What was ---

  Status remember() {
    if (options_.durable.empty()) return {};
    Result<std::unique_ptr<RoleJournal>> journal =
        RoleJournal::open(options_.durable, sink_journal_owner, reactor_, log_,
                          [this](const RecordView& record) { return restore(record.payload); });
    if (!journal) return journal.error();
    journal_ = std::move(*journal);
    if (collector_->has_job()) {
      Result<std::unique_ptr<Output>> output = open_output_(jobs_++);
      if (!output) return output.error();
      log_.info("resumed with " + std::to_string(collector_->ledger().count()) + " results" +
                (collector_->finalised() ? "; the output is whole" : ""));
      if (!collector_->finalised()) use_output(std::move(*output));
    }
    journal_->start({.on_persisted =
                         [this](std::uint64_t token) {
                           collector_->on_persisted(token, reactor_.now());
                           carry_out();
                         },
                     .on_failed =  // As if it had been killed: the job waits for it to come back.
                     [this](const std::string& why) {
                       Collector::Leave leave{Collector::Ending::failed,
                                              why + "; start the sink again with the same command to go on"};
                       act(leave);
                     },
                     .before_commit = [this] { return sync_output(); }});
    return {};
  }

  Status restore(Bytes payload) {
    const Result<SinkEntry> entry = unpack_sink_entry(payload);
    if (!entry) return entry.error();
    if (entry->record.whole || fold_ == nullptr) start_fold();
    if (entry->record.whole) held_.clear();
    collector_->restore(entry->record);
    carry_out();
    output_end_ = entry->output_end;
    if (!entry->folded.empty())
      if (Status merged = fold_->merge_packed(entry->folded); !merged) return merged;
    for (const KeptResult& kept : entry->kept)
      if (Status restored = restore(kept); !restored) return restored;
    return {};
  }

  Status restore(const KeptResult& kept) {
    auto held = std::make_unique<Held>();
    held->whole.append(kept.frame);
    Result<Received> received = decode(held->whole);
    if (!received) return received.error();
    auto* results = std::get_if<Results>(&received->message);
    if (results == nullptr || !results->range.contains(kept.range))
      return Error{Code::corrupt, "a result in the sink's journal is not one"};
    held->envelope = received->envelope;
    held->results = std::move(*results);
    if (fold_ != nullptr) return combine(*held, kept.range, false);
    const FrameId id{++frames_};
    if (collector_->restore_kept(id, kept.range, kept.frame.size())) held_.emplace(id, std::move(held));
    return {};
  }

  void start_fold() { fold_ = options_.fold.empty() ? nullptr : tasks_.find_fold(options_.fold)->start(); }

  // On the writer's thread. The output is not replaced while something is on its way to the journal.
  Status sync_output() {
    Output* const output = synced_;
    return output != nullptr ? output->sync() : Status{};
  }

  void use_output(std::unique_ptr<Output> output) {
    synced_ = nullptr;
    output_ = std::move(output);
    synced_ = output_.get();
    output_rewinds_ = output_->end().has_value();
    output_end_ = output_->end().value_or(0);
    if (journal_ != nullptr && !output_rewinds_)
      log_.warning("the output is no file and cannot be cut: after a crash, results may be written there again");
  }

  // --- What comes in ---

  void on_message(const Received& received) {
    if (leaving_) {
      if (std::holds_alternative<Bye>(received.message)) reactor_.stop();
      return;
    }
    collector_->on_message(received, reactor_.now());
    carry_out();
  }

  Reading receive() {
    auto held = std::make_unique<Held>();
    if (!pull_->receive(held->frame)) return Reading::drained;
    if (guarded_ && !options_.keys.guest(held->frame.user_id())) {
      refuse(RefusedFor::revoked, "the key of their sender is not on the list any more");
      return Reading::more;
    }
    if (borrows_)
      if (const Status borrowed = borrow(held->frame, options_.frame_bytes_max); !borrowed) {
        on_unreadable(borrowed.error());
        return Reading::more;
      }
    const Bytes bytes = held->frame.bytes();
    take(std::move(held), bytes);
    return Reading::more;
  }

  // A worker that is dead has lost its results, as one whose connection broke.
  void on_unreadable(const Error& error) {
    if (error.code == Code::disconnected) return;
    if (!collector_->borrows()) return refuse(RefusedFor::malformed, error.message);
    collector_->on_unreadable(error, reactor_.now());
    carry_out();
  }

  void take(std::unique_ptr<Held> held, Bytes bytes) {
    Result<Received> received = decode(bytes);
    if (!received) return refuse(RefusedFor::malformed, received.error().message);
    if (const auto* part = std::get_if<Part>(&received->message)) {
      Result<Buffer> whole = parts_.add(received->envelope.incarnation, *part);
      if (!whole) return refuse(RefusedFor::malformed, whole.error().message);
      if (whole->empty()) return;
      held->whole = std::move(*whole);
      const Bytes all = held->whole;
      return take(std::move(held), all);
    }
    auto* results = std::get_if<Results>(&received->message);
    if (results == nullptr)
      return refuse(RefusedFor::out_of_place,
                    std::string{name_of(received->message)} + " does not belong on this socket");
    const JobId job = received->envelope.job;
    if (guarded_ && !bears_seal(options_.keys, job, *results, held->frame.user_id()) &&
        !bears_stream_seal(options_.keys, job, *results))
      return refuse(RefusedFor::forged, "a result has not the seal of a lease of its sender");
    held->envelope = received->envelope;
    held->results = std::move(*results);
    const FrameId id{++frames_};
    const Held& kept = *held_.emplace(id, std::move(held)).first->second;
    collector_->on_results(id, kept.envelope, kept.results);
    carry_out();
  }

  void refuse(RefusedFor reason, const std::string& why) {
    refused_.count(reason);
    if (!refusals_.allow(reactor_.now())) return;
    const std::string more =
        refusals_.held_back() > 0 ? "; " + std::to_string(refusals_.held_back()) + " more since the last line" : "";
    log_.warning("refused bytes on the results socket: " + why + more);
  }

  void tick() {
    const TimePoint now = reactor_.now();
    collector_->on_tick(now);
    if (borrows_) let_go_of_what_is_lent(now);
    if (options_.on_tick) options_.on_tick(collector_->open(), now);
    const std::string waiting = collector_->why_waiting();
    if (waiting.empty()) {
      waiting_since_ = now;
      said_waiting_ = false;
    } else if (!said_waiting_ && now - waiting_since_ > silence_max) {
      said_waiting_ = true;
      log_.info("waiting for the dispatcher at " + options_.connect.to_string() + " for 3 s: " + waiting);
    }
    carry_out();
    reactor_.call_at(
        std::clamp(collector_->next_tick(), now + std::chrono::milliseconds{1}, now + std::chrono::milliseconds{500}),
        [this] { tick(); });
  }

  // At the end of a turn: what was written in it reaches the file, and is then acknowledged in one message.
  void acknowledge() {
    if (output_ != nullptr && written_) {
      const Status flushed = output_->flush();
      if (is_waiting_for_room(flushed)) return;
      if (!flushed) output_failed(flushed.error().message);
      written_ = false;
      output_end_ = output_->end().value_or(0);
      if (std::exchange(said_full_, false)) log_.info("there is room again for the output");
    }
    collector_->on_written(reactor_.now());
    carry_out();
    if (journaled_ > snapshot_after) write_snapshot();
  }

  // Whether the disk of a durable sink is full. What is held is not acknowledged, so that credit runs out; every turn
  // tries again.
  bool is_waiting_for_room(const Status& written) {
    if (written || journal_ == nullptr || written.error().code != Code::overloaded) return false;
    if (!std::exchange(said_full_, true))
      log_.error(written.error().message + "; what comes waits until there is room");
    return true;
  }

  // All that was settled has been appended: this stands for it.
  void write_snapshot() {
    if (!collector_->has_job() || collector_->finalising() || written_) return;
    SinkEntry entry{collector_->snapshot(), output_end_, output_rewinds_, {}, {}};
    Buffer folded;
    if (fold_ != nullptr) {
      Packer packer{folded};
      fold_->pack(packer);
      entry.folded = folded;
    }
    for (const Collector::Kept& kept : collector_->waits())
      entry.kept.push_back({kept.range, bytes_of(*held_.at(kept.frame))});
    journal_->append_snapshot(0, entry_kind, pack_entry(entry));
    journaled_ = 0;
  }

  static Bytes bytes_of(const Held& held) { return held.whole.empty() ? held.frame.bytes() : held.whole.bytes(); }

  void output_failed(const std::string& why) {
    if (report_.why.empty()) report_.why = why;
    collector_->on_output_failed(why, reactor_.now());
  }

  // --- What Collector wants ---

  void carry_out() {
    for (Collector::Actions actions = collector_->take_actions(); !actions.empty();
         actions = collector_->take_actions())
      for (auto& action : actions) std::visit([this](auto& a) { act(a); }, action);
  }

  void act(Collector::Say& say) {
    if (std::holds_alternative<Hello>(say.message)) link_->drop_queue();
    link_->send(say.job, say.session, say.message);
  }
  void act(Collector::OpenOutput&) {
    Result<std::unique_ptr<Output>> output = open_output_(jobs_++);
    if (!output) {
      report_.ending = SinkEnding::failed;
      report_.why = output.error().message;
      log_.error(report_.why);
      return collector_->on_output_refused(report_.why);
    }
    use_output(std::move(*output));
    start_fold();
    collector_->on_output_opened();
  }
  void act(Collector::Write& write) {
    const Held& held = *held_.at(write.frame);
    auto failure = held.results.failures.begin();
    for (Number number = write.range.first; number < write.range.end(); ++number) {
      const auto offset = static_cast<std::uint32_t>(number - held.results.range.first);
      while (failure != held.results.failures.end() && failure->offset < offset) ++failure;
      const bool failed = failure != held.results.failures.end() && failure->offset == offset;
      write_item(
          {number, failed ? failure->outcome : Outcome::done, held.results.tries, held.results.payloads[offset]});
    }
  }
  void act(Collector::WriteOutcome& write) {
    Buffer payload;
    Packer packer{payload};
    pack_error(packer, {write.kind, write.message, {}});
    write_item({write.range.first, write.outcome, write.tries, payload, write.range.count});
  }
  void write_item(const ResultItem& item) {
    written_ = true;
    // What finds no room stays in the output.
    if (Status status = output_->write(item); !status && !is_waiting_for_room(status))
      output_failed(status.error().message);
  }
  void act(Collector::Combine& combine) {
    const Status status = this->combine(*held_.at(combine.frame), combine.range, true);
    if (!status) output_failed("the reducer '" + options_.fold + "' cannot take a result: " + status.error().message);
  }
  void act(Collector::Persist& persist) {
    SinkEntry entry{std::move(persist.record), output_end_, output_rewinds_, {}, {}};
    for (const Collector::Kept& kept : persist.kept)
      entry.kept.push_back({kept.range, bytes_of(*held_.at(kept.frame))});
    Buffer bytes = pack_entry(entry);
    journaled_ += bytes.size();
    journal_->append(persist.token, entry_kind, std::move(bytes));
  }
  // `write` failures to the output; not if they are there already.
  Status combine(const Held& held, Range range, bool write) {
    if (held.results.folded) return fold_->merge_packed(held.results.payloads[0]);
    auto failure = held.results.failures.begin();
    for (Number number = range.first; number < range.end(); ++number) {
      const auto offset = static_cast<std::uint32_t>(number - held.results.range.first);
      while (failure != held.results.failures.end() && failure->offset < offset) ++failure;
      const Bytes payload = held.results.payloads[offset];
      if (failure != held.results.failures.end() && failure->offset == offset) {
        if (write) write_item({number, failure->outcome, held.results.tries, payload});
      } else if (Status status = fold_->add_packed(payload); !status) {
        return status;
      }
    }
    return {};
  }
  void act(Collector::Release& release) { held_.erase(release.frame); }
  void act(Collector::Finalise&) {
    report_.outcomes = collector_->ledger().outcomes();
    report_.duplicates = collector_->duplicates();
    report_.refused = collector_->refused() + refused_.total() + pull_->malformed_count();
    report_.refusals = refused_;
    Status status;
    if (fold_ != nullptr) {
      Buffer value;
      Packer packer{value};
      fold_->pack(packer);
      status = output_->write_fold(value, collector_->ledger().count(Outcome::done));
    }
    if (!status && !is_waiting_for_room(status)) return output_failed(status.error().message);
    close_output();
  }
  void close_output() {
    Status status;
    if (journal_ != nullptr) {
      status = output_->flush();
      output_end_ = output_->end().value_or(0);
      if (status) status = output_->sync();
      synced_ = nullptr;  // Nothing is on its way.
    }
    if (status) status = output_->close();
    if (is_waiting_for_room(status)) {
      reactor_.call_at(reactor_.now() + room_interval, [this] { close_output(); });
      return;
    }
    if (!status) return output_failed(status.error().message);
    collector_->on_finalised(reactor_.now());
  }
  void act(Notice& notice) { log_.write(notice.level, notice.text); }
  void act(Collector::Leave& leave) {
    if (std::exchange(leaving_, true)) return;
    if (!leave.why.empty()) report_.why = leave.why;
    switch (leave.ending) {
      case Collector::Ending::done:
        break;
      case Collector::Ending::failed:
        if (report_.ending != SinkEnding::left) report_.ending = SinkEnding::failed;
        break;
      case Collector::Ending::refused:
        report_.ending = SinkEnding::refused;
        break;
      case Collector::Ending::version_mismatch:
        report_.ending = SinkEnding::version_mismatch;
        break;
    }
    if (link_->idle() && leave.ending == Collector::Ending::done && report_.ending != SinkEnding::left)
      return reactor_.stop();
    reactor_.call_at(reactor_.now() + farewell_max, [this] { reactor_.stop(); });
  }
};

Sink::Sink(Context& context, const TaskRegistry& tasks, SinkOptions options, OpenOutput open_output)
    : driver_(std::make_unique<Driver>(context, tasks, std::move(options), std::move(open_output))) {}
Sink::~Sink() = default;
Result<Endpoint> Sink::bind() { return driver_->bind(); }
Result<SinkReport> Sink::run() { return driver_->run(); }
void Sink::drain() { driver_->drain(); }
void Sink::leave() { driver_->leave(); }

}  // namespace ventile
