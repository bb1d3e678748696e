#include <nodes/map/broker_job.hpp>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include <nodes/quantity.hpp>
#include <ventile/queue/settlement.hpp>

namespace ventile {
namespace {

constexpr std::size_t block_bytes = 256 * 1024;
constexpr std::uint64_t block_tasks = 16 * 1024;
constexpr std::uint64_t index_block_tasks = 64 * 1024;
constexpr Range every_number{0, std::numeric_limits<std::uint64_t>::max()};
constexpr Duration between_questions = std::chrono::seconds{1};
constexpr Duration silence_max = std::chrono::seconds{3};
constexpr Duration farewell_max = std::chrono::seconds{2};  // For a broker to hear that the job is over.

}  // namespace

class BrokerJob::Listener final : public JobListener {
public:
  explicit Listener(BrokerJob& job) : job_(job) {}
  void on_results(const Arrival& arrival) override { job_.on_results(arrival); }
  void on_outcome(const Submission::DeliverOutcome& outcome) override { job_.on_outcome(outcome); }
  void on_kept(const Submission::Kept& kept) override { job_.on_kept(kept); }
  void on_whole(std::uint64_t total) override { job_.conduit_.on_whole(total); }
  void on_cancelled() override { job_.cancelled_by_another_ = true; }
  void on_over(const std::string& error) override { job_.on_over(error); }

private:
  BrokerJob& job_;
};

BrokerJob::BrokerJob(Context& context, BrokerJobOptions options, std::unique_ptr<Input> input, Conduit& conduit,
                     KeptInputs& inputs)
    : options_(std::move(options)),
      input_(std::move(input)),
      conduit_(conduit),
      inputs_(inputs),
      client_(context, reactor_,
              {.connect = options_.connect, .keys = options_.keys, .build = options_.build, .log = options_.log}),
      reader_ended_(options_.fetch.has_value()) {}

BrokerJob::~BrokerJob() {
  if (thread_.joinable()) finish();
}

Status BrokerJob::start() {
  if (Status started = client_.start(); !started) return started;
  client_.on_left([this](const std::string&) { refused_ = true; });
  auto listener = std::make_shared<Listener>(*this);
  job_ = options_.fetch ? client_.fetch(*options_.fetch, std::move(listener))
                        : client_.open(options_.specification, std::move(listener));
  reactor_.on_turn_end([this] {
    client_.on_turn_end();
    answered_ = answered_ || client_.connected();
  });
  reactor_.post([this] {
    moved_ = reactor_.now();
    ask();
    if (options_.connect_timeout) reactor_.call_at(reactor_.now() + *options_.connect_timeout, [this] { time_out(); });
  });
  thread_ = std::thread([this] { reactor_.run(); });
  if (options_.fetch) return {};
  reader_ = std::thread([this] {
    input_ == nullptr ? read_index() : read_all();
    conduit_.on_input_ended();
    reactor_.post([this] { on_reader_end(); });
  });
  return {};
}

// --- The reader's thread -----------------------------------------------------------------------------------------

void BrokerJob::read_all() {
  while (const std::uint64_t room = conduit_.wait_for_room()) {
    auto block = std::make_shared<PayloadWriter>(0);
    const Result<bool> read =
        input_->read(*block, block_bytes, static_cast<std::uint32_t>(std::min(room, block_tasks)));
    if (block->count() > 0) submit(std::move(block));
    if (!read) input_error_ = read.error().message;
    if (!read || !*read) return;
  }
}

void BrokerJob::submit(std::shared_ptr<PayloadWriter> payloads) {
  const std::optional<Range> range = conduit_.on_submitted(payloads->count(), payloads->size());
  if (!range) return;
  inputs_.add(*range, payloads->view());
  reactor_.post([this, range = *range, payloads = std::move(payloads)] {
    if (over_) return never_given(range);
    client_.submit(job_, std::move(*payloads));
    on_submitted();
  });
}

void BrokerJob::read_index() {
  std::uint64_t left = options_.index_count;
  while (left > 0) {
    const std::uint64_t count = std::min({left, conduit_.wait_for_room(), index_block_tasks});
    const std::optional<Range> range = count > 0 ? conduit_.on_submitted(count, 0) : std::nullopt;
    if (!range) return;
    left -= count;
    reactor_.post([this, range = *range, count] {
      if (over_) return never_given(range);
      client_.submit_index(job_, count);
      on_submitted();
    });
  }
}

// --- Any thread --------------------------------------------------------------------------------------------------

void BrokerJob::drain() {
  stop_reading();
  reactor_.post([this] {
    if (!std::exchange(draining_, true)) moved_ = reactor_.now();
  });
}

void BrokerJob::stop_reading() {
  conduit_.stop_reading();
  if (options_.fetch) conduit_.on_over({});
  if (input_ != nullptr) input_->interrupt();
}

void BrokerJob::cancel(const std::string& why) {
  stop_reading();
  if (options_.fetch) return;
  reactor_.post([this, why] { options_.specification.kept ? discard() : settle_rest(why); });
}

std::string BrokerJob::wait_until_handed_over() {
  std::unique_lock lock(mutex_);
  kept_changed_.wait(lock, [this] { return kept_.has_value(); });
  return *kept_;
}

void BrokerJob::taken(std::uint64_t bytes) {
  if (!options_.fetch) return;
  reactor_.post([this, bytes] { client_.taken(job_, bytes); });
}

void BrokerJob::confirm() {
  reactor_.post([this] {
    confirmed_ = true;
    client_.confirm(job_);
  });
}

void BrokerJob::finish() {
  stop_reading();
  if (reader_.joinable()) reader_.join();
  reactor_.post([this] {
    finishing_ = true;
    if (options_.fetch && !confirmed_) return leave();  // There is nothing to hear.
    maybe_leave();
    reactor_.call_at(reactor_.now() + farewell_max, [this] { leave(); });
  });
  thread_.join();
}

std::uint64_t BrokerJob::settled() const {
  return std::accumulate(outcomes_.begin(), outcomes_.end(), std::uint64_t{0});
}

std::array<std::uint64_t, outcome_count> BrokerJob::outcomes() const {
  std::array<std::uint64_t, outcome_count> counts{};
  std::copy(outcomes_.begin(), outcomes_.end(), counts.begin());
  return counts;
}

// --- The reactor's thread ----------------------------------------------------------------------------------------

void BrokerJob::settle_rest(const std::string& why) {
  cancelled_ = why;
  client_.settle(job_, every_number, Outcome::cancelled, why);
}

void BrokerJob::on_submitted() {
  if (!cancelled_.empty()) client_.settle(job_, every_number, Outcome::cancelled, cancelled_);
}

void BrokerJob::on_results(const Arrival& arrival) {
  moved_ = reactor_.now();
  workers_seen_.insert(arrival.worker);
  if (arrival.results->tries > 1) retries_ += (arrival.results->tries - 1) * arrival.range.count;
  std::uint64_t done = arrival.range.count;
  for (const RangeOutcome& exception : exceptions_in(*arrival.results, arrival.range)) {
    outcomes_[static_cast<std::size_t>(exception.outcome)] += exception.range.count;
    done -= exception.range.count;
  }
  outcomes_[static_cast<std::size_t>(Outcome::done)] += done;
  conduit_.add({arrival.range, arrival});
}

void BrokerJob::on_outcome(const Submission::DeliverOutcome& outcome) {
  moved_ = reactor_.now();
  outcomes_[static_cast<std::size_t>(outcome.outcome)] += outcome.range.count;
  conduit_.add({outcome.range, outcome});
}

void BrokerJob::on_kept(const Submission::Kept& kept) {
  if (kept.submitted > handed_over_) moved_ = reactor_.now();
  if (kept.submitted > handed_over_) conduit_.on_written(Range::between(handed_over_, kept.submitted));
  handed_over_ = kept.submitted;
  if (!kept.complete) return;
  over_ = true;
  reactor_.post([this] { client_.detach(job_); });  // Not while it calls.
  on_kept_over({});
}

void BrokerJob::on_kept_over(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (!kept_) kept_ = why;
  kept_changed_.notify_all();
}

// It may not be known to anybody yet.
void BrokerJob::discard() {
  const std::string why = "the job was cancelled";
  client_.ask(Discard{to_string(client_.known_as(job_))}, [this, why](const Message&) { on_kept_over(why); });
  reactor_.call_at(reactor_.now() + farewell_max, [this, why] { on_kept_over(why); });
}

void BrokerJob::on_over(const std::string& error) {
  over_ = true;
  over_error_ = error;
  conduit_.stop_reading();
  if (input_ != nullptr) input_->interrupt();
  on_kept_over(error.empty() ? "the broker has given the job up" : error);
  if (reader_ended_) conduit_.on_over(error);
  maybe_leave();
}

// What the reader had read when the job was over already.
void BrokerJob::never_given(Range range) { on_outcome({job_, range, Outcome::cancelled, 0, "cancelled", over_error_}); }

void BrokerJob::on_reader_end() {
  reader_ended_ = true;
  client_.complete(job_);
  if (over_) conduit_.on_over(over_error_);
}

void BrokerJob::time_out() {
  if (answered_ || client_.connected() || over_) return;
  unanswered_ = true;
  on_over("no broker has answered at " + options_.connect.to_string() + " within " +
          to_text(*options_.connect_timeout));
}

// Whoever was asked to end waits for what runs, or has its turn yet, but not for a broker or workers that are not
// there.
void BrokerJob::end_if_stuck() {
  const TimePoint now = reactor_.now();
  const bool is_kept = options_.specification.kept;  // Handed over, whoever runs it.
  const bool is_stuck = !client_.connected() || (waits_for_worker_ && !is_kept);
  if (!is_stuck || conduit_.submitted() == settled() || conduit_.is_being_written()) stuck_since_ = now;
  if (!draining_ || over_ || !cancelled_.empty() || now - std::max(stuck_since_, moved_) < silence_max) return;
  const std::string why = client_.connected() ? "nothing of the job runs: " + waiting_for_ : "the broker is not there";
  cancelled_ = why;
  options_.log.write(Level::warning,
                     why + (is_kept ? "; the same command goes on with what it has" : "; what is left is cancelled"));
  is_kept ? on_kept_over(why) : settle_rest(why);
}

void BrokerJob::ask() {
  if (!std::exchange(asking_, true))
    client_.ask(Inquire{}, [this](const Message& answer) {
      asking_ = false;
      if (const auto* report = std::get_if<Report>(&answer)) on_report(*report);
    });
  end_if_stuck();
  reactor_.call_at(reactor_.now() + between_questions, [this] { ask(); });
}

void BrokerJob::on_report(const Report& report) {
  std::uint64_t slots = 0;
  for (const WorkerState& worker : report.workers) slots += worker.slots;
  workers_ = report.workers.size();
  slots_ = slots;
  const auto job = std::find_if(report.jobs.begin(), report.jobs.end(),
                                [this](const JobState& state) { return state.job == client_.known_as(job_); });
  waiting_for_ = job == report.jobs.end() ? std::string{} : job->waiting_for;
  waits_for_worker_ = !waiting_for_.empty() && job->leased + job->awaiting + job->delayed == 0;
  if (waiting_for_.empty() || reactor_.now() - moved_ < silence_max || waiting_for_ == said_waiting_) return;
  said_waiting_ = waiting_for_;
  options_.log.info("waiting for 3 s: " + said_waiting_);
}

// Whoever has everything need not wait for a broker that is not there.
void BrokerJob::maybe_leave() {
  if (finishing_ && (over_ || !client_.connected())) leave();
}

void BrokerJob::leave() {
  client_.leave([this] { reactor_.stop(); });
}

}  // namespace ventile
