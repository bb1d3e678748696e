#include "tests/simulation/client.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration tick_longest = 500ms;
constexpr std::array<std::byte, 8192> zeros{};  // What tasks are made of.

}  // namespace

SubmissionOptions Client::submission_options(const Scenario& scenario, const std::string& name,
                                             const std::string& address, std::uint64_t identity) {
  SubmissionOptions options;
  options.node = {0xc11e, identity};
  options.incarnation = {identity};
  options.name = name;
  options.results_address = address;
  options.window_tasks = scenario.sink_window_tasks;
  options.window_bytes = scenario.sink_window_bytes;
  options.bytes_of = [&scenario](JobId, Range range) {
    std::uint64_t bytes = 0;
    for (Number number = range.first; number < range.end(); ++number) bytes += scenario.bytes(number);
    return bytes;
  };
  return options;
}

Client::Client(Network& network, const Scenario& scenario, std::string its_name, std::uint64_t identity)
    : Process(network.world(), std::move(its_name)),
      network_(network),
      scenario_(scenario),
      incarnation_{identity},
      address_("results-of-" + name()),
      submission_(submission_options(scenario, name(), address_, identity)),
      wire_(scenario.frame_bytes_max),
      dispatcher_(network, *this, "dispatcher"),
      inbox_(scenario.frame_bytes_max) {}

void Client::start(std::uint64_t jobs) {
  network_.listen(address_, shared_from_this(),
                  [this](const std::shared_ptr<Connection>& connection) { accept(connection); });
  dispatcher_.start(
      [this](Bytes frame) {
        wire_.unpack(frame, [this](const Received& received) {
          trace([&] { return "<- " + describe(received.message); });
          submission_.on_message(received, now());
          carry_out();
        });
      },
      [] {}, [this] { flush(); });
  submission_.start(now());
  for (std::uint64_t i = 1; i <= jobs; ++i)
    after(world().draw(0s, 3s), [this, id = JobId{incarnation_.value, i}] { open(id); });
  for (std::uint64_t i = 1; i <= jobs; ++i) jobs_.try_emplace(JobId{incarnation_.value, i}, scenario_);
  tick();
  run([] {});
}

bool Client::done() const {
  return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) { return entry.second.over; });
}

void Client::tick() {
  submission_.on_tick(now());
  carry_out();
  after(std::clamp(submission_.next_tick() - now(), Duration{1ms}, tick_longest), [this] { tick(); });
}

void Client::turn() {
  carry_out();
  submission_.on_turn_end();
  carry_out();
}

// --- Jobs --------------------------------------------------------------------------------------------------------

void Client::open(JobId id) {
  Job& job = jobs_.at(id);
  job.tasks = world().random().between(0, scenario_.tasks);
  Submit submit;
  submit.name = "simulated";
  submit.function = "work";
  submit.index.enabled = scenario_.index_job;
  submit.tries_max = scenario_.tries_max;
  submit.priority = static_cast<std::int64_t>(world().random().below(3));
  submit.fold = scenario_.folded ? "sum" : "";
  submit.once = scenario_.fails_lost;
  submission_.open(id, std::move(submit));
  read_input(id);
  if (scenario_.cancel) after(world().draw(0s, 8s), [this, id] { cancel_some(id); });
}

void Client::read_input(JobId id) {
  Job& job = jobs_.at(id);
  const std::uint64_t left = job.tasks - job.submitted;
  const bool at_once = scenario_.input_interval == Duration{0};
  const std::uint64_t count = at_once ? left : std::min(left, world().random().between(1, job.tasks / 10 + 1));
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < count; ++i) bytes += scenario_.bytes(job.submitted + i);
  job.payloads.insert({job.submitted, count});
  require(submission_.submit(id, count, bytes) == Range{job.submitted, count}, "numbers are not given out in order");
  job.submitted += count;
  if (job.submitted == job.tasks) return submission_.complete(id);
  after(world().draw(Duration{0}, 2 * scenario_.input_interval), [this, id] { read_input(id); });
}

void Client::cancel_some(JobId id) {
  Job& job = jobs_.at(id);
  if (job.over || job.submitted == 0) return;
  const Number first = world().random().below(job.submitted);
  job.cancelled = true;
  submission_.settle(id, {first, world().random().between(1, job.submitted - first)}, Outcome::cancelled, "not wanted");
}

// --- Results -----------------------------------------------------------------------------------------------------

