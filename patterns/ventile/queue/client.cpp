#include <ventile/queue/client.hpp>

#include <utility>

#include <ventile/net/lending.hpp>
#include <ventile/queue/names.hpp>

namespace ventile {
namespace {

constexpr Duration silence_max = std::chrono::seconds{3};  // Then whoever waits says what for.
constexpr Duration farewell_max = std::chrono::milliseconds{300};
constexpr Duration refusal_interval = std::chrono::seconds{5};
constexpr Duration tick_longest = std::chrono::milliseconds{500};

}  // namespace

struct Client::Held {
  std::shared_ptr<const void> memory;  // What the views point into.
  Results results;
  IncarnationId worker;
};

Client::Client(Context& context, Reactor& reactor, ClientOptions options)
    : context_(context),
      reactor_(reactor),
      options_(std::move(options)),
      log_(options_.log),
      incarnation_(random_incarnation()),
      refusals_(refusal_interval) {}

Client::~Client() {
  if (pull_ != nullptr) reactor_.remove(*pull_);
}

Status Client::start() {
  SubmissionOptions submission;
  if (options_.results && options_.keys)
    return Error{Code::invalid, "with keys, results come by way of the broker: workers know the key of no client"};
  if (options_.results) {
    PullOptions pull{.connection = {.frame_bytes_max = static_cast<std::int64_t>(options_.frame_bytes_max)}};
    pull_ = std::make_unique<PullSocket>(context_, pull);
    const Result<Endpoint> bound = pull_->bind(*options_.results);
    if (!bound) return bound.error();
    submission.results_address = bound->to_string();
    reactor_.add(*pull_, [this] { return receive(); });
  }
  assign_random(submission.node);
  submission.incarnation = incarnation_;
  submission.name = options_.name.empty() ? host_and_process() : options_.name;
  submission.build = options_.build;
  if (!options_.keys && options_.connect.transport != Transport::inproc) submission.machine = machine_of_process();
  submission.window_tasks = options_.window_tasks;
  submission.window_bytes = options_.window_bytes;
  submission.bytes_of = [this](JobId id, Range range) {
    const auto it = jobs_.find(id);
    return it == jobs_.end() ? 0 : it->second.store.bytes_of(range);
  };
  submission_ = std::make_unique<Submission>(std::move(submission));
  link_ = std::make_unique<Link>(
      context_, reactor_, incarnation_, options_.frame_bytes_max,
      [this](const Received& received, const std::shared_ptr<const void>& memory) { on_message(received, memory); },
      [this](const Error& error, std::optional<std::uint16_t> version) {
        submission_->on_malformed(error, version);
        carry_out();
      },
      [this] { submission_->on_part(reactor_.now()); }, options_.keys);
  borrows_ = submission_->borrows();
  if (borrows_) link_->borrow([this](const Error& error) { on_unreadable(error); });
  if (Status connected = link_->connect(options_.connect, log_); !connected) return connected;
  reactor_.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    waiting_since_ = reactor_.now();
    submission_->start(reactor_.now());
    carry_out();
    schedule();
  });
  return {};
}

// --- What its owner wants ----------------------------------------------------------------------------------------

JobId Client::begin(std::shared_ptr<JobListener> listener, const std::function<void(JobId)>& say) {
  JobId id;
  assign_random(id);
  if (!left_.empty()) {
    listener->on_over(left_);
    return id;
  }
  jobs_[id].listener = std::move(listener);
  say(id);
  carry_out();
  return id;
}

JobId Client::open(Submit specification, std::shared_ptr<JobListener> listener) {
  return begin(std::move(listener), [&](JobId id) { submission_->open(id, std::move(specification)); });
}

JobId Client::fetch(Fetch fetch, std::shared_ptr<JobListener> listener) {
  return begin(std::move(listener), [&](JobId id) { submission_->fetch(id, std::move(fetch)); });
}

void Client::taken(JobId id, std::uint64_t bytes) {
  submission_->taken(id, bytes);
  carry_out();
}

void Client::confirm(JobId id) {
  submission_->confirm(id);
  carry_out();
}

void Client::detach(JobId id) {
  submission_->detach(id);
  jobs_.erase(id);
}

