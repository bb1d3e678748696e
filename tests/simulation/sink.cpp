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

Sink::Sink(Network& network, const Scenario& scenario, std::string name, std::uint64_t identity)
    : Process(network.world(), std::move(name)),
      network_(network),
      scenario_(scenario),
      incarnation_{identity},
      address_("results-of-" + this->name()),
      output_(scenario),
      wire_(scenario.frame_bytes_max),
      dispatcher_(network, *this, "dispatcher") {
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
  collector_ = std::make_unique<Collector>(options);
}

void Sink::start() {
  trace("starts");
  network_.listen(address_, shared_from_this(),
                  [this](const std::shared_ptr<Connection>& connection) { accept(connection); });
  dispatcher_.start(
      [this](Bytes frame) {
        wire_.unpack(frame, [this](const Received& received) {
          trace("<- " + describe(received.message));
          collector_->on_message(received, now());
          carry_out();
        });
      },
      [] {}, [this] { flush(); });
  collector_->start(now());
  tick();
  run([] {});
}

void Sink::check() {
  if (!std::exchange(turned_, false)) return;
  require(collector_->ledger().settled() == output_.written() || scenario_.ordered,
          "the sink's ledger is not what it has written");
}

void Sink::turn() {
  turned_ = true;
  carry_out();
  collector_->on_written(now());
  carry_out();
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
                     [this, weak = std::weak_ptr(connection)](Bytes frame) {
                       auto copy = std::make_shared<Buffer>();
                       copy->append(frame);
                       unread_.push_back([this, weak, copy] {
                         if (const auto from = weak.lock()) from->read(Side::server);
                         take(*copy);
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
    const auto next = std::move(unread_.front());
    unread_.pop_front();
    next();
    serve();
  });
}

void Sink::take(Bytes bytes) {
  const Result<Received> first = decode(bytes);
  require(static_cast<bool>(first), "a frame of results is malformed");
  Wire& wire = workers_.try_emplace(first->envelope.incarnation, scenario_.frame_bytes_max).first->second;
  wire.unpack(bytes, [this](const Received& received) {
    trace("<- " + describe(received.message));
    // Its views must outlive the frame that it came in.
    const auto& results = std::get<Results>(received.message);
    PayloadWriter payloads{frame_header_size};
    payloads.append(results.payloads, 0, results.payloads.count());
    const FrameId id{++frames_};
    Held& held = held_[id];
    held.frame = encode(received.envelope, results, std::move(payloads));
    const Result<Received> kept = decode(held.frame);
    held.envelope = kept->envelope;
    held.results = std::get<Results>(kept->message);
    collector_->on_results(id, held.envelope, held.results);
    carry_out();
  });
}

// --- What Collector wants ----------------------------------------------------------------------------------------

void Sink::carry_out() {
  for (Collector::Actions actions = collector_->take_actions(); !actions.empty(); actions = collector_->take_actions())
    for (const auto& action : actions) std::visit([this](const auto& a) { act(a); }, action);
  flush();
}

void Sink::act(const Collector::Say& say) {
  trace("-> " + describe(say.message));
  if (std::holds_alternative<Hello>(say.message)) to_dispatcher_.clear();
  for (Buffer& frame : wire_.pack({say.job, incarnation_, say.session, ++sequence_}, say.message))
    to_dispatcher_.push_back(std::move(frame));
}
void Sink::act(const Collector::OpenOutput&) { collector_->on_output_opened(); }
void Sink::act(const Collector::Write& write) {
  const Results& results = held_.at(write.frame).results;
  for (Number number = write.range.first; number < write.range.end(); ++number) {
    const auto offset = static_cast<std::uint32_t>(number - results.range.first);
    const auto failure = std::find_if(results.failures.begin(), results.failures.end(),
                                      [&](const Failure& one) { return one.offset == offset; });
    output_.write(number, failure == results.failures.end() ? Outcome::done : failure->outcome,
                  results.payloads[offset]);
  }
}
void Sink::act(const Collector::WriteOutcome& write) {
  for (Number number = write.range.first; number < write.range.end(); ++number)
    output_.write(number, write.outcome, {});
}
void Sink::act(const Collector::Combine& combine) {
  const Results& results = held_.at(combine.frame).results;
  if (results.folded) return output_.combine(combine.range, results.payloads[0]);
  for (Number number = combine.range.first; number < combine.range.end(); ++number) {
    const auto offset = static_cast<std::uint32_t>(number - results.range.first);
    const auto failure = std::find_if(results.failures.begin(), results.failures.end(),
                                      [&](const Failure& one) { return one.offset == offset; });
    failure == results.failures.end() ? output_.add(number, results.payloads[offset])
                                      : output_.write(number, failure->outcome, {});
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
