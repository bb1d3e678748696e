#include <ventile/isolation/slot_process.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <ventile/task/process.hpp>

namespace ventile::isolation {
namespace {

constexpr timeval patience{30, 0};                  // For a child that takes nothing from its stream.
constexpr std::size_t error_tail_bytes_max = 4096;  // Of stderr, kept for the message.

Error cannot_make(const char* what) { return {Code::unavailable, std::string{what} + ": " + std::strerror(errno)}; }

bool make_pair(int type, Descriptor& near, Descriptor& far) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) != 0) return false;
  near = Descriptor{ends[0]};
  far = Descriptor{ends[1]};
  return true;
}

bool make_pipe(Descriptor& read_end, Descriptor& write_end) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return false;
  read_end = Descriptor{ends[0]};
  write_end = Descriptor{ends[1]};
  return fcntl(read_end.get(), F_SETFL, O_NONBLOCK) == 0;
}

Begun* share_memory(Descriptor& descriptor) {
  descriptor = Descriptor{memfd_create("ventile-slot", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!descriptor || ftruncate(descriptor.get(), sizeof(Begun)) != 0) return nullptr;
  (void)fcntl(descriptor.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);  // Reading it cannot hurt us.
  void* const memory = mmap(nullptr, sizeof(Begun), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.get(), 0);
  return memory == MAP_FAILED ? nullptr : new (memory) Begun;
}

Descriptor& of(PassedDescriptors& passed, Passed which) { return passed[static_cast<std::size_t>(which)]; }

timespec left_until(TimePoint until) {
  const auto left = std::clamp<Duration>(until - Clock::now(), Duration::zero(), std::chrono::hours{1});
  const auto seconds = std::chrono::floor<std::chrono::seconds>(left);
  return {static_cast<time_t>(seconds.count()), static_cast<long>(Duration{left - seconds}.count())};
}

}  // namespace

// --- One child ---------------------------------------------------------------------------------------------------

