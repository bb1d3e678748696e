#include <ventile/task/zygote_process.hpp>

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ventile/task/launch.hpp>

namespace ventile::zygote {
namespace {

constexpr int control_number = 3;
constexpr int queue_number = 4;
constexpr int fork_pause_milliseconds = 500;

// Out of the way of the numbers that it gets later.
int lifted(Descriptor descriptor) { return fcntl(descriptor.get(), F_DUPFD_CLOEXEC, queue_number + 1); }

// No terminal, no descriptors but the two, /dev/null as 0, 1 and 2. All signals are blocked (by the fork) and get their
// default action, so that none can end the zygote or run a handler; a command only unblocks them.
void become_zygote(Descriptor control, Descriptor queue) {
  for (int signal = 1; signal < NSIG; ++signal) std::signal(signal, SIG_DFL);
  setsid();
  prctl(PR_SET_NAME, "ventile-zygote");
  const int lifted_control = lifted(std::move(control));
  const int lifted_queue = lifted(std::move(queue));
  dup3(lifted_control, control_number, O_CLOEXEC);
  dup3(lifted_queue, queue_number, O_CLOEXEC);
  closefrom(queue_number + 1);
  for (int standard = 0; standard < control_number; ++standard) ::close(standard);
  for (int standard = 0; standard < control_number; ++standard) open("/dev/null", O_RDWR);
}

// For this process and all below it. False: it is not as it should be, and nothing must run.
bool confine(const Confinement& confinement) {
  if (confinement.account) {
    const UserAccount& account = *confinement.account;
    const bool is_root = geteuid() == 0;
    if (is_root && setgroups(account.groups.size(), account.groups.data()) != 0) return false;
    if (setresgid(account.group, account.group, account.group) != 0) return false;
    if (setresuid(account.user, account.user, account.user) != 0) return false;
    setenv("HOME", account.home.c_str(), 1);
    setenv("USER", account.name.c_str(), 1);
    setenv("LOGNAME", account.name.c_str(), 1);
  }
  return !confinement.no_new_privileges || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

std::int64_t microseconds(const timeval& time) { return std::int64_t{time.tv_sec} * 1'000'000 + time.tv_usec; }

void take_descriptors(msghdr& message, ReceivedRequest& received) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    std::array<int, passed_max> numbers{};
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::memcpy(numbers.data(), CMSG_DATA(part), count * sizeof(int));
    for (std::size_t i = 0; i < count; ++i) received.descriptors[i] = Descriptor{numbers[i]};
  }
}

// Brings what is there only in some requests to its place.
void put_in_place(ReceivedRequest& received) {
  auto& input = received.descriptors[static_cast<std::size_t>(Passed::standard_input)];
  auto& body = received.descriptors[static_cast<std::size_t>(Passed::body_file)];
  if (received.request.has_input == 0) body = std::move(input);
}

bool read_body_file(ReceivedRequest& received) {
  const int file = received[Passed::body_file].get();
  struct stat status {};
  if (fstat(file, &status) != 0) return false;
  received.body.resize(static_cast<std::size_t>(status.st_size));
  std::size_t read = 0;
  while (read < received.body.size()) {
    const ssize_t count = pread(file, &received.body[read], received.body.size() - read, static_cast<off_t>(read));
    if (count <= 0) return false;
    read += static_cast<std::size_t>(count);
  }
  return true;
}

// Waits for a packet. False at the socket's end.
bool receive(int socket, ReceivedRequest& received) {
  received.body.resize(packet_body_bytes_max);
  std::array<iovec, 2> parts{{{&received.request, sizeof(Request)}, {received.body.data(), received.body.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(passed_max * sizeof(int))> control;
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (size < ssize_t{sizeof(Request)}) return false;
  received.body.resize(static_cast<std::size_t>(size) - sizeof(Request));
  take_descriptors(message, received);
  return true;
}

// Readable when a child has ended; SIGCHLD is blocked.
Descriptor descriptor_of_child_ends() {
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  return Descriptor{signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK)};
}

// --- A line process ------------------------------------------------------------------------------------------------

// Serves the queue, one command at a time.
class LineProcess {
public:
  explicit LineProcess(const Confinement& confinement)
      : child_ended_(descriptor_of_child_ends()), launcher_(confinement.limits) {}

  [[noreturn]] void serve() {
    while (receive(queue_number, received_)) {
      put_in_place(received_);
      if (is_wanted()) run_command();
      for (Descriptor& descriptor : received_.descriptors) descriptor.close();
    }
    _exit(0);
  }

private:
  Descriptor child_ended_;
  Launcher launcher_;
  ReceivedRequest received_;
  ReceivedRequest told_;

  bool is_wanted() const;
  void run_command();
  void attend(pid_t command);
  bool has_ended(pid_t command) const;
  void answer(const Reply& reply) const {
    send(received_[Passed::conversation].get(), &reply, sizeof(reply), MSG_NOSIGNAL);
  }
};

// Nobody has withdrawn it, and its node still lives.
bool LineProcess::is_wanted() const {
  eventfd_t one = 0;
  pollfd node{received_[Passed::conversation].get(), 0, 0};
  return eventfd_read(received_[Passed::claim].get(), &one) == 0 && poll(&node, 1, 0) == 0;
}

void LineProcess::run_command() {
  if (!received_[Passed::standard_output] || !received_[Passed::standard_error])
    return answer({Step::descriptors, EMFILE, Clock::now(), Clock::now()});
  if (received_.request.has_body_file != 0 && !read_body_file(received_))
    return answer({Step::descriptors, errno, Clock::now(), Clock::now()});
  const TimePoint began = Clock::now();
  const Launched command = launcher_.launch(received_);
  for (const Passed given : {Passed::standard_output, Passed::standard_error, Passed::standard_input})
    received_.descriptors[static_cast<std::size_t>(given)].close();
  if (command.step != Step::begun) return answer({command.step, command.error, began, Clock::now()});
  if (received_.request.says_begun != 0) answer({Step::begun, 0, began, {}});
  attend(command.process);
  int status = 0;
  rusage usage{};
  wait4(command.process, &status, 0, &usage);
  answer({Step::ended, 0, began, Clock::now(), status, microseconds(usage.ru_utime), microseconds(usage.ru_stime),
          usage.ru_maxrss});
}

// Until the command has ended or nobody is interested any more. The group is killed before its leader is reaped:
// until then nobody else can get its number.
void LineProcess::attend(pid_t command) {
  const int conversation = received_[Passed::conversation].get();
  std::array<pollfd, 2> watched{{{child_ended_.get(), POLLIN, 0}, {conversation, POLLIN, 0}}};
  while (true) {
    if (poll(watched.data(), watched.size(), -1) <= 0) continue;
    if (watched[0].revents != 0 && has_ended(command)) break;
    if (watched[1].revents == 0) continue;
    if (!receive(conversation, told_)) break;
    if (told_.request.kind == RequestKind::signal_group) kill(-command, told_.request.signal);
  }
  kill(-command, SIGKILL);
}

// The signal may be an older one, or say that it was stopped or continued. Leaves it to be reaped.
bool LineProcess::has_ended(pid_t command) const {
  signalfd_siginfo signal{};
  (void)!read(child_ended_.get(), &signal, sizeof(signal));
  siginfo_t state{};
  return waitid(P_PID, static_cast<id_t>(command), &state, WEXITED | WNOHANG | WNOWAIT) == 0 && state.si_pid == command;
}

// --- The zygote ----------------------------------------------------------------------------------------------------

// The parent of the lines.
class ZygoteProcess {
public:
  explicit ZygoteProcess(const ZygoteOptions& options) : options_(options), line_ended_(descriptor_of_child_ends()) {}

  [[noreturn]] void serve() {
    std::array<pollfd, 2> watched{{{control_number, POLLIN, 0}, {line_ended_.get(), POLLIN, 0}}};
    for (ReceivedRequest received; true;) {
      const int ready = poll(watched.data(), watched.size(), missing_.empty() ? -1 : fork_pause_milliseconds);
      for (const std::uint32_t number : std::exchange(missing_, {})) open_line(number);
      if (ready <= 0) continue;
      if (watched[1].revents != 0) replace_killed();
      if (watched[0].revents == 0) continue;
      if (!receive(control_number, received)) break;
      open_line(opened_++);
    }
    ::close(queue_number);
    while (wait(nullptr) > 0) {
    }
    _exit(0);
  }

private:
  const ZygoteOptions& options_;
  Descriptor line_ended_;
  std::uint32_t opened_ = 0;
  std::map<pid_t, std::uint32_t> lines_;  // And their numbers.
  std::vector<std::uint32_t> missing_;    // Of lines for which there was no process to be had.

  void open_line(std::uint32_t number);
  void replace_killed();
};

// Where there is no line at all nobody takes what stands in the queue: the zygote ends, and the node hears it. Where
// there are others, one that is missing is tried again.
void ZygoteProcess::open_line(std::uint32_t number) {
  const pid_t line = fork();
  if (line > 0) lines_.emplace(line, number);
  if (line < 0 && lines_.empty()) _exit(1);
  if (line < 0) missing_.push_back(number);
  if (line != 0) return;
  ::close(control_number);
  line_ended_.close();
  for (const auto& [name, first] : options_.line_variables)
    setenv(name.c_str(), std::to_string(first + number).c_str(), 1);
  LineProcess{options_.confinement}.serve();
}

void ZygoteProcess::replace_killed() {
  signalfd_siginfo which{};
  (void)!read(line_ended_.get(), &which, sizeof(which));
  int status = 0;
  for (pid_t line = 0; (line = waitpid(-1, &status, WNOHANG)) > 0;) {
    const std::uint32_t number = lines_[line];
    lines_.erase(line);
    if (WIFSIGNALED(status)) open_line(number);
  }
}

}  // namespace

void run_zygote(Descriptor control, Descriptor queue, const ZygoteOptions& options) {
  become_zygote(std::move(control), std::move(queue));
  if (!confine(options.confinement)) _exit(1);
  ZygoteProcess{options}.serve();
}

}  // namespace ventile::zygote
