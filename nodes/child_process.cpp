#include <nodes/child_process.hpp>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <ventile/base/turns.hpp>

namespace ventile {
namespace {

constexpr int not_executed = 127;

Error system_error(const std::string& what) { return Error{Code::unavailable, what + ": " + std::strerror(errno)}; }

// Between fork and exec, where other threads of ours may hold any lock: system calls only.
[[noreturn]] void become(const char* program, char* const* words, int standard_error, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // On TERM a worker would first finish what it has.
  if (getppid() != parent) _exit(not_executed);
  setpgid(0, 0);
  have_usual_turns();
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int nothing = open("/dev/null", O_RDWR);
  dup2(nothing, STDIN_FILENO);
  dup2(nothing, STDOUT_FILENO);
  if (standard_error >= 0) dup2(standard_error, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  execv(program, words);
  _exit(not_executed);
}

}  // namespace

std::string to_text(const ChildEnding& ending) {
  if (ending.signal == 0) return "exit code " + std::to_string(ending.code);
  return "signal " + std::to_string(ending.signal) + " (" + strsignal(ending.signal) + ")";
}

Result<ChildProcess> ChildProcess::start(const ChildCommand& command) {
  std::vector<std::string> copies = command.words;
  std::vector<char*> pointers;
  for (std::string& word : copies) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t process = fork();
  if (process < 0) return system_error("cannot start a process");
  if (process == 0) become(command.program.c_str(), pointers.data(), command.standard_error, parent);
  ChildProcess child{process, -1};
  // By number: the function of glibc 2.36 is not declared for C++.
  child.descriptor_ = static_cast<int>(syscall(SYS_pidfd_open, process, 0));
  if (child.descriptor_ < 0) return system_error("cannot watch a process");
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : process_(std::exchange(other.process_, -1)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      ending_(other.ending_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(process_, other.process_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(ending_, other.ending_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (process_ > 0 && !ending_) {
    kill(process_, SIGKILL);
    while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (descriptor_ >= 0) close(descriptor_);
}

void ChildProcess::signal(int number) const {
  if (!ending_) kill(process_, number);  // Not yet waited for, so the number is still its own.
}

std::optional<ChildEnding> ChildProcess::ending() {
  if (ending_) return ending_;
  int status = 0;
  if (waitpid(process_, &status, WNOHANG) != process_) return std::nullopt;
  ending_ = WIFSIGNALED(status) ? ChildEnding{0, WTERMSIG(status)} : ChildEnding{WEXITSTATUS(status), 0};
  return ending_;
}

}  // namespace ventile
