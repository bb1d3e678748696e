#include <ventile/task/zygote.hpp>

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
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
using zygote::Lane;
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
  outcome.began = reply.began;
  outcome.wall_seconds = to_seconds(reply.ended - reply.began);
  if (reply.step != Step::ended) {
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

// As many lines as commands ever ran at once, but `lines_max` at most; as many lanes as threads ever ran commands.
// Thread-safe.
class Zygote::Lines {
public:
  Lines(pid_t process, Descriptor control, Descriptor queue, std::uint32_t lines_max)
      : process_(process), control_(std::move(control)), queue_(std::move(queue)), lines_max_(lines_max) {}
  ~Lines();
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  int queue() const { return queue_.get(); }
  Result<Lane> take();
  void give_back(Lane lane);
  // For one that is not given back.
  void drop();

private:
  pid_t process_;
  Descriptor control_;
  Descriptor queue_;
  std::uint32_t lines_max_;
  std::mutex mutex_;
  std::vector<Lane> idle_;
  std::uint32_t busy_ = 0;
  std::uint32_t lines_ = 0;

  Status open_line();
};

Zygote::Lines::~Lines() {
  queue_.close();
  control_.close();
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<Lane> Zygote::Lines::take() {
  const std::lock_guard lock{mutex_};
  if (busy_ == lines_ && lines_ < lines_max_)
    if (Status opened = open_line(); !opened) return opened.error();
  Lane lane;
  if (idle_.empty()) {
    lane = {Descriptor{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}, Descriptor{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}};
    if (!lane.stop_event || !lane.claim) return cannot_make("the events of a command");
  } else {
    lane = std::move(idle_.back());
    idle_.pop_back();
  }
  ++busy_;
  return lane;
}

void Zygote::Lines::give_back(Lane lane) {
  const std::lock_guard lock{mutex_};
  idle_.push_back(std::move(lane));
  --busy_;
}

void Zygote::Lines::drop() {
  const std::lock_guard lock{mutex_};
  --busy_;
}

Status Zygote::Lines::open_line() {
  if (!zygote::send_request(control_.get(), {zygote::RequestKind::open_line})) return zygote::zygote_gone();
  ++lines_;
  return {};
}

Zygote::Zygote(std::unique_ptr<Lines> lines) : lines_(std::move(lines)) {}
Zygote::Zygote(Zygote&&) noexcept = default;
Zygote& Zygote::operator=(Zygote&&) noexcept = default;
Zygote::~Zygote() = default;

Result<Zygote> Zygote::start(const ZygoteOptions& options) {
  std::array<int, 2> control{};
  std::array<int, 2> queue{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control.data()) != 0)
    return cannot_make("a line to the zygote");
  Descriptor near_control{control[0]};
  Descriptor far_control{control[1]};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, queue.data()) != 0)
    return cannot_make("the queue of commands");
  Descriptor near_queue{queue[0]};
  Descriptor far_queue{queue[1]};
  const pid_t process = fork_without_signals();
  if (process < 0) return cannot_make("the process that starts commands");
  if (process == 0) zygote::run_zygote(std::move(far_control), std::move(far_queue), options);
  return Zygote{std::make_unique<Lines>(process, std::move(near_control), std::move(near_queue),
                                        std::max(1U, options.lines_max))};
}

Result<ProcessOutcome> Zygote::run(const Command& command, std::stop_token stop, const Queueing& queueing) const {
  ProcessOutcome outcome;
  outcome.stopped = outcome.withdrawn = stop.stop_requested();
  outcome.start_error = objection(command);
  outcome.withdrawn |= queueing.withdraw.stop_requested();
  outcome.began = Clock::now();  // For one that cannot be started.
  if (outcome.withdrawn || outcome.start_error) return outcome;
  Result<Lane> lane = lines_->take();
  if (!lane) return lane.error();
  Result<std::optional<Reply>> reply = zygote::zygote_gone();
  {
    zygote::Call call{lines_->queue(), *lane, command, stop, queueing, outcome};
    const auto wake = [&] { (void)eventfd_write(lane->stop_event.get(), 1); };
    const std::stop_callback stopped{std::move(stop), wake};
    const std::stop_callback withdrawn{queueing.withdraw, [&] {
                                         call.withdraw();  // At once: whoever asked for it may say so.
                                         wake();
                                       }};
    reply = call.carry_out();
  }
  // After an error the conversation is closed; if the command runs, its line kills it. What was withdrawn still stands
  // in the queue, and would take the claim of whoever used its lane next.
  if (!reply || !*reply) lines_->drop();
  if (!reply) return reply.error();
  if (!*reply) return outcome;
  eventfd_t ignored = 0;
  (void)eventfd_read(lane->stop_event.get(), &ignored);
  lines_->give_back(std::move(*lane));
  note_end(command, **reply, outcome);
  return outcome;
}

}  // namespace ventile
