#include "tests/simulation/kept_client.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

#include <ventile/queue/settlement.hpp>

namespace ventile::simulation {
namespace {

using namespace std::chrono_literals;

constexpr Duration tick_longest = 500ms;
constexpr std::array<std::byte, 8192> zeros{};  // What tasks are made of.

SubmissionOptions options_of(const Scenario& scenario, const std::string& name, std::uint64_t identity) {
  SubmissionOptions options;
  options.node = {0xc11e, identity};
  options.incarnation = {identity};
  options.name = name;
  options.window_bytes = scenario.sink_window_bytes;
  options.bytes_of = [&scenario](JobId, Range range) {
    std::uint64_t bytes = 0;
    for (Number number = range.first; number < range.end(); ++number) bytes += scenario.bytes(number);
    return bytes;
  };
  return options;
}

}  // namespace

KeptClient::KeptClient(Network& network, const Scenario& scenario, KeptJob& job, std::uint64_t identity)
    : Process(network.world(), "client-" + std::to_string(identity)),
      scenario_(scenario),
      job_(job),
      incarnation_{identity},
      submission_(options_of(scenario, name(), identity)),
      wire_(scenario.frame_bytes_max),
      dispatcher_(network, *this, "dispatcher"),
      output_(scenario) {}

void KeptClient::start() {
  dispatcher_.start([this](Bytes frame) { hear(frame); }, [] {}, [this] { flush(); });
  submission_.start(now());
  job_.handed_over ? fetch() : submit();
  tick();
  run([] {});
}

void KeptClient::tick() {
  submission_.on_tick(now());
  carry_out();
  after(std::clamp(submission_.next_tick() - now(), Duration{1ms}, tick_longest), [this] { tick(); });
}

void KeptClient::turn() {
  carry_out();
  submission_.on_turn_end();
  carry_out();
}

// --- Bringing ----------------------------------------------------------------------------------------------------

void KeptClient::submit() {
  trace("brings " + job_.name);
  Submit submit;
  submit.name = job_.name;
  submit.function = "work";
  submit.index.enabled = scenario_.index_job;
  submit.tries_max = scenario_.tries_max;
  submit.fold = scenario_.folded ? "sum" : "";
  submit.kept = true;
  submit.source = std::to_string(job_.tasks) + " tasks";
  submission_.open(bringing(), std::move(submit));
  read_input();
}

void KeptClient::read_input() {
  if (!submission_.has_job(bringing())) return;
  const std::uint64_t left = job_.tasks - submitted_;
  const bool at_once = scenario_.input_interval == Duration{0};
  const std::uint64_t count = at_once ? left : std::min(left, world().random().between(1, job_.tasks / 10 + 1));
  std::uint64_t bytes = 0;
  for (std::uint64_t i = 0; i < count; ++i) bytes += scenario_.bytes(submitted_ + i);
  submission_.submit(bringing(), count, bytes);
  submitted_ += count;
  if (submitted_ == job_.tasks) return submission_.complete(bringing());
  after(world().draw(Duration{0}, 2 * scenario_.input_interval), [this] { read_input(); });
}

void KeptClient::act(const Submission::SendOffer& offer) {
  Range rest = offer.range;
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

void KeptClient::act(const Submission::Kept& kept) {
  if (!kept.complete) return;
  require(kept.submitted == job_.tasks, "the broker has the whole of another job");
  job_.handed_over = true;
  submission_.detach(bringing());
  if (world().random().chance(0.5)) return fetch();
  trace("leaves " + job_.name + " to the broker");
  submission_.leave();
  after(world().draw(0s, 1s), [this] { exit(); });
}

// --- Fetching ----------------------------------------------------------------------------------------------------

void KeptClient::fetch() {
  trace("fetches " + job_.name);
  submission_.fetch(fetching(), {job_.name, scenario_.folded ? "sum" : "", scenario_.ordered, {}, {}});
}

void KeptClient::hear(Bytes frame) {
  wire_.unpack(frame, [this](const Received& received) {
    trace([&] { return "<- " + describe(received.message); });
    if (std::holds_alternative<Results>(received.message))
      take(received);
    else
      submission_.on_message(received, now());
    carry_out();
  });
}

void KeptClient::take(const Received& received) {
  const auto& results = std::get<Results>(received.message);
  PayloadWriter payloads{frame_header_size};
  payloads.append(results.payloads, 0, results.payloads.count());
  const FrameId id{++frames_};
  const HeldResults& held =
      held_.emplace(id, hold(std::make_shared<const Buffer>(encode(received.envelope, results, std::move(payloads)))))
          .first->second;
  submission_.on_part(now());
  submission_.on_results(id, held.envelope, held.results);
}

// Of the outcomes that its clients were given none may change.
void KeptClient::see(Number number, Outcome outcome) {
  const auto [it, fresh] = job_.seen.emplace(number, outcome);
  require(fresh || it->second == outcome, "a task has one outcome for one client, and another for the next");
}

void KeptClient::act(const Submission::Deliver& deliver) {
  const Results& results = held_.at(deliver.frame).results;
  after(world().draw(0s, 100ms),
        [this, bytes = bytes_of(results, deliver.range)] { submission_.taken(fetching(), bytes); });
  if (results.folded) {
    for (Number number = deliver.range.first; number < deliver.range.end(); ++number) see(number, Outcome::done);
    return output_.combine(deliver.range, results.payloads[0]);
  }
  for (Number number = deliver.range.first; number < deliver.range.end(); ++number) {
    const auto offset = static_cast<std::uint32_t>(number - results.range.first);
    const Outcome outcome = outcome_of(results, number);
    see(number, outcome);
    if (outcome == Outcome::done && scenario_.folded)
      output_.add(number, results.payloads[offset]);
    else
      output_.write(number, outcome, results.payloads[offset]);
  }
}

void KeptClient::act(const Submission::DeliverOutcome& outcome) {
  for (Number number = outcome.range.first; number < outcome.range.end(); ++number) {
    see(number, outcome.outcome);
    output_.write(number, outcome.outcome, {});
  }
}

void KeptClient::act(const Submission::Whole& whole) {
  require(whole.total == job_.tasks, "a job is whole, and has not all its tasks");
  require(output_.written().count() == job_.tasks, "a job is whole, and not all of its results have come");
  output_.close();
  after(world().draw(0s, 1s), [this] {
    job_.safe = true;
    submission_.confirm(fetching());
  });
}

void KeptClient::act(const Submission::Over& over) {
  if (!over.error.empty() && !(over.job == fetching() && job_.safe))
    throw Violation{"a job was given up: " + over.error};
  require(over.job == fetching() && job_.safe, "a job is over before anybody has its results");
  job_.over = true;
}

// --- Talking -----------------------------------------------------------------------------------------------------

void KeptClient::carry_out() {
  for (Submission::Actions actions = submission_.take_actions(); !actions.empty(); actions = submission_.take_actions())
    for (const auto& action : actions) std::visit([this](const auto& a) { act(a); }, action);
  flush();
}

void KeptClient::act(const Submission::Say& say) {
  trace([&] { return "-> " + describe(say.message); });
  if (std::holds_alternative<Hello>(say.message)) to_dispatcher_.clear();
  send({say.job, incarnation_, say.session, ++sequence_}, say.message, PayloadWriter{frame_header_size});
}

void KeptClient::act(const Notice& notice) {
  trace(notice.text);
  require(notice.level != Level::error, notice.text.c_str());
}

void KeptClient::send(const Envelope& envelope, const Message& message, PayloadWriter&& payloads) {
  for (Buffer& frame : wire_.pack(envelope, message, std::move(payloads))) to_dispatcher_.push_back(std::move(frame));
}

void KeptClient::flush() {
  for (; dispatcher_.connected() && !to_dispatcher_.empty(); to_dispatcher_.pop_front())
    dispatcher_.send(std::move(to_dispatcher_.front()));
}

}  // namespace ventile::simulation
