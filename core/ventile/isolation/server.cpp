#include <ventile/isolation/server.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <map>
#include <vector>

#include <ventile/isolation/child.hpp>

namespace ventile::isolation {
namespace {

constexpr std::size_t passed_count = static_cast<std::size_t>(Passed::count);

void leave_terminal_to_the_node() {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_DFL);
  setpgid(0, 0);  // A Ctrl-C is for the node.
}

// False at the socket's end.
bool receive_request(int requests, PassedDescriptors& passed) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(passed_count * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t size = 0;
  do {
    size = recvmsg(requests, &message, MSG_CMSG_CLOEXEC);
  } while (size < 0 && errno == EINTR);
  if (size <= 0) return false;
  const cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  if (rights == nullptr) return true;
  const std::size_t count = std::min(passed_count, (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::array<int, passed_count> numbers{};
  std::memcpy(numbers.data(), CMSG_DATA(rights), count * sizeof(int));
  for (std::size_t i = 0; i < count; ++i) passed[i] = Descriptor{numbers[i]};
  // Out of descriptors there are fewer. Kept, they would hide from the slot that nobody is at their other ends.
  if (count != passed_count)
    for (Descriptor& descriptor : passed) descriptor.close();
  return true;
}

class ServerProcess {
public:
  explicit ServerProcess(Descriptor requests) : requests_(std::move(requests)) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    child_ended_ = Descriptor{signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK)};
  }

  // Returns in a child, with what it was passed; in the server never.
  PassedDescriptors serve() {
    PassedDescriptors passed;
    for (;;) {
      wait();
      if ((polled_[1].revents & POLLIN) != 0) reap();
      kill_the_unwanted();
      if (polled_[0].revents == 0) continue;
      if (!receive_request(requests_.get(), passed)) break;
      if (fork_child(passed)) return passed;
    }
    for (const auto& [process, end] : children_) kill_group(process);
    _exit(0);
  }

private:
  Descriptor requests_;
  Descriptor child_ended_;
  std::map<pid_t, Descriptor> children_;
  std::vector<pollfd> polled_;

  static void kill_group(pid_t process) { ::kill(-process, SIGKILL); }

  void wait() {
    polled_ = {{requests_.get(), POLLIN, 0}, {child_ended_.get(), POLLIN, 0}};
    for (const auto& [process, end] : children_) polled_.push_back({end.get(), 0, 0});  // Only its end is of interest.
    while (poll(polled_.data(), polled_.size(), -1) < 0 && errno == EINTR) {
    }
  }

  void reap() {
    signalfd_siginfo ignored;
    while (read(child_ended_.get(), &ignored, sizeof ignored) > 0) {
    }
    int status = 0;
    // Its group is killed while its number cannot be another's: before it is reaped.
    siginfo_t ended{};
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0) {
      kill_group(ended.si_pid);
      if (waitpid(ended.si_pid, &status, 0) != ended.si_pid) break;
      const auto child = children_.find(ended.si_pid);
      if (child != children_.end()) {
        (void)send(child->second.get(), &status, sizeof status, MSG_NOSIGNAL);
        children_.erase(child);
      }
      ended = {};
    }
  }

  // In the order of children_, as polled; a child that was reaped meanwhile is not in there any more.
  void kill_the_unwanted() {
    for (std::size_t i = 2; i < polled_.size(); ++i) {
      if ((polled_[i].revents & (POLLHUP | POLLERR)) == 0) continue;
      for (const auto& [process, end] : children_)
        if (end.get() == polled_[i].fd) kill_group(process);
    }
  }

  // True in the child.
  bool fork_child(PassedDescriptors& passed) {
    if (!passed[0]) return false;
    const pid_t process = fork();
    if (process == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      setpgid(0, 0);
      children_.clear();
      requests_.close();
      child_ended_.close();
      passed[static_cast<std::size_t>(Passed::end)].close();
      return true;
    }
    auto& end = passed[static_cast<std::size_t>(Passed::end)];
    if (process > 0) {
      setpgid(process, process);
      children_.emplace(process, std::move(end));
    }
    for (Descriptor& descriptor : passed) descriptor.close();  // Of a failed fork the slot sees the end.
    return false;
  }
};

[[noreturn]] void run_server(const TaskRegistry& tasks, const ServerOptions& options, Descriptor requests) {
  leave_terminal_to_the_node();
  prctl(PR_SET_NAME, "ventile-fork");
  PassedDescriptors passed = ServerProcess{std::move(requests)}.serve();
  prctl(PR_SET_NAME, "ventile-slot");
  run_child(tasks, {options.memory_bytes_max}, std::move(passed));
}

}  // namespace

Status ask_for_child(int server, const PassedDescriptors& passed) {
  std::array<int, passed_count> numbers{};
  for (std::size_t i = 0; i < passed_count; ++i) numbers[i] = passed[i].get();
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof numbers)> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof numbers);
  std::memcpy(CMSG_DATA(rights), numbers.data(), sizeof numbers);
  while (sendmsg(server, &message, MSG_NOSIGNAL) < 0)
    if (errno != EINTR) return Error{Code::unavailable, std::string{"it cannot be asked: "} + std::strerror(errno)};
  return {};
}

Result<Server> start_server(const TaskRegistry& tasks, const ServerOptions& options) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return Error{Code::unavailable, std::string{"no socket for the process that forks slots: "} + std::strerror(errno)};
  Descriptor near{ends[0]};
  Descriptor far{ends[1]};
  std::fflush(nullptr);  // What is buffered is written once.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t process = fork();
  const int error = errno;
  if (process == 0) {
    near.close();
    run_server(tasks, options, std::move(far));
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (process < 0)
    return Error{Code::unavailable,
                 std::string{"the process that forks slots cannot be made: "} + std::strerror(error)};
  return Server{process, std::move(near)};
}

}  // namespace ventile::isolation