void Client::submit(JobId id, PayloadWriter&& payloads) {
  auto it = jobs_.find(id);
  if (it == jobs_.end() || payloads.count() == 0) return;
  // The store first: what is submitted may be offered at once.
  const Range range{submission_->submitted(id), payloads.count()};
  const std::uint64_t bytes = payloads.size();
  it->second.store.add(range, std::move(payloads));
  submission_->submit(id, range.count, bytes);
  carry_out();
}

void Client::submit_index(JobId id, std::uint64_t count) {
  if (!submission_->has_job(id)) return;
  submission_->submit(id, count, 0);
  carry_out();
}

void Client::complete(JobId id) {
  if (!submission_->has_job(id)) return;
  submission_->complete(id);
  carry_out();
}

void Client::settle(JobId id, Range range, Outcome outcome, const std::string& message) {
  submission_->settle(id, range, outcome, message);
  carry_out();
}

void Client::ask(Message question, std::function<void(const Message&)> on_answer) {
  questions_.push_back(std::move(on_answer));
  submission_->ask(std::move(question));
  carry_out();
}

void Client::leave(std::function<void()> done) {
  leaving_ = true;
  on_gone_ = std::move(done);
  const bool was_open = submission_->is_open();
  submission_->leave();
  carry_out();
  if (!was_open) return gone();
  reactor_.call_at(reactor_.now() + farewell_max, [this, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) gone();
  });
}

void Client::gone() {
  if (auto done = std::exchange(on_gone_, {})) done();
}

// --- What comes in -----------------------------------------------------------------------------------------------

void Client::on_message(const Received& received, const std::shared_ptr<const void>& memory) {
  if (leaving_) {
    if (std::holds_alternative<Bye>(received.message)) gone();
    return;
  }
  if (std::holds_alternative<Results>(received.message)) {
    submission_->on_part(reactor_.now());
    return take_results(received, memory);
  }
  submission_->on_message(received, reactor_.now());
  carry_out();
}

Reading Client::receive() {
  auto frame = std::make_shared<Frame>();
  if (!pull_->receive(*frame)) return Reading::drained;
  if (borrows_)
    if (const Status borrowed = borrow(*frame, options_.frame_bytes_max); !borrowed) {
      on_unreadable(borrowed.error());
      return Reading::more;
    }
  const Bytes bytes = frame->bytes();
  take(bytes, std::move(frame));
  return Reading::more;
}

// Whoever lent it and is dead has lost it, as if a connection had broken.
void Client::on_unreadable(const Error& error) {
  if (error.code == Code::disconnected) return;
  submission_->on_unreadable(error, reactor_.now());
  carry_out();
}

void Client::take(Bytes bytes, const std::shared_ptr<const void>& memory) {
  const Result<Received> received = decode(bytes);
  if (!received) return refuse(received.error().message);
  if (const auto* part = std::get_if<Part>(&received->message)) {
    Result<Buffer> whole = parts_[received->envelope.incarnation].add(*part);
    if (!whole) return refuse(whole.error().message);
    if (whole->empty()) return;
    auto kept = std::make_shared<Buffer>(std::move(*whole));
    const Bytes all = kept->bytes();
    return take(all, std::move(kept));
  }
  if (!std::holds_alternative<Results>(received->message))
    return refuse(std::string{name_of(received->message)} + " does not belong on this socket");
  take_results(*received, memory);
}

void Client::take_results(const Received& received, const std::shared_ptr<const void>& memory) {
  const FrameId id{++frames_};
  auto held = std::make_shared<Held>(Held{memory, std::get<Results>(received.message), received.envelope.incarnation});
  const Held& kept = *held_.emplace(id, std::move(held)).first->second;
  submission_->on_results(id, received.envelope, kept.results);
  carry_out();
}

void Client::refuse(const std::string& why) {
  if (refusals_.allow(reactor_.now())) log_.warning("refused bytes on the results socket: " + why);
}

// --- Time --------------------------------------------------------------------------------------------------------

void Client::on_turn_end() {
  if (!submission_) return;
  submission_->on_turn_end();
  carry_out();
}

void Client::schedule() {
  const TimePoint now = reactor_.now();
  tick_ = reactor_.call_at(std::clamp(submission_->next_tick(), now + std::chrono::milliseconds{1}, now + tick_longest),
                           [this, alive = std::weak_ptr(alive_)] {
                             if (!alive.expired()) tick();
                           });
}

