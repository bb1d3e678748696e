#include <ventile/net/reactor.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

#include <ventile/base/turns.hpp>

namespace ventile {

namespace {

constexpr Duration forever = Duration::max();

}  // namespace

// What was removed is only marked, because it may be running, and is swept before the next turn.
struct Reactor::Source {
  Socket* socket;
  int descriptor;
  OnReadable on_readable;
  Function on_writable;
  Socket::Events events;
  bool wants_write = false;
  TimePoint retry_at = never;  // Of a ROUTER that wants to write.
  bool removed = false;

  bool is_local() const { return socket->is_local(); }
  bool is_router() const { return socket->kind_ == ZMQ_ROUTER; }
  bool may_write(TimePoint now) const { return wants_write && (is_router() ? now >= retry_at : events.writable); }
  bool waits_for_room() const { return wants_write && !is_router(); }  // And hears of it by its events.
  bool is_ready(TimePoint now) const { return events.readable || may_write(now); }
};

struct Reactor::Watch {
  int descriptor;
  short interest;
  OnDescriptor callback;
  short happened = 0;
  bool removed = false;
};

Reactor::Reactor() : now_(Clock::now()), wake_descriptor_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (wake_descriptor_ < 0)
    throw std::system_error(errno, std::generic_category(), "A reactor cannot make its eventfd");
}

Reactor::~Reactor() { ::close(wake_descriptor_); }

void Reactor::add(Socket& socket, OnReadable on_readable, Function on_writable) {
  assert(owner_.permits() && find(socket) == nullptr);
  sources_.push_back(std::make_unique<Source>(
      Source{&socket, socket.descriptor(), std::move(on_readable), std::move(on_writable), {}}));
}

void Reactor::remove(Socket& socket) {
  assert(owner_.permits());
  if (Source* const source = find(socket)) source->removed = true;
}

void Reactor::want_write(Socket& socket, bool wanted) {
  assert(owner_.permits());
  Source* const source = find(socket);
  assert(source != nullptr && source->on_writable);
  if (wanted && !source->wants_write) source->retry_at = now_ + router_retry;
  source->wants_write = wanted;
}

void Reactor::watch(int descriptor, short events, OnDescriptor callback) {
  assert(owner_.permits());
  watches_.push_back(std::make_unique<Watch>(Watch{descriptor, events, std::move(callback)}));
}

void Reactor::unwatch(int descriptor) {
  assert(owner_.permits());
  for (const auto& watch : watches_) {
    if (watch->descriptor == descriptor) watch->removed = true;
  }
}

// Never before now, so that a timer which sets itself again waits for the next turn.
TimerId Reactor::call_at(TimePoint when, Function function) {
  assert(owner_.permits());
  const TimerId timer{std::max(when, now_), ++timer_counter_};
  timers_.emplace(timer, std::move(function));
  return timer;
}

void Reactor::cancel(TimerId timer) {
  assert(owner_.permits());
  timers_.erase(timer);
}

void Reactor::post(Function function) {
  std::unique_lock lock(mutex_);
  posted_.push_back(std::move(function));
  wake(lock);
}

void Reactor::stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake(lock);
}

void Reactor::wake(std::unique_lock<std::mutex>& lock) {
  const bool was_asleep = std::exchange(asleep_, false);
  lock.unlock();
  if (was_asleep) eventfd_write(wake_descriptor_, 1);
}

void Reactor::on_turn_end(Function function) { turn_end_ = std::move(function); }

void Reactor::run() {
  assert(owner_.claim());
  const ShortTurns short_turns;
  for (bool stopping = false; !stopping;) {
    const bool polled = wait();
    now_ = Clock::now();
    if (polled) polled_ = now_;
    stopping = call_posted();
    for (std::size_t i = 0, count = sources_.size(); i < count; ++i) call_source(*sources_[i]);
    for (std::size_t i = 0, count = watches_.size(); i < count; ++i) call_watch(*watches_[i]);
    call_timers();  // Last: a reactor that was held up must hear its peers before it judges them by the time.
    if (turn_end_) turn_end_();
  }
  for (const auto& source : sources_)
    if (!source->removed) source->socket->owner_.release();  // Who was removed in this turn may be gone.
  owner_.release();
  std::lock_guard lock(mutex_);
  stopping_ = false;
}