void Client::accept(const std::shared_ptr<Connection>& connection) {
  connection->attach(Side::server,
                     [this, weak = std::weak_ptr(connection)](Buffer frame) {
                       if (const auto from = weak.lock()) from->read(Side::server);
                       take(std::move(frame));
                     },
                     {});
}

void Client::take(Buffer frame) {
  std::optional<HeldResults> held = inbox_.take(std::move(frame));
  if (!held) return;
  trace([&] { return "<- " + describe(held->results); });
  const FrameId id{++frames_};
  const HeldResults& kept = held_.emplace(id, std::move(*held)).first->second;
  submission_.on_results(id, kept.envelope, kept.results);
  carry_out();
}

void Client::act(const Submission::Deliver& deliver) {
  const Results& results = held_.at(deliver.frame).results;
  SimulatedOutput& output = jobs_.at(deliver.job).output;
  if (results.folded) return output.combine(deliver.range, results.payloads[0]);
  for (Number number = deliver.range.first; number < deliver.range.end(); ++number) {
    const auto offset = static_cast<std::uint32_t>(number - results.range.first);
    const Outcome outcome = outcome_of(results, number);
    if (outcome == Outcome::done && scenario_.folded)
      output.add(number, results.payloads[offset]);
    else
      output.write(number, outcome, results.payloads[offset]);
  }
}
void Client::act(const Submission::DeliverOutcome& outcome) {
  SimulatedOutput& output = jobs_.at(outcome.job).output;
  for (Number number = outcome.range.first; number < outcome.range.end(); ++number)
    output.write(number, outcome.outcome, {});
}
void Client::act(const Submission::Release& release) { held_.erase(release.frame); }

// --- What Submission wants ---------------------------------------------------------------------------------------

void Client::carry_out() {
  for (Submission::Actions actions = submission_.take_actions(); !actions.empty(); actions = submission_.take_actions())
    for (const auto& action : actions) std::visit([this](const auto& a) { act(a); }, action);
  flush();
}

void Client::act(const Submission::Say& say) {
  trace([&] { return "-> " + describe(say.message); });
  if (std::holds_alternative<Hello>(say.message)) to_dispatcher_.clear();
  send({say.job, incarnation_, say.session, ++sequence_}, say.message, PayloadWriter{frame_header_size});
}

void Client::act(const Submission::SendOffer& offer) {
  Range rest = offer.range;
  if (world().tracing()) trace("-> OFFER up to " + std::to_string(rest.end()) + (offer.bare ? ", bare" : ""));
  require(offer.bare || jobs_.at(offer.job).payloads.contains(rest), "a task is offered whose payload is gone");
  while (!rest.empty()) {
    PayloadWriter payloads{frame_header_size};
    std::uint64_t count = offer.bare ? rest.count : 0;
    const std::size_t room = scenario_.frame_bytes_max - 3 * frame_header_size;
    while (!offer.bare && count < rest.count) {
      const std::uint64_t bytes = scenario_.bytes(rest.first + count);
      if (count > 0 && payloads.section_size() + bytes + sizeof(std::uint32_t) > room) break;
      payloads.append(Bytes{zeros}.first(bytes));
      ++count;
    }
    send({offer.known_as, incarnation_, offer.session, ++sequence_}, Offer{{rest.first, count}, {}},
         std::move(payloads));
    rest = {rest.first + count, rest.count - count};
  }
}

void Client::act(const Submission::DropPayloads& drop) { jobs_.at(drop.job).payloads.erase(drop.range); }
void Client::act(const Submission::Over& over) {
  Job& job = jobs_.at(over.job);
  if (!over.error.empty()) throw Violation{"a job was given up: " + over.error};
  require(!std::exchange(job.over, true), "a job is over twice");
  const Range all{0, job.tasks};
  require(job.output.written().count() == job.tasks && job.output.written().contains(all),
          "a job is over, and not all of its tasks have an outcome");
  job.output.close();
}
void Client::act(const Submission::Leave& leave) { throw Violation{"a client left: " + leave.why}; }
void Client::act(const Notice& notice) {
  trace(notice.text);
  require(notice.level != Level::error, notice.text.c_str());
}

void Client::send(const Envelope& envelope, const Message& message, PayloadWriter&& payloads) {
  for (Buffer& frame : wire_.pack(envelope, message, std::move(payloads))) to_dispatcher_.push_back(std::move(frame));
}

void Client::flush() {
  for (; dispatcher_.connected() && !to_dispatcher_.empty(); to_dispatcher_.pop_front())
    dispatcher_.send(std::move(to_dispatcher_.front()));
}

}  // namespace ventile::simulation