void Client::tick() {
  const TimePoint now = reactor_.now();
  if (borrows_) let_go_of_what_is_lent(now);
  submission_->on_tick(now);
  if (submission_->is_open()) {
    waiting_since_ = now;
    said_waiting_ = false;
  } else if (!leaving_ && !said_waiting_ && now - waiting_since_ > silence_max) {
    said_waiting_ = true;
    log_.info("waiting for a broker at " + options_.connect.to_string() + "; none has answered for 3 s");
  }
  carry_out();
  schedule();
}

// --- What Submission wants ---------------------------------------------------------------------------------------

void Client::carry_out() {
  for (Submission::Actions actions = submission_->take_actions(); !actions.empty();
       actions = submission_->take_actions())
    for (auto& action : actions) std::visit([this](auto& a) { act(a); }, action);
}

void Client::act(Submission::Say& say) {
  if (std::holds_alternative<Hello>(say.message)) link_->drop_queue();
  link_->send(say.job, say.session, say.message);
}

void Client::act(Submission::SendOffer& offer) {
  auto it = jobs_.find(offer.job);
  if (it == jobs_.end()) return;
  if (offer.bare) return link_->send(offer.known_as, offer.session, Offer{offer.range, {}});
  Range rest = offer.range;
  while (!rest.empty()) {
    const std::uint64_t count = send_some(offer, rest, it->second.store);
    rest = {rest.first + count, rest.count - count};
  }
}

// The first of these tasks, as many as one message holds; returns how many. Large payloads are sent from where they are
// stored.
std::uint64_t Client::send_some(const Submission::SendOffer& offer, Range wanted, PayloadStore& store) {
  const std::size_t section_bytes_max = options_.frame_bytes_max - 2 * frame_header_size;
  const Envelope envelope = link_->next_envelope(offer.known_as, offer.session);
  Range range = wanted;
  const auto lent = store.lend(wanted, section_bytes_max, [&](Buffer&& section, std::uint32_t count) {
    range.count = count;
    return encode(envelope, Offer{range, {}}, std::move(section), count);
  });
  if (lent != nullptr) {
    link_->send_encoded(lent, envelope);
    return range.count;
  }
  PayloadWriter payloads{frame_header_size};
  range.count = store.copy({wanted.first, store.until_lendable(wanted)}, section_bytes_max, payloads);
  link_->send(envelope, Offer{range, {}}, std::move(payloads));
  return range.count;
}

void Client::act(Submission::Deliver& deliver) {
  auto it = jobs_.find(deliver.job);
  if (it == jobs_.end()) return;
  const std::shared_ptr<const Held>& held = held_.at(deliver.frame);
  it->second.listener->on_results({deliver.range, &held->results, held, submission_->worker_name(held->worker)});
}

void Client::act(Submission::DeliverOutcome& outcome) {
  if (auto it = jobs_.find(outcome.job); it != jobs_.end()) it->second.listener->on_outcome(outcome);
}

void Client::act(Submission::DropPayloads& drop) {
  if (auto it = jobs_.find(drop.job); it != jobs_.end()) it->second.store.release(drop.range);
}

void Client::act(Submission::Kept& kept) {
  if (auto it = jobs_.find(kept.job); it != jobs_.end()) it->second.listener->on_kept(kept);
}

void Client::act(Submission::Whole& whole) {
  if (auto it = jobs_.find(whole.job); it != jobs_.end()) it->second.listener->on_whole(whole.total);
}

void Client::act(Submission::Over& over) {
  auto it = jobs_.find(over.job);
  if (it == jobs_.end()) return;
  const std::shared_ptr<JobListener> listener = std::move(it->second.listener);
  jobs_.erase(it);
  if (over.cancelled) listener->on_cancelled();
  listener->on_over(over.error);
}

void Client::act(Submission::Answer& answer) {
  if (questions_.empty()) return;
  const auto on_answer = std::move(questions_.front());
  questions_.pop_front();
  on_answer(answer.message);
}

void Client::act(Submission::Leave& leave) {
  log_.error(leave.why);
  left_ = leave.why;
  for (auto& [id, job] : std::exchange(jobs_, {})) job.listener->on_over(leave.why);
  if (on_left_) on_left_(leave.why);
}

}  // namespace ventile
