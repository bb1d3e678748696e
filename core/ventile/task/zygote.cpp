#include <ventile/task/zygote.hpp>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <system_error>
#include <vector>

#include <ventile/task/call.hpp>

namespace ventile {
namespace {

using zygote::cannot_make;
using zygote::Line;
using zygote::Reply;
using zygote::Step;

std::string reason(int error) { return std::system_category().message(error); }

std::optional<std::string> objection(const Command& command) {
  if (command.argv.empty()) return "the command is empty: it must name a program.";
  std::size_t bytes = command.directory.size();
  bool has_nul = command.directory.find('\0') != std::string::npos;
  for (const std::string& argument : command.argv) {
    bytes += argument.size() + 1;
    has_nul |= argument.find('\0') != std::string::npos;
  }
  for (const auto& [name, value] : command.environment) {
    bytes += name.size() + value.size() + 2;
    has_nul |= (name + value).find('\0') != std::string::npos;
    if (name.empty() || name.find('=') != std::string::npos)
      return "'" + name + "' cannot name an environment variable.";
  }
  if (has_nul) return "the command has a NUL byte, which no argument, variable or directory can carry.";
  if (bytes > command_bytes_max) {
    return "the arguments and environment of '" + command.argv.front() + "' are too large: " + std::to_string(bytes) +
           " bytes; the system's limit is below " + std::to_string(command_bytes_max) + ".";
  }
  return std::nullopt;
}

std::string start_error(const Command& command, const Reply& reply) {
  const std::string program = "'" + command.argv.front() + "'";
  switch (reply.step) {
    case Step::directory:
      return "cannot enter the directory '" + command.directory + "': " + reason(reply.error) + ".";
    case Step::process:
      return "cannot make a process for " + program + ": " + reason(reply.error) + ".";
    case Step::descriptors:
      return "cannot connect the pipes of " + program + ": " + reason(reply.error) + ".";
    default:
      break;
  }
  if (reply.error == E2BIG) {
    return "the arguments and environment of " + program +
           " are too large for the system (one argument may have 128 KiB).";
  }
  const bool sought = command.argv.front().find('/') == std::string::npos;
  if (reply.error == ENOENT && sought) return "cannot find the program " + program + " in PATH.";
  return "cannot run the program " + program + ": " + reason(reply.error) + ".";
}

void note_end(const Command& command, const Reply& reply, ProcessOutcome& outcome) {
  if (reply.step != Step::started) {
    outcome.start_error = start_error(command, reply);
    return;
  }
  if (WIFEXITED(reply.wait_status)) outcome.exit_code = WEXITSTATUS(reply.wait_status);
  if (WIFSIGNALED(reply.wait_status)) outcome.signal = WTERMSIG(reply.wait_status);
  outcome.user_seconds = static_cast<double>(reply.user_microseconds) / 1e6;
  outcome.system_seconds = static_cast<double>(reply.system_microseconds) / 1e6;
  outcome.max_rss_kilobytes = reply.max_rss_kilobytes;
}

// The child's signals stay blocked: a Ctrl-C must not catch it before it has made itself at home.
pid_t fork_without_signals() {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t process = fork();
  const int error = errno;
  if (process != 0) pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return process;
}

}  // namespace

// As many lines as commands ever ran at once. Thread-safe.
class Zygote::Lines {
public:
  Lines(pid_t process, Descriptor first) : process_(process), first_(std::move(first)) {}
  ~Lines();
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  Result<Line> take();
  void give_back(Line line);

private:
  pid_t process_;
  std::mutex mutex_;
  Descriptor first_;
  std::vector<Line> idle_;

  Result<Line> open();
};

Zygote::Lines::~Lines() {
  idle_.clear();
  first_.close();
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<Line> Zygote::Lines::take() {
  const std::lock_guard lock{mutex_};
  if (idle_.empty()) return open();
  Line line = std::move(idle_.back());
  idle_.pop_back();
  return line;
}

void Zygote::Lines::give_back(Line line) {
  const std::lock_guard lock{mutex_};
  idle_.push_back(std::move(line));
}

Result<Line> Zygote::Lines::open() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return cannot_make("a line to the zygote");
  Line line{Descriptor{ends[0]}, Descriptor{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}};
  const Descriptor far_end{ends[1]};
  if (!line.stop_event) return cannot_make("a line to the zygote");
  const std::array<int, 1> descriptors{far_end.get()};
  const zygote::Request request{zygote::RequestKind::open_line};
  if (!zygote::send_request(first_.get(), request, {}, descriptors)) return zygote::zygote_gone();
  return line;
}

Zygote::Zygote(std::unique_ptr<Lines> lines) : lines_(std::move(lines)) {}
Zygote::Zygote(Zygote&&) noexcept = default;
Zygote& Zygote::operator=(Zygote&&) noexcept = default;
Zygote::~Zygote() = default;

Result<Zygote> Zygote::start() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return cannot_make("a line to the zygote");
  Descriptor near_end{ends[0]};
  Descriptor far_end{ends[1]};
  const pid_t process = fork_without_signals();
  if (process < 0) return cannot_make("the process that starts commands");
  if (process == 0) zygote::run_zygote(std::move(far_end));
  return Zygote{std::make_unique<Lines>(process, std::move(near_end))};
}

Result<ProcessOutcome> Zygote::run(const Command& command, std::stop_token stop) const {
  ProcessOutcome outcome;
  outcome.stopped = stop.stop_requested();
  outcome.start_error = objection(command);
  if (outcome.stopped || outcome.start_error) return outcome;
  Result<Line> line = lines_->take();
  if (!line) return line.error();
  Result<Reply> reply = zygote::zygote_gone();
  {
    const std::stop_callback wake{std::move(stop), [&] { (void)eventfd_write(line->stop_event.get(), 1); }};
    reply = zygote::Call{*line, command, outcome}.carry_out();
  }
  if (!reply) return reply.error();  // The line is closed; if the command runs, the zygote kills it.
  eventfd_t ignored = 0;
  (void)eventfd_read(line->stop_event.get(), &ignored);
  lines_->give_back(std::move(*line));
  note_end(command, *reply, outcome);
  return outcome;
}

}  // namespace ventile
