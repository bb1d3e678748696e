#include "tests/simulation/sink.hpp"

#include <algorithm>
#include <utility>
#include <variant>

#include <ventile/wire/pack.hpp>

#include "tests/simulation/worker.hpp"

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration tick_longest = 500ms;

}  // namespace

// --- The output --------------------------------------------------------------------------------------------------

void SimulatedOutput::record(Number number, Outcome outcome) {
  require(!closed_, "something is written to a closed output");
  if (written_.insert({number, 1}) == 0) throw Violation{"task " + std::to_string(number) + " has two outcomes"};
  ++outcomes_[static_cast<std::size_t>(outcome)];
  if (outcome != Outcome::done) failures_.emplace(number, outcome);
}

void SimulatedOutput::write(Number number, Outcome outcome, Bytes payload) {
  record(number, outcome);
  if (scenario_.ordered) {
    if (number != next_) throw Violation{"ordered output is out of order at task " + std::to_string(number)};
    next_ = number + 1;
  }
  if (outcome != Outcome::done) return;
  Buffer expected;
  write_value(scenario_, number, expected);
  if (as_text(payload) != as_text(expected))
    throw Violation{"task " + std::to_string(number) + " has the result of another"};
}

void SimulatedOutput::combine(Range range, Bytes folded) {
  for (Number number = range.first; number < range.end(); ++number) {
    record(number, Outcome::done);
    expected_sum_ += scenario_.value(number);
  }
  Unpacker unpacker{folded};
  std::uint32_t fields = 0;
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  const bool read = unpacker.read_array(fields) && unpacker.read_unsigned(count) && unpacker.read_unsigned(sum);
  require(read && count == range.count, "a folded result stands for other tasks than it says");
  sum_ += sum;
}

void SimulatedOutput::add(Number number, Bytes value) {
  record(number, Outcome::done);
  expected_sum_ += scenario_.value(number);
  std::uint64_t one = 0;
  require(Unpacker{value}.read_unsigned(one), "a value cannot be read");
  sum_ += one;
}

void SimulatedOutput::close() {
  require(!std::exchange(closed_, true), "the output is closed twice");
  require(sum_ == expected_sum_, "the fold counts something twice, or not at all");
}

// --- The process -------------------------------------------------------------------------------------------------

Sink::Sink(Network& network, const Scenario& scenario, SinkDisk& disk, std::string name, std::uint64_t identity)
    : Process(network.world(), std::move(name)),
      network_(network),
      scenario_(scenario),
      disk_(disk),
      incarnation_{identity},
      address_("results-of-" + this->name()),
      output_(scenario),
      wire_(scenario.frame_bytes_max),
      dispatcher_(network, *this, "dispatcher"),
      inbox_(scenario.frame_bytes_max) {
  CollectorOptions options;
  options.node = {0x514c, identity};
  options.incarnation = incarnation_;
  options.name = this->name();
  options.results_address = address_;
  options.fold = scenario.folded ? "sum" : "";
  options.ordered = scenario.ordered;
  options.window_tasks = scenario.sink_window_tasks;
  options.window_bytes = scenario.sink_window_bytes;
  options.ordered_window = scenario.ordered_window;
  options.durable = scenario.durable;
  collector_ = std::make_unique<Collector>(options);
}

// --- The disk ----------------------------------------------------------------------------------------------------

void Sink::restore() {
  if (!scenario_.durable) return;
  if (disk_.journal.entries.empty()) return require(disk_.output.entries.empty(), "nobody knows whose output it is");
  const std::size_t end = disk_.journal.entries.back().output_end;
  require(end <= disk_.output.entries.size(), "the journal speaks of an output that is not on the disk");
  disk_.output.entries.resize(end);
  disk_.output.written = disk_.output.durable = end;
  for (const OutputItem& item : disk_.output.entries) output_.write(item.number, item.outcome, as_bytes(item.payload));
  for (const SinkDisk::Entry& entry : disk_.journal.entries) restore(entry);
  for (const KeptFrame& kept : folded_) {
    combine(hold(kept.frame).results, kept.range, false);
  }
  trace("has " + std::to_string(collector_->ledger().count()) + " results on its disk");
  if (collector_->finalised()) output_.close();
}

