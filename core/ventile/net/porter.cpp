#include <ventile/net/porter.hpp>

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>
#include <utility>

#include <ventile/base/clock.hpp>

namespace ventile {

namespace {

constexpr Duration look_interval = std::chrono::milliseconds{5};

std::uint64_t cookie_of(int descriptor) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

std::optional<WaitingRoom::Sight> look_at(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return WaitingRoom::Sight{cookie_of(descriptor), info.tcpi_bytes_received, info.tcpi_bytes_acked};
}

}  // namespace

Porter::Porter(std::uint16_t port, WaitingRoom::Limits limits)
    : port_(port), waiting_(limits), thread_([this] { run(); }) {}

Porter::~Porter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Porter::on_accepted(int descriptor) {
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(descriptor);
  }
  changed_.notify_one();
}

void Porter::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    changed_.wait(lock, [this] { return ending_ || !arrived_.empty() || !waiting_.empty(); });
    const std::vector<int> arrived = std::exchange(arrived_, {});
    lock.unlock();
    take_in(arrived);
    look();
    lock.lock();
    changed_.wait_for(lock, look_interval, [this] { return ending_; });
  }
}

void Porter::take_in(const std::vector<int>& arrived) {
  for (const int descriptor : arrived)
    if (is_ours(descriptor)) waiting_.on_arrived(descriptor, cookie_of(descriptor));
}

void Porter::look() {
  for (const int descriptor : waiting_.on_look(look_at)) ::shutdown(descriptor, SHUT_RDWR);
}

bool Porter::is_ours(int descriptor) const {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port) == port_;
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port) == port_;
  return false;
}

}  // namespace ventile
