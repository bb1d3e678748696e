#include <ventile/compute/job_port.hpp>

#include <algorithm>
#include <utility>

#include <ventile/task/blocking.hpp>
#include <ventile/wire/pack.hpp>

namespace ventile::detail {
namespace {

constexpr std::uint32_t block_tasks = 16 * 1024;  // Of single tasks that are gathered in one block.
constexpr std::size_t block_bytes = 256 * 1024;

}  // namespace

JobPort::JobPort(Reactor& reactor, Client& client, Submit specification, PortLimits limits)
    : reactor_(reactor), client_(client), specification_(std::move(specification)), limits_(limits) {}

// --- Any thread --------------------------------------------------------------------------------------------------

// A task that waited here could be the one that makes room.
void JobPort::wait_for_room(std::unique_lock<std::mutex>& lock) {
  if (BlockingScope::in_task()) return;
  changed_.wait(lock, [this] { return over_ || (open_tasks_ < limits_.tasks && open_bytes_ < limits_.bytes); });
}

Range JobPort::expect(std::uint64_t count, std::uint64_t bytes, std::shared_ptr<Receiver> receiver) {
  const Range range{next_, count};
  next_ += count;
  open_tasks_ += count;
  open_bytes_ += bytes;
  last_used_ = Clock::now();
  waiting_.emplace_hint(waiting_.end(), range.first, Waiting{count, count, bytes, std::move(receiver), {}});
  return range;
}

void JobPort::post(std::unique_lock<std::mutex>& lock) {
  const bool posted = std::exchange(posted_, true);
  lock.unlock();
  if (!posted) reactor_.post([self = shared_from_this()] { self->carry_out(); });
}

Number JobPort::submit(const std::function<void(Packer&)>& pack, std::shared_ptr<Receiver> receiver) {
  std::unique_lock lock{mutex_};
  wait_for_room(lock);
  if (over_) throw TaskError({Outcome::cancelled, "pool", *over_, specification_.function, {}, 0});
  auto* block = orders_.empty() ? nullptr : std::get_if<PayloadWriter>(&orders_.back());
  if (block == nullptr || block->count() >= block_tasks || block->size() >= block_bytes)
    block = &std::get<PayloadWriter>(orders_.emplace_back(PayloadWriter{frame_header_size}));
  const std::size_t before = block->size();
  try {
    Packer packer{block->buffer()};
    pack(packer);
  } catch (...) {
    block->discard_open();
    throw;
  }
  block->end_payload();
  const Range range = expect(1, block->size() - before, std::move(receiver));
  post(lock);
  return range.first;
}

Range JobPort::submit(PayloadWriter&& payloads, std::shared_ptr<Receiver> receiver) {
  std::unique_lock lock{mutex_};
  wait_for_room(lock);
  if (over_) throw TaskError({Outcome::cancelled, "pool", *over_, specification_.function, {}, 0});
  const Range range = expect(payloads.count(), payloads.size(), std::move(receiver));
  orders_.emplace_back(std::move(payloads));
  post(lock);
  return range;
}

Range JobPort::submit_index(std::uint64_t count, std::shared_ptr<Receiver> receiver) {
  std::unique_lock lock{mutex_};
  if (over_) throw TaskError({Outcome::cancelled, "pool", *over_, specification_.function, {}, 0});
  const Range range = expect(count, 0, std::move(receiver));
  orders_.emplace_back(Index{count});
  post(lock);
  return range;
}

void JobPort::complete() {
  std::unique_lock lock{mutex_};
  if (std::exchange(completed_, true) || over_) return;
  orders_.emplace_back(End{});
  post(lock);
}

void JobPort::settle(Range range, Outcome outcome, std::string why) {
  std::unique_lock lock{mutex_};
  if (over_ || range.empty()) return;
  orders_.emplace_back(Settle{std::nullopt, range, outcome, std::move(why)});
  post(lock);
}

void JobPort::settle_at(TimePoint when, Range range, Outcome outcome, std::string why) {
  std::unique_lock lock{mutex_};
  if (over_) return;
  orders_.emplace_back(Settle{when, range, outcome, std::move(why)});
  post(lock);
}

void JobPort::cancel_all(const std::string& why) {
  std::unique_lock lock{mutex_};
  if (over_) return;
  over_ = why;
  is_over_ = true;
  orders_.emplace_back(Settle{std::nullopt, {0, next_}, Outcome::cancelled, why});
  if (!std::exchange(completed_, true)) orders_.emplace_back(End{});
  changed_.notify_all();
  post(lock);
}

void JobPort::wait_until_kept() {
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return kept_ || over_; });
  if (!kept_) throw TaskError({Outcome::lost, "pool", *over_, specification_.function, {}, 0});
}

void JobPort::leave(const std::string& why) {
  std::unique_lock lock{mutex_};
  if (over_) return;
  orders_.emplace_back(Leave{why});
  post(lock);
}