void Sink::restore(const SinkDisk::Entry& entry) {
  if (entry.record.whole) {
    held_.clear();
    folded_.clear();
  }
  collector_->restore(entry.record);
  carry_out();
  for (const KeptFrame& kept : entry.kept) {
    if (scenario_.folded) {
      folded_.push_back(kept);
    } else if (const FrameId id = keep(hold(kept.frame));
               !collector_->restore_kept(id, kept.range, kept.frame->size())) {
      held_.erase(id);
    }
  }
}

// One sync at a time, of the output first; what comes meanwhile makes the next.
void Sink::sync() {
  if (syncing_ || disk_.journal.durable == disk_.journal.entries.size()) return;
  syncing_ = true;
  const std::size_t taken = disk_.journal.entries.size();
  const Duration stalled = std::max(Duration{0}, stalled_until_ - now());
  after(stalled + world().draw(Duration{0}, scenario_.disk_delay), [this, taken] {
    disk_.output.durable = disk_.output.entries.size();
    disk_.journal.written = taken;
    after(world().draw(Duration{0}, scenario_.disk_delay), [this, taken] {
      syncing_ = false;
      disk_.journal.durable = taken;
      collector_->on_persisted(disk_.journal.entries[taken - 1].token, now());
      carry_out();
      sync();
    });
  });
}

void Sink::act(const Collector::Persist& persist) {
  require(scenario_.durable, "a sink that is not durable asks for the disk");
  SinkDisk::Entry entry{persist.token, persist.record, disk_.output.entries.size(), {}};
  for (const Collector::Kept& kept : persist.kept) entry.kept.push_back({kept.range, held_.at(kept.frame).frame});
  disk_.journal.entries.push_back(std::move(entry));
}

void Sink::write_snapshot() {
  SinkDisk::Entry entry{disk_.journal.entries.back().token, collector_->snapshot(), disk_.output.entries.size(), {}};
  for (const Collector::Kept& kept : collector_->waits())
    entry.kept.push_back({kept.range, held_.at(kept.frame).frame});
  entry.kept.insert(entry.kept.end(), folded_.begin(), folded_.end());
  disk_.journal.entries.push_back(std::move(entry));
}

// What is acknowledged must be there after any crash.
void Sink::require_safe(const Message& message) {
  if (!scenario_.durable) return;
  const IntervalSet& safe = disk_.safe();
  if (const auto* stored = std::get_if<Stored>(&message)) {
    for (const Settlement& settlement : stored->settlements)
      require(settlement.verdict == Verdict::overlap || safe.contains(settlement.range),
              "an outcome was acknowledged that would be gone after a crash");
  } else if (const auto* opened = std::get_if<Opened>(&message)) {
    for (const Range range : opened->have)
      require(safe.contains(range), "a sink says that it has what would be gone after a crash");
  } else if (std::holds_alternative<Closed>(message)) {
    require(disk_.journal.entries[disk_.journal.durable - 1].record.finalised,
            "a sink says that its output is whole, and would not know after a crash");
  }
}

void Sink::write(Number number, Outcome outcome, Bytes payload) {
  output_.write(number, outcome, payload);
  if (!scenario_.durable) return;
  disk_.output.entries.push_back({number, outcome, std::string{as_text(payload)}});
  disk_.output.written = disk_.output.entries.size();
}

void Sink::start() {
  trace("starts");
  network_.listen(address_, shared_from_this(),
                  [this](const std::shared_ptr<Connection>& connection) { accept(connection); });
  dispatcher_.start(
      [this](Bytes frame) {
        wire_.unpack(frame, [this](const Received& received) {
          trace([&] { return "<- " + describe(received.message); });
          collector_->on_message(received, now());
          carry_out();
        });
      },
      [] {}, [this] { flush(); });
  restore();
  collector_->start(now());
  tick();
  run([] {});
}

void Sink::check() {
  require(collector_->ledger().settled() == output_.written() || scenario_.ordered,
          "the sink's ledger is not what it has written");
}

void Sink::turn() {
  carry_out();
  collector_->on_written(now());
  carry_out();
  if (!scenario_.durable) return;
  if (!collector_->finalising() && disk_.journal.entries.size() > disk_.journal.durable &&
      world().random().chance(0.02))
    write_snapshot();
  sync();
}

