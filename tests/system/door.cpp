// Another door for strangers.py: accepts, greets, reads and drops at once whom a socket with keys would throw out, as
// cheaply as can be. What strangers take from a job while they call here is what they and the kernel cost, and not our
// door; only that they come back sooner, for ours lets a crowd wait before it hears.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <unordered_map>

namespace {

constexpr std::size_t waiting_max = 16;
constexpr std::size_t handshake_bytes_max = 4096;
constexpr int backlog = 100;
constexpr std::array<unsigned char, 64> greeting{0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, 0, 'C', 'U', 'R', 'V', 'E'};

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

class Door {
public:
  Door() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), poll_(epoll_create1(0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) give_up("bind");
    if (listen(listener_, backlog) != 0) give_up("listen");
    if (getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) give_up("getsockname");
    watch(listener_);
    std::printf("%u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
  }

  void serve() {
    std::array<epoll_event, 64> events{};
    for (;;) {
      const int count = epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
      if (count < 0 && errno != EINTR) give_up("epoll_wait");
      for (int i = 0; i < count; ++i) {
        const int descriptor = events.at(static_cast<std::size_t>(i)).data.fd;
        descriptor == listener_ ? accept_one() : read_from(descriptor);
      }
    }
  }

private:
  int listener_;
  int poll_;
  std::deque<int> waiting_;                        // In the order of coming.
  std::unordered_map<int, std::size_t> received_;  // Bytes.

  void watch(int descriptor) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, descriptor, &event) != 0) give_up("epoll_ctl");
  }
  void accept_one() {
    const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    (void)!send(descriptor, greeting.data(), greeting.size(), MSG_NOSIGNAL);
    waiting_.push_back(descriptor);
    received_[descriptor] = 0;
    watch(descriptor);
    if (waiting_.size() > waiting_max) forget(waiting_.front());
  }
  void read_from(int descriptor) {
    if (!received_.contains(descriptor)) return;
    static std::array<char, 8192> bytes;
    const ssize_t count = recv(descriptor, bytes.data(), bytes.size(), 0);
    if (count < 0 && errno == EAGAIN) return;
    received_[descriptor] += count > 0 ? static_cast<std::size_t>(count) : handshake_bytes_max + 1;
    if (received_[descriptor] > handshake_bytes_max) forget(descriptor);
  }
  void forget(int descriptor) {
    close(descriptor);
    received_.erase(descriptor);
    std::erase(waiting_, descriptor);
  }
};

}  // namespace

int main() { Door{}.serve(); }
