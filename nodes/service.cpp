#include <nodes/service.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <system_error>
#include <thread>
#include <utility>

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <fmt/format.h>

namespace ventile {
namespace {

sigset_t heeded_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

Error system_error(std::string_view what) {
  return {Code::unavailable, fmt::format("{}: {}", what, std::generic_category().message(errno))};
}

}  // namespace

void Signals::sleep_for_echo() { std::this_thread::sleep_for(std::chrono::milliseconds{50}); }

Result<Signals> Signals::listen(SignalActions actions, std::function<void()> pause) {
  const sigset_t set = heeded_signals();
  if (const int failure = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); failure != 0) {
    errno = failure;
    return system_error("cannot block signals");
  }
  if (std::signal(SIGPIPE, SIG_IGN) == SIG_ERR) return system_error("cannot ignore SIGPIPE");
  const int descriptor = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor < 0) return system_error("cannot listen to signals");
  return Signals{std::move(actions), std::move(pause), descriptor};
}

Signals::Signals(Signals&& other) noexcept
    : actions_(std::move(other.actions_)),
      pause_(std::move(other.pause_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      draining_(other.draining_) {}

Signals::~Signals() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

std::vector<int> Signals::pending() const {
  std::vector<int> found;
  std::array<signalfd_siginfo, 8> read{};
  while (true) {
    const ssize_t bytes = ::read(descriptor_, read.data(), sizeof read);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return found;
    const auto count = static_cast<std::size_t>(bytes) / sizeof read[0];
    for (std::size_t at = 0; at < count; ++at) found.push_back(static_cast<int>(read[at].ssi_signo));
  }
}

void Signals::on_readable() {
  const auto asks_to_stop = [](int signal) { return signal != SIGHUP; };
  std::vector<int> signals = pending();
  const auto first = std::find_if(signals.begin(), signals.end(), asks_to_stop);
  if (!draining_ && first != signals.end()) {
    pause_();
    const auto behind = static_cast<std::size_t>(first - signals.begin()) + 1;
    const int echo = *first;
    for (const int signal : pending()) signals.push_back(signal);
    signals.erase(std::remove(signals.begin() + static_cast<std::ptrdiff_t>(behind), signals.end(), echo),
                  signals.end());
  }
  for (const int signal : signals) on_signal(signal);
}

void Signals::on_signal(int signal) {
  if (signal == SIGHUP) {
    actions_.reload();
  } else if (std::exchange(draining_, true)) {
    actions_.cancel(signal == SIGINT ? ExitCode::interrupted : ExitCode::terminated);
  } else {
    actions_.drain(fmt::format("{}: finishing what runs and taking no more; press Ctrl-C again to cancel it",
                               signal == SIGINT ? "interrupted" : "told to stop"));
  }
}

}  // namespace ventile