std::uint64_t JobPort::open_tasks() const {
  const std::lock_guard lock{mutex_};
  return open_tasks_;
}

TimePoint JobPort::last_used() const {
  const std::lock_guard lock{mutex_};
  return last_used_;
}

void JobPort::wait_until_idle() {
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return open_tasks_ == 0; });
}

// --- The reactor's thread ----------------------------------------------------------------------------------------

void JobPort::carry_out() {
  std::vector<Order> orders;
  {
    const std::lock_guard lock{mutex_};
    orders.swap(orders_);
    posted_ = false;
  }
  if (!job_) job_ = client_.open(specification_, shared_from_this());
  for (Order& order : orders) std::visit([this](auto& o) { act(o); }, order);
}

void JobPort::act(PayloadWriter& payloads) {
  given_ += payloads.count();
  client_.submit(job_, std::move(payloads));
}
void JobPort::act(Index& index) {
  given_ += index.count;
  client_.submit_index(job_, index.count);
}
void JobPort::act(End&) { client_.complete(job_); }
void JobPort::act(Leave& leave) {
  client_.detach(job_);
  on_over(leave.why);
}
void JobPort::act(Settle& settle) {
  if (!settle.when || *settle.when <= reactor_.now())
    return client_.settle(job_, settle.range, settle.outcome, settle.why);
  reactor_.call_at(*settle.when, [weak = weak_from_this(), settle] {
    if (const auto self = weak.lock()) self->client_.settle(self->job_, settle.range, settle.outcome, settle.why);
  });
}

void JobPort::settle_part(Range range, const std::function<void(Receiver&, Range)>& tell) {
  std::unique_lock lock{mutex_};
  while (!range.empty()) {
    auto at = waiting_.upper_bound(range.first);
    if (at == waiting_.begin()) return;
    --at;
    Waiting& waiting = at->second;
    const Range part = intersection(range, {at->first, waiting.count});
    if (part.empty()) return;
    const std::shared_ptr<Receiver> receiver = waiting.receiver;
    waiting.left -= part.count;
    if (waiting.count > 1) waiting.settled.insert(part);
    open_tasks_ -= part.count;
    if (waiting.left == 0) {
      open_bytes_ -= waiting.bytes;
      waiting_.erase(at);
    }
    lock.unlock();
    tell(*receiver, part);
    lock.lock();
    range = Range::between(part.end(), range.end());
  }
  changed_.notify_all();
}

void JobPort::on_results(const Arrival& arrival) {
  Arrival its = arrival;
  settle_part(arrival.range, [&its](Receiver& receiver, Range part) {
    its.range = part;
    receiver.on_results(its);
    if (its.results != nullptr && its.results->folded) its.results = nullptr;  // Its one value counts once.
  });
}

void JobPort::on_outcome(const Submission::DeliverOutcome& outcome) {
  const TaskReport report{outcome.outcome, outcome.kind, outcome.message, specification_.function, {}, outcome.tries};
  settle_part(outcome.range, [&report](Receiver& receiver, Range part) { receiver.on_outcome(part, report); });
}

// What the broker has is settled as far as this process is concerned.
void JobPort::on_kept(const Submission::Kept& kept) {
  settle_part(Range::between(handed_over_, std::max(handed_over_, kept.submitted)), [](Receiver& receiver, Range part) {
    receiver.on_results({part, nullptr, nullptr, {}});
  });
  handed_over_ = std::max(handed_over_, kept.submitted);
  if (!kept.complete) return;
  reactor_.post([self = shared_from_this()] { self->client_.detach(self->job_); });  // Not while it calls.
  const std::lock_guard lock{mutex_};
  kept_ = true;
  over_ = "the broker has the job";
  changed_.notify_all();
}

void JobPort::on_over(const std::string& error) {
  std::map<Number, Waiting> left;
  {
    const std::lock_guard lock{mutex_};
    if (!over_) over_ = error.empty() ? "the job is over" : error;
    is_over_ = true;
    left.swap(waiting_);
    open_tasks_ = open_bytes_ = 0;
    changed_.notify_all();
  }
  tell_left(left, error);
}

// What was not given to the client has not left this process.
void JobPort::tell_left(const std::map<Number, Waiting>& left, const std::string& why) const {
  const TaskReport lost{Outcome::lost, "pool", why, specification_.function, {}, 0};
  const TaskReport unsent{Outcome::cancelled, "pool", why, specification_.function, {}, 0};
  for (const auto& [first, waiting] : left)
    for (const Range range : waiting.settled.missing({first, waiting.count})) {
      const Range given = intersection(range, {0, given_});
      const Range rest = Range::between(std::max(range.first, given_), std::max(range.end(), given_));
      if (!given.empty()) waiting.receiver->on_outcome(given, lost);
      if (!rest.empty()) waiting.receiver->on_outcome(rest, unsent);
    }
}

}  // namespace ventile::detail