// libzmq's descriptors are edge-triggered: we may sleep on them only if events(), or a receive that found nothing, was
// the last that was done with the sockets. To ask one that nobody has used since would cost a system call and tell
// nothing new; so would asking one for messages of which only what it has room for matters.
bool Reactor::wait() {
  std::erase_if(sources_, [](const auto& source) { return source->removed; });
  std::erase_if(watches_, [](const auto& watch) { return watch->removed; });
  bool ready = false;
  bool elsewhere = false;  // Somebody who is not local is ready.
  for (const auto& source : sources_) {
    if (source->is_local() || source->waits_for_room() || (source->socket->used() && source->on_readable))
      refresh(*source);
    ready = ready || source->is_ready(now_);
    elsewhere = elsewhere || (!source->is_local() && source->is_ready(now_));
  }
  if (!ready && fall_asleep()) {
    const TimePoint deadline = next_deadline();
    poll(deadline == never ? forever : std::max(deadline - Clock::now(), Duration{0}));
    std::lock_guard lock(mutex_);
    asleep_ = false;
  } else if (elsewhere || now_ - polled_ >= poll_interval) {
    poll(Duration{0});  // So that who is busy does not keep the others waiting.
  } else {
    return false;
  }
  return true;
}

void Reactor::refresh(Source& source) {
  source.events = source.socket->events();
  if (source.events.ended) stop();
}

// Waits for any descriptor and notes what is ready.
void Reactor::poll(Duration patience) {
  poll_set_.assign(1, {wake_descriptor_, POLLIN, 0});
  for (const auto& source : sources_) poll_set_.push_back({source->is_local() ? -1 : source->descriptor, POLLIN, 0});
  for (const auto& watch : watches_) poll_set_.push_back({watch->descriptor, watch->interest, 0});

  const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
  const timespec timeout{static_cast<std::time_t>(seconds.count()), static_cast<long>((patience - seconds).count())};
  if (ppoll(poll_set_.data(), poll_set_.size(), patience == forever ? nullptr : &timeout, nullptr) <= 0) return;

  auto result = poll_set_.begin();
  if (eventfd_t count = 0; (result++)->revents != 0) eventfd_read(wake_descriptor_, &count);
  for (const auto& source : sources_) {
    if ((result++)->revents != 0) refresh(*source);
  }
  for (const auto& watch : watches_) watch->happened = (result++)->revents;
}

TimePoint Reactor::next_deadline() const {
  TimePoint deadline = timers_.empty() ? never : timers_.begin()->first.when;
  for (const auto& source : sources_) {
    if (source->is_router() && source->wants_write) deadline = std::min(deadline, source->retry_at);
  }
  return deadline;
}

// False if there is something to do at once.
bool Reactor::fall_asleep() {
  std::lock_guard lock(mutex_);
  asleep_ = posted_.empty() && !stopping_;
  return asleep_;
}

// True if it is time to stop.
bool Reactor::call_posted() {
  bool stopping = false;
  {
    std::lock_guard lock(mutex_);
    called_.swap(posted_);
    stopping = stopping_;
  }
  for (const Function& function : called_) function();
  called_.clear();
  return stopping;
}

void Reactor::call_timers() {
  const TimerId last{now_, timer_counter_};
  while (!timers_.empty() && timers_.begin()->first <= last) {
    const auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
}

void Reactor::call_source(Source& source) {
  for (int calls = 0; calls < burst_max && source.events.readable && !source.removed; ++calls) {
    if (source.on_readable() == Reading::more) continue;
    source.events.readable = source.socket->used();  // It may have been used again, and then wait() will ask.
    break;
  }
  if (source.removed || !source.may_write(now_)) return;
  source.retry_at = now_ + router_retry;
  source.on_writable();
}

void Reactor::call_watch(Watch& watch) {
  const short happened = std::exchange(watch.happened, short{0});
  if (happened != 0 && !watch.removed) watch.callback(happened);
}

Reactor::Source* Reactor::find(const Socket& socket) {
  for (const auto& source : sources_) {
    if (source->socket == &socket && !source->removed) return source.get();
  }
  return nullptr;
}

}  // namespace ventile
