// crowd PORT COUNT: so many strangers at a port of this machine, until standard input ends; for strangers.py.
//
// They have no key and never get in. Whoever is thrown out comes back. All are one thread, and as cheap as can be, so
// that the machine's time goes to whom they call at, and not to them.
//
// Prints a line when each has been there once, and in the end, as JSON, how often each kind has connected.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t frame_max = std::size_t{2} << 20;
constexpr std::size_t greeting_size = 64;
constexpr milliseconds scan_time{100};
constexpr milliseconds after_an_error{50};
constexpr int send_buffer = 64 << 10;  // What they write and nobody reads costs nobody but them.

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

std::string nonsense() {
  std::string bytes(4096, '\0');
  std::minstd_rand random;
  for (char& byte : bytes) byte = static_cast<char>(random() >> 8);
  return bytes;
}
std::string greeting() {
  std::string bytes("\xff\0\0\0\0\0\0\0\0\x7f\3\0CURVE", 17);
  bytes.resize(greeting_size);
  return bytes;
}
std::string beginning_of_a_frame(std::size_t size) {
  std::string bytes("\6");
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(size >> shift);
  return bytes;
}

// What one kind says: something at once, something when it was greeted, and then the same until that is `bytes_max`.
struct Kind {
  const char* name;
  std::string at_once;
  std::string when_greeted;
  std::string over_and_over;
  std::size_t bytes_max = std::numeric_limits<std::size_t>::max();
  bool leaves_soon = false;
};

std::vector<Kind> all_kinds() {
  std::string part("\1\xff", 2);
  part.resize(257);
  std::string parts;
  for (int i = 0; i < 16; ++i) parts += part;
  const std::string half_a_hello = std::string("\4\xc8\5HELLO") + nonsense().substr(0, 94);
  return {{.name = "idle"},
          {.name = "garbage", .over_and_over = nonsense()},
          {.name = "half_handshake", .at_once = greeting(), .when_greeted = half_a_hello},
          {.name = "huge_frame",
           .at_once = greeting(),
           .when_greeted = beginning_of_a_frame(frame_max - 1),
           .over_and_over = std::string(4096, '\0'),
           .bytes_max = frame_max},
          {.name = "endless_parts", .at_once = greeting(), .when_greeted = parts, .over_and_over = parts},
          {.name = "scan", .leaves_soon = true}};
}

class Crowd {
public:
  Crowd(std::uint16_t port, std::size_t count)
      : poll_(epoll_create1(EPOLL_CLOEXEC)), kinds_(all_kinds()), strangers_(count) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address_.sin_port = htons(port);
    for (std::size_t i = 0; i < count; ++i) strangers_[i].kind = i % kinds_.size();
  }

  void besiege() {
    for (std::size_t i = 0; i < strangers_.size(); ++i) call(i);
    while (!input_ended()) {
      std::array<epoll_event, 256> events{};
      const int count = epoll_wait(poll_, events.data(), static_cast<int>(events.size()), 10);
      if (count < 0 && errno != EINTR) give_up("epoll_wait");
      for (int n = 0; n < count; ++n) go_on(events.at(static_cast<std::size_t>(n)).data.u64);
      for (const Clock::time_point now = Clock::now(); !due_.empty() && due_.begin()->first <= now;) {
        const std::size_t who = due_.begin()->second;
        due_.erase(due_.begin());
        leave(who);
        call(who);
      }
    }
    std::string said;
    for (std::size_t k = 0; k < kinds_.size(); ++k)
      said += (k == 0 ? "{\"" : ", \"") + std::string{kinds_[k].name} + "\": " + std::to_string(knocks_.at(k));
    std::printf("%s}\n", said.c_str());
  }

