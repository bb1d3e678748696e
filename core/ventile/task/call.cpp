#include <ventile/task/call.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace ventile::zygote {
namespace {

std::string body_of(const Command& command) {
  std::string body = command.directory + '\0';
  for (const std::string& argument : command.argv) body.append(argument) += '\0';
  for (const auto& [name, value] : command.environment) body.append(name).append(1, '=').append(value) += '\0';
  return body;
}

// A file in memory, to be read from its beginning.
Result<Descriptor> file_with(std::string_view text, const char* what) {
  Descriptor file{memfd_create("ventile-command", MFD_CLOEXEC)};
  if (!file) return cannot_make(what);
  while (!text.empty()) {
    const ssize_t written = write(file.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) return cannot_make(what);
    text.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
  }
  lseek(file.get(), 0, SEEK_SET);
  return file;
}

// Reads once what is there, at most `most` bytes, and hands it to `keep`. Closes the pipe at its end.
template <class Keep>
std::size_t read_chunk(Descriptor& pipe, const Keep& keep, std::size_t most = SIZE_MAX) {
  std::array<char, 64U << 10> chunk;
  const ssize_t count = read(pipe.get(), chunk.data(), std::min(most, chunk.size()));
  if (count <= 0) {
    pipe.close();
    return 0;
  }
  keep(std::string_view{chunk.data(), static_cast<std::size_t>(count)});
  return static_cast<std::size_t>(count);
}

// Reads what is in the pipe now. Its end may never come, for somebody outside the group may hold it.
template <class Keep>
void drain(Descriptor& pipe, const Keep& keep) {
  int waiting = 0;
  if (!pipe || ioctl(pipe.get(), FIONREAD, &waiting) != 0) return;
  for (auto left = static_cast<std::size_t>(waiting); pipe && left > 0;) left -= read_chunk(pipe, keep, left);
}

TimePoint after(TimePoint now, Duration wait) { return wait > never - now ? never : now + wait; }

// What is left until `time`, for ppoll.
timespec until(TimePoint time) {
  const Duration left = std::max(time - Clock::now(), Duration::zero());
  return {left / std::chrono::seconds{1}, (left % std::chrono::seconds{1}).count()};
}

}  // namespace

Error cannot_make(std::string_view what) {
  return {Code::unavailable, "cannot make " + std::string{what} + ": " + std::system_category().message(errno) + "."};
}

Error zygote_gone() {
  return {Code::disconnected, "the process that starts commands (ventile-zygote) is gone: restart this node."};
}

Error line_gone() {
  return {Code::disconnected,
          "the process that ran this command (a ventile-zygote) was killed, and the command with it."};
}

bool send_request(int socket, const Request& request, std::string_view body, std::span<const int> passed) {
  std::array<iovec, 2> parts{
      {{const_cast<Request*>(&request), sizeof(request)}, {const_cast<char*>(body.data()), body.size()}}};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(passed_max * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = parts.size();
  if (!passed.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(passed.size_bytes());
    cmsghdr* const rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(passed.size_bytes());
    std::memcpy(CMSG_DATA(rights), passed.data(), passed.size_bytes());
  }
  while (true) {
    if (sendmsg(socket, &message, MSG_NOSIGNAL) >= 0) return true;
    if (errno != EINTR) return false;
  }
}

Result<std::optional<Reply>> Call::carry_out() {
  if (Status started = start(); !started) return started.error();
  Result<std::optional<Reply>> reply = attend();
  drain(stdout_.read_end, [this](std::string_view chunk) { keep_stdout(chunk); });
  drain(stderr_.read_end, [this](std::string_view chunk) { keep_stderr(chunk); });
  shorten_stderr();
  return reply;
}

bool Call::open(Pipe& pipe) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  pipe.read_end = Descriptor{ends[0]};
  pipe.write_end = Descriptor{ends[1]};
  return true;
}

Status Call::start() {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0)
    return cannot_make("a conversation with a command's line");
  conversation_ = Descriptor{ends[0]};
  const Descriptor far_end{ends[1]};
  std::vector<int> passed{far_end.get(), lane_.claim.get(), STDOUT_FILENO, STDERR_FILENO};
  if (!command_.inherit_output) {
    if (!open(stdout_) || !open(stderr_)) return cannot_make("the pipes of a command");
    passed[2] = stdout_.write_end.get();
    passed[3] = stderr_.write_end.get();
  }
  Request request{RequestKind::run_command};
  request.argument_count = static_cast<std::uint32_t>(command_.argv.size());
  request.nice = command_.nice;
  request.says_begun = has_limit() ? 1 : 0;
  Descriptor input;
  if (!command_.standard_input.empty()) {
    Result<Descriptor> file = file_with(command_.standard_input, "a file for a command's standard input");
    if (!file) return file.error();
    input = std::move(*file);
    passed.push_back(input.get());
    request.has_input = 1;
  }
  std::string body = body_of(command_);
  Descriptor body_file;
  if (body.size() > packet_body_bytes_max) {
    Result<Descriptor> file = file_with(body, "a file for the arguments of a command");
    if (!file) return file.error();
    body_file = std::move(*file);
    passed.push_back(body_file.get());
    request.has_body_file = 1;
    body.clear();
  }
  if (eventfd_write(lane_.claim.get(), 1) != 0) return cannot_make("a command's claim");
  if (!send_request(queue_, request, body, passed))
    return errno == EPIPE || errno == ECONNRESET ? zygote_gone() : cannot_make("a place in the queue of commands");
  if (queueing_.on_queued) queueing_.on_queued();
  return {};
}

