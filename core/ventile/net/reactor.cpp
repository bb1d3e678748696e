#include <ventile/net/reactor.hpp>

#include <poll.h>
#include <zmq.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include <ventile/base/turns.hpp>
#include <ventile/net/alarm.hpp>

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

Reactor::Reactor() : now_(Clock::now()), alarm_(std::make_shared<Alarm>()) {}
Reactor::~Reactor() = default;

void Reactor::add(Socket& socket, OnReadable on_readable, Function on_writable) {
  assert(owner_.permits() && find(socket) == nullptr);
  sources_.push_back(std::make_unique<Source>(
      Source{&socket, socket.descriptor(), std::move(on_readable), std::move(on_writable), {}}));
  socket.used_ = true;  // Whoever had it before may have heard what its descriptor had to say.
  socket.attend(alarm_);
}

void Reactor::remove(Socket& socket) {
  assert(owner_.permits());
  Source* const source = find(socket);
  if (source == nullptr) return;
  source->removed = true;
  socket.attend(nullptr);
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
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
  }
  alarm_->ring();
}

void Reactor::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  alarm_->ring();
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
    if (!called_.empty() && turn_end_) turn_end_();  // Before system calls look into sockets: see the header.
    called_.clear();
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
  alarm_->listen();
  bool ready = was_called_for();
  bool elsewhere = false;  // Somebody who is not local is ready.
  for (const auto& source : sources_) {
    if (source->is_local() || source->waits_for_room() || (source->socket->used() && source->on_readable))
      refresh(*source);
    ready = ready || source->is_ready(now_);
    elsewhere = elsewhere || (!source->is_local() && source->is_ready(now_));
  }
  if (!ready) alarm_->forget();
  if (!ready && alarm_->fall_asleep()) {
    const TimePoint deadline = next_deadline();
    poll(deadline == never ? forever : std::max(deadline - Clock::now(), Duration{0}));
    alarm_->wake_up();
  } else if (elsewhere || now_ - polled_ >= poll_interval) {
    poll(Duration{0});  // So that who is busy does not keep the others waiting.
  } else {
    return false;
  }
  return true;
}

void Reactor::refresh(Source& source) {
  source.events = source.socket->events(source.waits_for_room());
  if (source.events.ended) stop();
}

// Waits for any descriptor and notes what is ready.
void Reactor::poll(Duration patience) {
  poll_set_.assign(1, {alarm_->descriptor(), POLLIN, 0});
  for (const auto& source : sources_) poll_set_.push_back({source->is_local() ? -1 : source->descriptor, POLLIN, 0});
  for (const auto& watch : watches_) poll_set_.push_back({watch->descriptor, watch->interest, 0});

  const auto seconds = std::chrono::floor<std::chrono::seconds>(patience);
  const timespec timeout{static_cast<std::time_t>(seconds.count()), static_cast<long>((patience - seconds).count())};
  if (ppoll(poll_set_.data(), poll_set_.size(), patience == forever ? nullptr : &timeout, nullptr) <= 0) return;

  auto result = poll_set_.begin();
  if ((result++)->revents != 0) alarm_->on_descriptor_readable();
  for (const auto& source : sources_) {
    if ((result++)->revents == 0) continue;
    if (source->on_readable && !source->waits_for_room())
      source->events.readable = true;  // Or so it seems: to receive looks into what came, as events() would.
    else
      refresh(*source);
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

// Whether something was posted, or it is to stop.
bool Reactor::was_called_for() {
  std::lock_guard lock(mutex_);
  return !posted_.empty() || stopping_;
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
  TimePoint since;  // The second message, which most bursts have not.
  for (int calls = 0; calls < burst_max && source.events.readable && !source.removed; ++calls) {
    if (calls == 1) since = Clock::now();
    if (calls > 1 && Clock::now() - since >= burst_time) break;
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