private:
  struct Stranger {
    std::size_t kind = 0;
    int descriptor = -1;
    bool has_been_there = false;
    // Of this connection:
    bool connected = false;
    bool answered = false;  // Has said what it says when it was greeted.
    std::size_t heard = 0;
    std::size_t repeated = 0;      // Bytes of what it says over and over.
    std::string_view left_to_say;  // Of what it is just saying.
  };

  const int poll_;
  const std::vector<Kind> kinds_;
  std::vector<Stranger> strangers_;
  sockaddr_in address_{};
  std::multimap<Clock::time_point, std::size_t> due_;  // Who calls then.
  std::array<std::uint64_t, 6> knocks_{};
  std::size_t have_been_there_ = 0;

  static bool input_ended() {
    pollfd input{STDIN_FILENO, POLLIN, 0};
    char byte = 0;
    return poll(&input, 1, 0) > 0 && read(STDIN_FILENO, &byte, 1) <= 0;
  }

  void call(std::size_t who) {
    Stranger& one = strangers_[who];
    one.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (one.descriptor < 0) give_up("socket");
    one.connected = one.answered = false;
    one.heard = one.repeated = 0;
    one.left_to_say = kinds_[one.kind].at_once;
    (void)setsockopt(one.descriptor, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    if (connect(one.descriptor, reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 &&
        errno != EINPROGRESS)
      return come_back(who, after_an_error);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.u64 = who;
    if (epoll_ctl(poll_, EPOLL_CTL_ADD, one.descriptor, &event) != 0) give_up("epoll_ctl");
  }
  void leave(std::size_t who) {
    int& descriptor = strangers_[who].descriptor;
    if (descriptor >= 0) close(descriptor);
    descriptor = -1;
  }
  // A stranger that leaves soon comes back when it would have left.
  void come_back(std::size_t who, milliseconds later) {
    const bool is_due = strangers_[who].connected && kinds_[strangers_[who].kind].leaves_soon;
    leave(who);
    if (!is_due) due_.emplace(Clock::now() + later, who);
  }

  void go_on(std::size_t who) {
    const Stranger& one = strangers_[who];
    if (one.descriptor < 0 || (!one.connected && !arrive(who))) return;
    if (listen(who)) speak(who);
  }
  bool arrive(std::size_t who) {
    Stranger& one = strangers_[who];
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(one.descriptor, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
      come_back(who, after_an_error);
      return false;
    }
    one.connected = true;
    ++knocks_.at(one.kind);
    if (kinds_[one.kind].leaves_soon) due_.emplace(Clock::now() + scan_time, who);
    if (!std::exchange(one.has_been_there, true) && ++have_been_there_ == strangers_.size()) {
      std::printf("there\n");
      std::fflush(stdout);
    }
    return true;
  }
  // False if the connection has ended.
  bool listen(std::size_t who) {
    Stranger& one = strangers_[who];
    std::array<char, 4096> bytes{};
    for (;;) {
      const ssize_t count = recv(one.descriptor, bytes.data(), bytes.size(), 0);
      if (count > 0) {
        one.heard += static_cast<std::size_t>(count);
        continue;
      }
      if (count < 0 && errno == EAGAIN) return true;
      come_back(who, count == 0 ? milliseconds{0} : after_an_error);
      return false;
    }
  }
  void speak(std::size_t who) {
    Stranger& one = strangers_[who];
    while (!one.left_to_say.empty() || has_more_to_say(one)) {
      const ssize_t count = send(one.descriptor, one.left_to_say.data(), one.left_to_say.size(), MSG_NOSIGNAL);
      if (count < 0) {
        if (errno != EAGAIN) come_back(who, after_an_error);
        return;
      }
      one.left_to_say.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  bool has_more_to_say(Stranger& one) const {
    const Kind& kind = kinds_[one.kind];
    if (!kind.when_greeted.empty() && !one.answered) {
      one.answered = one.heard >= greeting_size;
      if (one.answered) one.left_to_say = kind.when_greeted;
      return one.answered;
    }
    if (kind.over_and_over.empty() || one.repeated >= kind.bytes_max) return false;
    one.left_to_say = kind.over_and_over;
    one.repeated += one.left_to_say.size();
    return true;
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: crowd PORT COUNT\n", stderr);
    return 2;
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &files);
  }
  Crowd{static_cast<std::uint16_t>(std::stoul(argv[1])), std::stoul(argv[2])}.besiege();
}
