#include <tests/system/process.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace ventile {
namespace {

// Between fork and exec: only what is safe in a signal handler.
[[noreturn]] void become(const std::vector<char*>& arguments, const std::string& folder, int input, int output,
                         int errors, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent || (!folder.empty() && chdir(folder.c_str()) != 0)) _exit(127);
  if (input < 0) input = open("/dev/null", O_RDONLY);
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) _exit(127);
  execv(arguments.front(), arguments.data());
  _exit(127);
}

std::string line_of(const std::string& text, std::string_view wanted) {
  const std::size_t at = text.find(wanted);
  if (at == std::string::npos) return {};
  const std::size_t end = text.find('\n', at);
  if (end == std::string::npos) return {};  // It is still being written.
  const std::size_t before = text.rfind('\n', at);
  const std::size_t begin = before == std::string::npos ? 0 : before + 1;
  return text.substr(begin, end - begin);
}

std::size_t count_of(const std::string& text, std::string_view wanted) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(wanted, at)) != std::string::npos; at += wanted.size()) ++count;
  return count;
}

}  // namespace

Process::Process(const Launch& launch) : name_(std::filesystem::path{launch.arguments.front()}.filename()) {
  std::vector<char*> arguments;
  for (const std::string& argument : launch.arguments) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> output{};
  std::array<int, 2> errors{};
  if (pipe2(output.data(), O_CLOEXEC) != 0 || pipe2(errors.data(), O_CLOEXEC) != 0)
    throw std::system_error{errno, std::generic_category(), "pipe"};
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ == 0) become(arguments, launch.folder, launch.input, output[1], errors[1], parent);
  close(output[1]);
  close(errors[1]);
  if (pid_ < 0) throw std::system_error{errno, std::generic_category(), "fork"};
  pid_descriptor_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pid_descriptor_ < 0) throw std::system_error{errno, std::generic_category(), "pidfd_open"};
  output_pipe_ = output[0];
  errors_pipe_ = errors[0];
  fcntl(output_pipe_, F_SETFL, O_NONBLOCK);
  fcntl(errors_pipe_, F_SETFL, O_NONBLOCK);
  fcntl(pid_descriptor_, F_SETFD, FD_CLOEXEC);
  reader_ = std::thread([this] { read_all(); });
}

Process::~Process() {
  kill();
  reader_.join();
  close(output_pipe_);
  close(errors_pipe_);
  close(pid_descriptor_);
}

// By descriptor: the number may be somebody else's by now.
void Process::signal(int number) const { syscall(SYS_pidfd_send_signal, pid_descriptor_, number, nullptr, 0); }

bool Process::gather(int descriptor, std::string& into) {
  std::array<char, 65536> piece;
  const ssize_t count = read(descriptor, piece.data(), piece.size());
  if (count <= 0) return false;
  const std::lock_guard lock{mutex_};
  into.append(piece.data(), static_cast<std::size_t>(count));
  changed_.notify_all();
  return true;
}

// Until the process has ended, not until its pipes have: what it started may hold them longer.
void Process::read_all() {
  std::array<pollfd, 3> watched{pollfd{output_pipe_, POLLIN, 0}, pollfd{errors_pipe_, POLLIN, 0},
                                pollfd{pid_descriptor_, POLLIN, 0}};
  while (watched[2].revents == 0) {
    poll(watched.data(), watched.size(), -1);
    if (watched[0].revents != 0 && !gather(output_pipe_, output_)) watched[0].fd = -1;
    if (watched[1].revents != 0 && !gather(errors_pipe_, errors_)) watched[1].fd = -1;
  }
  while (gather(output_pipe_, output_)) {
  }
  while (gather(errors_pipe_, errors_)) {
  }
  int status = 0;
  waitpid(pid_, &status, 0);
  const std::lock_guard lock{mutex_};
  ending_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  ended_ = true;
  changed_.notify_all();
}

bool Process::wait_until(std::unique_lock<std::mutex>& lock, const std::function<bool()>& reached,
                         std::string_view what) {
  const bool in_time = changed_.wait_for(lock, guard, [&] { return reached() || ended_; });
  if (!in_time) ADD_FAILURE() << name_ << " hangs; waited for " << what;
  return reached();
}

std::string Process::line_with(std::string_view text) {
  std::unique_lock lock{mutex_};
  std::string line;
  const auto found = [&] { return !(line = line_of(errors_, text)).empty(); };
  if (!wait_until(lock, found, text)) ADD_FAILURE() << name_ << " did not say '" << text << "'; it said:\n" << errors_;
  return line;
}

void Process::lines_with(std::string_view text, std::size_t count) {
  std::unique_lock lock{mutex_};
  if (!wait_until(
          lock, [&] { return count_of(errors_, text) >= count; }, text))
    ADD_FAILURE() << name_ << " said '" << text << "' fewer than " << count << " times";
}

void Process::output_lines(std::size_t count) {
  std::unique_lock lock{mutex_};
  if (!wait_until(
          lock, [&] { return count_of(output_, "\n") >= count; }, "its output"))
    ADD_FAILURE() << name_ << " wrote " << count_of(output_, "\n") << " lines and not " << count;
}

int Process::wait() {
  std::unique_lock lock{mutex_};
  if (wait_until(
          lock, [this] { return ended_; }, "its end"))
    return ending_;
  kill();
  changed_.wait(lock, [this] { return ended_; });
  return ending_;
}

bool Process::ends_before(const Process& other) const {
  std::array<pollfd, 2> watched{pollfd{pid_descriptor_, POLLIN, 0}, pollfd{other.pid_descriptor_, POLLIN, 0}};
  if (poll(watched.data(), watched.size(), static_cast<int>(std::chrono::milliseconds{guard}.count())) < 1)
    ADD_FAILURE() << "neither " << name_ << " nor " << other.name_ << " ends";
  return watched[1].revents == 0;
}

bool Process::running() {
  const std::lock_guard lock{mutex_};
  return !ended_;
}

std::string Process::errors() {
  const std::lock_guard lock{mutex_};
  return errors_;
}

std::string Process::output() {
  const std::lock_guard lock{mutex_};
  return output_;
}

}  // namespace ventile
