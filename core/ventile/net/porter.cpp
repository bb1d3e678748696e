#include <ventile/net/porter.hpp>

#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include <ventile/base/clock.hpp>
#include <ventile/net/descriptors.hpp>

namespace ventile {

namespace {

constexpr Duration look_interval = std::chrono::milliseconds{5};

std::optional<WaitingRoom::Sight> look_at(int descriptor) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return std::nullopt;
  return WaitingRoom::Sight{cookie_of(descriptor), info.tcpi_bytes_received, info.tcpi_bytes_acked};
}

// Those that are accepted inherit the filter; nobody sends them a SYN.
void drop_some_syns(int listener) {
  constexpr std::uint32_t flags_at = 13;  // In the header of TCP, RFC 9293.
  constexpr std::uint32_t syn = 0x02;
  constexpr std::uint32_t ack = 0x10;
  constexpr std::uint32_t passed_below = 0xe0000000;  // Seven of eight.
  constexpr std::uint32_t all = 0xffffffff;
  constexpr auto random = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM);
  std::array<sock_filter, 7> steps{
      {BPF_STMT(BPF_LD | BPF_B | BPF_ABS, flags_at), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, syn | ack),
       BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syn, 0, 2), BPF_STMT(BPF_LD | BPF_W | BPF_ABS, random),
       BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, passed_below, 1, 0), BPF_STMT(BPF_RET | BPF_K, all),
       BPF_STMT(BPF_RET | BPF_K, 0)}};
  const sock_fprog program{steps.size(), steps.data()};
  (void)::setsockopt(listener, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void drop_none(int listener) {
  const int unused = 0;
  (void)::setsockopt(listener, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
}

}  // namespace

Porter::Porter(std::uint16_t port, WaitingRoom::Limits limits)
    : port_(port), waiting_(limits), detention_({}), thread_([this] { run(); }) {}

Porter::~Porter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void Porter::on_listening(int descriptor) {
  if (!is_ours(descriptor)) return;
  const std::lock_guard lock(mutex_);
  listener_ = descriptor;
}

bool Porter::is_at(std::string_view address) const { return address.ends_with(":" + std::to_string(port_)); }

void Porter::on_accepted(int descriptor) {
  bool idle = false;
  {
    const std::lock_guard lock(mutex_);
    arrived_.push_back(descriptor);
    idle = std::exchange(idle_, false);
  }
  if (idle) changed_.notify_one();
}

void Porter::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    idle_ = waiting_.empty() && detention_.empty() && !dropping_;
    changed_.wait(lock, [this] { return ending_ || !idle_ || !arrived_.empty(); });
    idle_ = false;
    const std::vector<int> arrived = std::exchange(arrived_, {});
    const int listener = listener_;
    lock.unlock();
    watch_the_crowd(arrived.size(), listener);
    take_in(arrived);
    look();
    lock.lock();
    changed_.wait_for(lock, look_interval, [this] { return ending_; });
  }
}

void Porter::watch_the_crowd(std::size_t arrived, int listener) {
  arrivals_.on_look(arrived, Clock::now());
  if (arrivals_.crowded() == dropping_ || !is_ours(listener)) return;
  dropping_ = arrivals_.crowded();
  dropping_ ? drop_some_syns(listener) : drop_none(listener);
}

void Porter::take_in(const std::vector<int>& arrived) {
  for (const int descriptor : arrived)
    if (is_ours(descriptor)) waiting_.on_arrived(descriptor, cookie_of(descriptor));
}

void Porter::look() {
  const TimePoint now = Clock::now();
  for (const WaitingRoom::Waiting& one : waiting_.on_look(look_at))
    arrivals_.crowded() ? detention_.take(one.descriptor, one.cookie, now)
                        : Detention::turn_away(one.descriptor, one.cookie);
  detention_.release(now);
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