// Until its line answers, or it is withdrawn.
Result<std::optional<Reply>> Call::attend() {
  while (true) {
    std::array<pollfd, 4> watched{{{conversation_.get(), POLLIN, 0},
                                   {outcome_.stopped ? -1 : lane_.stop_event.get(), POLLIN, 0},
                                   {stdout_.read_end.get(), POLLIN, 0},
                                   {stderr_.read_end.get(), POLLIN, 0}}};
    const TimePoint next = std::min(signal_at_, ask_at_);
    const timespec wait = until(next);
    const int ready = ppoll(watched.data(), watched.size(), next == never ? nullptr : &wait, nullptr);
    if (ready < 0 && errno != EINTR) return cannot_make("a wait for a command");
    if (ready < 0) continue;
    if (watched[2].revents != 0) read_chunk(stdout_.read_end, [this](std::string_view chunk) { keep_stdout(chunk); });
    if (watched[3].revents != 0) read_chunk(stderr_.read_end, [this](std::string_view chunk) { keep_stderr(chunk); });
    if (watched[0].revents != 0) {
      Result<Reply> reply = receive_reply();
      if (!reply && is_withdrawn()) {  // Its line has come to it, and passed over it.
        outcome_.withdrawn = true;
        return std::optional<Reply>{};
      }
      // Its group was killed because of that, at times before the line had left it.
      if (!reply && outcome_.output_error) return Error{Code::failed, *outcome_.output_error};
      if (!reply) return reply.error();
      if (reply->step != Step::begun) return std::optional{*reply};
      on_begun(reply->began);
    }
    if (watched[1].revents != 0 && !on_stop()) return std::optional<Reply>{};
    if (next != never) on_time(Clock::now());
  }
}

Result<Reply> Call::receive_reply() const {
  Reply reply;
  if (recv(conversation_.get(), &reply, sizeof(reply), 0) != ssize_t{sizeof(reply)}) return line_gone();
  return reply;
}

bool Call::withdraw() {
  const std::lock_guard lock{withdrawing_};
  eventfd_t one = 0;
  withdrawn_ = withdrawn_ || eventfd_read(lane_.claim.get(), &one) == 0;
  return withdrawn_;
}

bool Call::is_withdrawn() {
  const std::lock_guard lock{withdrawing_};
  return withdrawn_;
}

// False if it will never begin. A command that has begun does not mind that it should have been withdrawn.
bool Call::on_stop() {
  eventfd_t ignored = 0;
  (void)eventfd_read(lane_.stop_event.get(), &ignored);
  outcome_.stopped = stop_.stop_requested();
  outcome_.withdrawn = withdraw();
  if (outcome_.stopped && !outcome_.withdrawn && next_signal_ == SIGTERM) signal_group(Clock::now());
  return !outcome_.withdrawn;
}

void Call::on_begun(TimePoint began) {
  began_ = began;
  if (command_.timeout > Duration::zero()) signal_at_ = after(began, command_.timeout);
  if (command_.time_limit) ask_time_limit(Clock::now());
}

void Call::ask_time_limit(TimePoint now) {
  const Duration limit = command_.time_limit();
  signal_at_ = limit > Duration::zero() ? after(began_, limit) : never;
  ask_at_ = after(now, std::chrono::seconds{1});
}

void Call::on_time(TimePoint now) {
  if (now >= ask_at_ && next_signal_ == SIGTERM) ask_time_limit(now);
  if (now < signal_at_) return;
  outcome_.timed_out |= next_signal_ == SIGTERM;
  signal_group(now);
}

// Should the zygote be gone, its line says so next.
void Call::signal_group(TimePoint now) {
  Request request{RequestKind::signal_group};
  request.signal = next_signal_;
  (void)send_request(conversation_.get(), request);
  signal_at_ = next_signal_ == SIGTERM ? after(now, command_.kill_after) : never;
  next_signal_ = SIGKILL;
  ask_at_ = never;
}

void Call::on_output_error(const Error& error) {
  if (outcome_.output_error) return;
  outcome_.output_error = error.message;
  next_signal_ = SIGKILL;
  signal_group(Clock::now());
}

void Call::keep_stdout(std::string_view chunk) {
  if (command_.on_stdout) {
    if (Status taken = command_.on_stdout(chunk); !taken) on_output_error(taken.error());
    return;
  }
  const std::size_t room = command_.stdout_bytes_max - outcome_.standard_output.size();
  outcome_.stdout_truncated |= chunk.size() > room;
  outcome_.standard_output.append(chunk.substr(0, room));
}

void Call::keep_stderr(std::string_view chunk) {
  if (command_.on_stderr) {
    if (Status taken = command_.on_stderr(chunk); !taken) on_output_error(taken.error());
    return;
  }
  outcome_.stderr_tail.append(chunk);
  if (outcome_.stderr_tail.size() / 2 > command_.stderr_tail_bytes) shorten_stderr();
}

void Call::shorten_stderr() {
  std::string& tail = outcome_.stderr_tail;
  if (tail.size() > command_.stderr_tail_bytes) tail.erase(0, tail.size() - command_.stderr_tail_bytes);
}

}  // namespace ventile::zygote