Result<std::unique_ptr<SlotProcess>> SlotProcess::start(int server) {
  PassedDescriptors passed;
  Descriptor stream;
  Descriptor orders;
  Descriptor end;
  Descriptor error;
  if (!make_pair(SOCK_STREAM, stream, of(passed, Passed::stream)) ||
      !make_pair(SOCK_SEQPACKET, orders, of(passed, Passed::orders)) ||
      !make_pair(SOCK_SEQPACKET, end, of(passed, Passed::end)) || !make_pipe(error, of(passed, Passed::error)))
    return cannot_make("the sockets of a slot's process");
  (void)setsockopt(stream.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  Begun* const begun = share_memory(of(passed, Passed::begun));
  if (begun == nullptr) return cannot_make("the memory of a slot's process");
  std::unique_ptr<SlotProcess> made{
      new SlotProcess{std::move(stream), std::move(orders), std::move(end), std::move(error), begun}};
  if (Status asked = ask_for_child(server, passed); !asked) return asked.error();
  return made;
}

SlotProcess::SlotProcess(Descriptor stream, Descriptor orders, Descriptor end, Descriptor error, Begun* begun)
    : stream_(std::move(stream)),
      orders_(std::move(orders)),
      end_(std::move(end)),
      error_(std::move(error)),
      begun_(begun),
      reader_(stream_.get()) {}

SlotProcess::~SlotProcess() {
  if (error_) pass_on_stderr();
  munmap(begun_, sizeof(Begun));
}

Status SlotProcess::send(const std::string& function, const Batch& batch, std::uint32_t begin, std::uint32_t end,
                         std::uint32_t slot) {
  const TaskJob& job = batch.job();
  ++group_;
  if (job_ != job.id) {
    const Buffer body = pack_to_buffer(Job{job.id, function, job.constants, job.index, job.timeout.count()});
    if (Status sent = write_message(stream_.get(), Kind::job, body, 0, {}); !sent) return sent;
    job_ = job.id;
  }
  const Buffer body = pack_to_buffer(Group{group_, batch.lease(), batch.slice(begin, end), batch.tries(), slot});
  if (job.index.enabled) return write_message(stream_.get(), Kind::group, body, 0, {});
  PayloadWriter payloads{0};
  payloads.append(batch.payloads(), begin, end - begin);
  const std::uint32_t count = payloads.count();
  return write_message(stream_.get(), Kind::group, body, count, payloads.take());
}

SlotProcess::Happened SlotProcess::wait(Incoming& message, TimePoint until) {
  for (;;) {
    switch (reader_.next(message, false)) {
      case MessageReader::Got::message:
        if (message.kind == Kind::results) return Happened::results;
        if (message.kind == Kind::end) return Happened::group_end;
        [[fallthrough]];
      case MessageReader::Got::nonsense:
        kill();
        return Happened::died;
      case MessageReader::Got::end:
        return Happened::died;
      case MessageReader::Got::nothing_yet:
        break;
    }
    std::array<pollfd, 2> polled{pollfd{stream_.get(), POLLIN, 0}, pollfd{error_.get(), POLLIN, 0}};
    const timespec left = left_until(until);
    const int ready = ppoll(polled.data(), polled.size(), &left, nullptr);
    if (ready == 0) return Happened::time;
    if (polled[1].revents != 0) pass_on_stderr();
  }
}

void SlotProcess::order(Order::What what) {
  const Order order{what, group_};
  (void)::send(orders_.get(), &order, sizeof order, MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool SlotProcess::said(Said& said) {
  return recv(orders_.get(), &said, sizeof said, MSG_DONTWAIT) == sizeof said && said.text_bytes <= sizeof said.text;
}

// At its end poll would find it readable for ever.
void SlotProcess::pass_on_stderr() {
  std::array<char, 4096> chunk{};
  for (;;) {
    const ssize_t size = read(error_.get(), chunk.data(), chunk.size());
    if (size < 0 && errno == EINTR) continue;
    if (size == 0) error_.close();
    if (size <= 0) return;
    const auto count = static_cast<std::size_t>(size);
    (void)!write(STDERR_FILENO, chunk.data(), count);
    error_tail_.append(chunk.data(), count);
    if (error_tail_.size() > error_tail_bytes_max) error_tail_.erase(0, error_tail_.size() - error_tail_bytes_max);
  }
}

int SlotProcess::wait_status() {
  int status = 0;
  ssize_t size = 0;
  do {
    size = recv(end_.get(), &status, sizeof status, 0);
  } while (size < 0 && errno == EINTR);
  return size == sizeof status ? status : SIGKILL;  // We killed it, or the server has ended.
}

std::string SlotProcess::how_it_ended() {
  const int status = end_ ? wait_status() : SIGKILL;
  if (error_) pass_on_stderr();
  std::string how;
  if (WIFSIGNALED(status)) {
    how = "ended by signal " + std::to_string(WTERMSIG(status)) + " (" + sigdescr_np(WTERMSIG(status)) + ")";
  } else {
    how = "ended with exit status " + std::to_string(WEXITSTATUS(status));
  }
  const std::string_view said = last_line(error_tail_);
  return said.empty() ? how : how + ": " + std::string{said};
}

// --- All of them -------------------------------------------------------------------------------------------------

SlotProcesses::SlotProcesses(Server server, IsolationOptions options)
    : server_(std::move(server)), options_(std::move(options)) {
  for (std::uint32_t i = 0; i < options_.slots; ++i)
    if (auto process = SlotProcess::start(server_.requests.get())) idle_.push_back(*std::move(process));
}

SlotProcesses::~SlotProcesses() {
  idle_.clear();
  server_.requests.close();
  while (waitpid(server_.process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::unique_ptr<SlotProcess> SlotProcesses::take(bool fresh) {
  {
    const std::lock_guard lock{mutex_};
    const auto found = std::find_if(idle_.rbegin(), idle_.rend(),
                                    [&](const auto& process) { return !fresh || process->groups() == 0; });
    if (found != idle_.rend()) {
      std::unique_ptr<SlotProcess> taken = std::move(*found);
      idle_.erase(std::next(found).base());
      return taken;
    }
  }
  auto started = SlotProcess::start(server_.requests.get());
  if (started) return *std::move(started);
  options_.on_gone("no process can be made for a slot: " + started.error().message);
  return nullptr;
}

void SlotProcesses::give_back(std::unique_ptr<SlotProcess> process) {
  const std::lock_guard lock{mutex_};
  if (idle_.size() < options_.slots) idle_.push_back(std::move(process));
}

}  // namespace ventile::isolation
