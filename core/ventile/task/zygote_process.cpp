#include <ventile/task/zygote_process.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <ventile/task/launch.hpp>

namespace ventile::zygote {
namespace {

constexpr int first_line = 3;

// No terminal, no descriptors but the line (as number 3), /dev/null as 0, 1 and 2. All signals are blocked (by the
// fork) and get their default action, so that none can end the zygote or run a handler; a command only unblocks them.
void become_zygote(Descriptor line) {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_DFL);
  setsid();
  prctl(PR_SET_NAME, "ventile-zygote");
  dup2(line.release(), first_line);
  fcntl(first_line, F_SETFD, FD_CLOEXEC);
  closefrom(first_line + 1);
  for (int standard = 0; standard < first_line; ++standard) ::close(standard);
  for (int standard = 0; standard < first_line; ++standard) open("/dev/null", O_RDWR);
}

std::int64_t microseconds(const timeval& time) { return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; }

void take_descriptors(msghdr& message, ReceivedRequest& received) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, descriptors_max> numbers{};
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(numbers.data(), CMSG_DATA(part), count * sizeof(int));
    for (std::size_t i = 0; i < count; ++i) received.descriptors[i] = Descriptor{numbers[i]};
  }
}

// False at the line's end, also in the middle of a request.
bool receive(int line, ReceivedRequest& received) {
  iovec header{&received.request, sizeof(Request)};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(descriptors_max * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = &header;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (recvmsg(line, &message, MSG_CMSG_CLOEXEC | MSG_WAITALL) != ssize_t{sizeof(Request)}) return false;
  take_descriptors(message, received);
  received.body.resize(received.request.size);
  const std::size_t size = received.body.size();
  return size == 0 || recv(line, received.body.data(), size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

// --- A line process ------------------------------------------------------------------------------------------------

// Serves one line, and so at most one command at a time.
class LineProcess {
public:
  explicit LineProcess(Descriptor line) : line_(std::move(line)) {}

  void serve() {
    while (receive(line_.get(), received_)) {
      if (received_.request.kind == RequestKind::run_command) run_command();
    }
  }

private:
  Descriptor line_;
  Launcher launcher_;
  ReceivedRequest received_;

  void run_command();
  void attend(const Launched& command);
  void answer(const Reply& reply) { send(line_.get(), &reply, sizeof(reply), MSG_NOSIGNAL); }
};

void LineProcess::run_command() {
  if (!received_.descriptors[0] || !received_.descriptors[1]) return answer({Step::descriptors, EMFILE});
  const Launched command = launcher_.launch(received_);
  for (Descriptor& descriptor : received_.descriptors) descriptor.close();
  if (command.step == Step::started) {
    attend(command);
  } else {
    answer({command.step, command.error});
  }
}

// Until the command has ended or nobody is interested any more. The group is killed before its leader is reaped:
// until then nobody else can get its number.
void LineProcess::attend(const Launched& command) {
  std::array<pollfd, 2> watched{{{command.end.get(), POLLIN, 0}, {line_.get(), POLLIN, 0}}};
  while ((watched[0].revents & POLLIN) == 0) {
    if (poll(watched.data(), watched.size(), -1) <= 0 || watched[1].revents == 0) continue;
    if (!receive(line_.get(), received_)) break;
    if (received_.request.kind == RequestKind::signal_group) kill(-command.process, received_.request.signal);
  }
  kill(-command.process, SIGKILL);
  int status = 0;
  rusage usage{};
  wait4(command.process, &status, 0, &usage);
  answer({Step::started, 0, status, microseconds(usage.ru_utime), microseconds(usage.ru_stime), usage.ru_maxrss});
}

[[noreturn]] void serve_line(Descriptor line) {
  std::signal(SIGCHLD, SIG_DFL);
  ::close(first_line);
  LineProcess{std::move(line)}.serve();
  _exit(0);
}

}  // namespace

void run_zygote(Descriptor line) {
  become_zygote(std::move(line));
  std::signal(SIGCHLD, SIG_IGN);  // Line processes that have ended need no reaping.
  for (ReceivedRequest received; receive(first_line, received);) {
    // If fork fails, the slot sees its line end.
    if (received.descriptors[0] && fork() == 0) serve_line(std::move(received.descriptors[0]));
    received.descriptors[0].close();
  }
  while (wait(nullptr) > 0) {
  }
  _exit(0);
}

}  // namespace ventile::zygote