void Sink::tick() {
  collector_->on_tick(now());
  carry_out();
  after(std::clamp(collector_->next_tick() - now(), Duration{1ms}, tick_longest), [this] { tick(); });
}

// --- Results -----------------------------------------------------------------------------------------------------

// One frame after the other, each in its time: a slow sink makes its workers wait.
void Sink::accept(const std::shared_ptr<Connection>& connection) {
  connection->attach(Side::server,
                     [this, weak = std::weak_ptr(connection)](Buffer frame) {
                       unread_.push_back([this, weak, frame = std::move(frame)]() mutable {
                         if (const auto from = weak.lock()) from->read(Side::server);
                         take(std::move(frame));
                       });
                       serve();
                     },
                     {});
}

void Sink::serve() {
  if (serving_ || unread_.empty()) return;
  serving_ = true;
  after(scenario_.sink_service, [this] {
    serving_ = false;
    Callback next = std::move(unread_.front());
    unread_.pop_front();
    next();
    serve();
  });
}

void Sink::take(Buffer frame) {
  std::optional<HeldResults> held = inbox_.take(std::move(frame));
  if (!held) return;
  trace([&] { return "<- " + describe(held->results); });
  const FrameId id = keep(std::move(*held));
  const HeldResults& kept = held_.at(id);
  collector_->on_results(id, kept.envelope, kept.results);
  carry_out();
}

FrameId Sink::keep(HeldResults held) {
  const FrameId id{++frames_};
  held_.emplace(id, std::move(held));
  return id;
}

// --- What Collector wants ----------------------------------------------------------------------------------------

void Sink::carry_out() {
  for (Collector::Actions actions = collector_->take_actions(); !actions.empty(); actions = collector_->take_actions())
    for (const auto& action : actions) std::visit([this](const auto& a) { act(a); }, action);
  flush();
}

void Sink::act(const Collector::Say& say) {
  trace([&] { return "-> " + describe(say.message); });
  require_safe(say.message);
  if (std::holds_alternative<Hello>(say.message)) to_dispatcher_.clear();
  for (Buffer& frame : wire_.pack({say.job, incarnation_, say.session, ++sequence_}, say.message))
    to_dispatcher_.push_back(std::move(frame));
}
void Sink::act(const Collector::OpenOutput&) { collector_->on_output_opened(); }
void Sink::act(const Collector::Write& write) {
  const Results& results = held_.at(write.frame).results;
  for (Number number = write.range.first; number < write.range.end(); ++number) {
    const auto offset = static_cast<std::uint32_t>(number - results.range.first);
    this->write(number, outcome_of(results, number), results.payloads[offset]);
  }
}
void Sink::act(const Collector::WriteOutcome& write) {
  for (Number number = write.range.first; number < write.range.end(); ++number) this->write(number, write.outcome, {});
}
void Sink::act(const Collector::Combine& combine) {
  const HeldResults& held = held_.at(combine.frame);
  if (scenario_.durable) folded_.push_back({combine.range, held.frame});
  this->combine(held.results, combine.range, true);
}
// `write` failures to the output; not if they are there already.
void Sink::combine(const Results& results, Range range, bool write) {
  if (results.folded) return output_.combine(range, results.payloads[0]);
  for (Number number = range.first; number < range.end(); ++number) {
    const Outcome outcome = outcome_of(results, number);
    if (outcome == Outcome::done)
      output_.add(number, results.payloads[static_cast<std::uint32_t>(number - results.range.first)]);
    else if (write)
      this->write(number, outcome, {});
  }
}
void Sink::act(const Collector::Release& release) { held_.erase(release.frame); }
void Sink::act(const Collector::Finalise&) {
  output_.close();
  collector_->on_finalised(now());
}
void Sink::act(const Collector::Leave& leave) {
  trace("leaves: " + leave.why);
  left_well_ = leave.ending == Collector::Ending::done;
  after(500ms, [this] { exit(); });
}
void Sink::act(const Notice& notice) { trace(notice.text); }

void Sink::flush() {
  for (; dispatcher_.connected() && !to_dispatcher_.empty(); to_dispatcher_.pop_front())
    dispatcher_.send(std::move(to_dispatcher_.front()));
}

}  // namespace ventile::simulation
