#include <ventile/compute/fetch_core.hpp>

#include <stdexcept>
#include <utility>

#include <ventile/task/blocking.hpp>

namespace ventile::detail {

FetchCore::FetchCore(Reactor& reactor, Client& client, std::string job, std::string function)
    : reactor_(reactor), client_(client), name_(std::move(job)), function_(std::move(function)) {}

void FetchCore::start() {
  reactor_.post([self = shared_from_this()] {
    Fetch fetch;
    fetch.name = self->name_;
    fetch.ordered = true;
    self->job_ = self->client_.fetch(std::move(fetch), self);
  });
}

// --- The thread that walks ---------------------------------------------------------------------------------------

std::optional<Piece> FetchCore::next() {
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return is_next_there() || is_walked() || over_; });
  if (!is_next_there()) {
    if (is_walked()) return std::nullopt;
    refuse();
  }
  Piece piece = std::move(pieces_.begin()->second);
  pieces_.erase(pieces_.begin());
  expected_ = piece.range.end();
  lock.unlock();
  if (const std::uint64_t bytes = piece.bytes(); bytes > 0)
    reactor_.post([self = shared_from_this(), bytes] { self->client_.taken(self->job_, bytes); });
  return piece;
}

void FetchCore::refuse() const { throw TaskError({Outcome::lost, "pool", *over_, function_, {}, 0}); }

// The job stays with the broker.
void FetchCore::cancel(const std::string& why) {
  const std::lock_guard lock{mutex_};
  if (over_) return;
  over_ = why;
  reactor_.post([self = shared_from_this()] { self->client_.detach(self->job_); });
}

void FetchCore::confirm() {
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  if (!is_walked())
    throw std::logic_error("ventile::Pool: the results of '" + name_ + "' are confirmed, but not all were walked over");
  reactor_.post([self = shared_from_this()] { self->client_.confirm(self->job_); });
  changed_.wait(lock, [this] { return over_.has_value(); });
  if (!over_->empty()) refuse();
}

// --- The reactor's thread ----------------------------------------------------------------------------------------

void FetchCore::add(Piece piece) {
  {
    const std::lock_guard lock{mutex_};
    pieces_.emplace(piece.range.first, std::move(piece));
  }
  changed_.notify_all();
}

void FetchCore::on_results(const Arrival& arrival) { add({arrival.range, arrival}); }

void FetchCore::on_outcome(const Submission::DeliverOutcome& outcome) {
  add({outcome.range, TaskReport{outcome.outcome, outcome.kind, outcome.message, function_, {}, outcome.tries}});
}

void FetchCore::on_whole(std::uint64_t total) {
  const std::lock_guard lock{mutex_};
  total_ = total;
  changed_.notify_all();
}

void FetchCore::on_over(const std::string& error) {
  const std::lock_guard lock{mutex_};
  if (!over_) over_ = error;
  changed_.notify_all();
}

}  // namespace ventile::detail
