#include <nodes/signal_thread.hpp>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace ventile {

SignalThread::SignalThread(Signals signals)
    : signals_(std::move(signals)), wake_descriptor_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_descriptor_ < 0)
    throw std::system_error(errno, std::generic_category(), "no descriptor to wait for signals");
  thread_ = std::thread([this] { run(); });
}

SignalThread::~SignalThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
  close(wake_descriptor_);
}

void SignalThread::call_after(Duration delay, std::function<void()> function) {
  {
    const std::lock_guard lock(mutex_);
    deadlines_.push_back({Clock::now() + delay, std::move(function)});
  }
  wake();
}

void SignalThread::wake() { eventfd_write(wake_descriptor_, 1); }

std::vector<std::function<void()>> SignalThread::take_due(TimePoint now) {
  std::vector<std::function<void()>> due;
  const std::lock_guard lock(mutex_);
  std::erase_if(deadlines_, [&](Deadline& deadline) {
    if (deadline.when > now) return false;
    due.push_back(std::move(deadline.function));
    return true;
  });
  return due;
}

int SignalThread::milliseconds_to_next(TimePoint now) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return 0;
  if (deadlines_.empty()) return -1;
  const auto next = std::min_element(deadlines_.begin(), deadlines_.end(),
                                     [](const auto& a, const auto& b) { return a.when < b.when; });
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(next->when - now).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

void SignalThread::run() {
  for (;;) {
    std::array<pollfd, 2> descriptors{pollfd{signals_.descriptor(), POLLIN, 0}, pollfd{wake_descriptor_, POLLIN, 0}};
    poll(descriptors.data(), descriptors.size(), milliseconds_to_next(Clock::now()));
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    eventfd_t ignored = 0;
    eventfd_read(wake_descriptor_, &ignored);
    signals_.on_readable();
    for (const auto& function : take_due(Clock::now())) function();
  }
}

}  // namespace ventile
