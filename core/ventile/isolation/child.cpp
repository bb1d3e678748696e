#include <ventile/isolation/child.hpp>

#include <malloc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include <ventile/isolation/messages.hpp>
#include <ventile/task/batch.hpp>
#include <ventile/task/run.hpp>

namespace ventile::isolation {
namespace {

constexpr Duration flush_after = std::chrono::microseconds{200};
constexpr std::size_t flush_bytes = std::size_t{64} << 10;

// Results travel to the slot whole, whatever their size: what is too large is decided there.
constexpr ResultLimits limits{.section_bytes_max = UINT32_MAX, .result_bytes_max = UINT32_MAX / 2};

// Private writable memory, in bytes.
std::uint64_t data_bytes() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t pages = 0;
  for (int field = 0; field < 6; ++field) statm >> pages;  // size, resident, shared, text, 0, data
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// Runs a group as if it were a slot's batch, one task a claim, so that it is known at any time which one runs.
class GroupRun final : private RunOwner {
public:
  GroupRun(int stream, Begun& begun) : stream_(stream), begun_(begun) {}

  void run(const Group& group, const std::shared_ptr<const Batch>& batch) {
    {
      const std::lock_guard lock{mutex_};
      group_ = group;
      abandoned_ = false;
      stop_ = std::stop_source{};
      RunOwner& owner = *this;
      run_.emplace(owner, RunOptions{.slot = group.slot, .limits = limits, .claim = Duration{1}, .hold = Duration{0}});
      said_ = {};
    }
    begun_.begin_group(group.id, Clock::now());
    run_->pass(*batch, 0, stop_.get_token());
    const std::lock_guard lock{mutex_};
    flush();
    run_.reset();
  }

  // From the other thread.
  void obey(const Order& order, int answers) {
    const std::lock_guard lock{mutex_};
    if (!run_ || order.group != group_.id) return;
    switch (order.what) {
      case Order::What::look:
        flush();
        say(answers);
        break;
      case Order::What::stop:
        stop_.request_stop();
        break;
      case Order::What::abandon:
        abandoned_ = true;
        break;
    }
  }

private:
  int stream_;
  Begun& begun_;

  std::mutex mutex_;  // Guards what follows.
  Group group_;
  std::optional<TaskRun> run_;  // There while a group runs.
  std::stop_source stop_;
  bool abandoned_ = false;
  PayloadWriter finished_{0};
  Ended ended_;
  TimePoint since_;
  std::optional<Milestone> said_;

  Claim claim(std::uint32_t next, std::uint32_t, TimePoint now) override {
    const std::lock_guard lock{mutex_};
    const bool waited = now - since_ >= flush_after || finished_.size() >= flush_bytes;
    if (finished_.count() != 0 && waited) flush();
    if (abandoned_ || next == group_.range.count) return {next, next};
    begun_.begin_task(next, now);
    return {next, next + 1};
  }

  void report(std::uint32_t, RunnerEvent event) override {
    const auto* const finished = std::get_if<Finished>(&event);
    if (finished == nullptr) return;  // There is no other: a group's tasks have one try here.
    const std::lock_guard lock{mutex_};
    if (finished_.count() == 0) since_ = Clock::now();
    const std::uint32_t first = finished_.count();
    const Bytes section = finished->payloads.bytes();
    const std::size_t table = std::size_t{finished->payload_count} * sizeof(std::uint32_t);
    const PayloadView payloads{section.data(), section.data() + section.size() - table, finished->payload_count};
    finished_.append(payloads, 0, payloads.count());
    for (const Failure& failure : finished->failures) ended_.failed.push_back(first + failure.offset);
  }

  void unclaim(std::uint32_t) override {}

  void flush() {
    if (finished_.count() == 0) return;
    const std::uint32_t count = finished_.count();
    const Buffer section = finished_.take();
    const Buffer body = pack_to_buffer(ended_);
    ended_.failed.clear();
    if (!write_message(stream_, Kind::results, body, count, section)) _exit(0);  // Nobody is there.
  }

  void say(int answers) {
    const std::uint32_t offset = run_->offset();
    if (offset == TaskRun::no_task) return;
    const Number number = group_.range.first + offset;
    std::optional<Milestone> last = run_->milestone_of(run_->job().id, number);
    if (!last || last == said_) return;
    said_ = last;
    Said said{number, last->permille, static_cast<std::uint32_t>(last->text.size()), {}};
    std::memcpy(said.text, last->text.data(), last->text.size());
    (void)send(answers, &said, sizeof said, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): there is one.
class Child {
public:
  Child(const TaskRegistry& tasks, const ChildOptions& options, PassedDescriptors passed, Begun& begun)
      : tasks_(tasks),
        passed_(std::move(passed)),
        reader_(descriptor(Passed::stream)),
        run_(descriptor(Passed::stream), begun),
        memory_bytes_max_(options.memory_bytes_max) {}

  // Until the slot is gone.
  void serve() {
    mallopt(M_ARENA_MAX, 1);
    std::thread{[this] { obey(); }}.detach();
    limit_memory();
    Incoming message;
    while (reader_.next(message, true) == MessageReader::Got::message) take(message);
  }

private:
  const TaskRegistry& tasks_;
  PassedDescriptors passed_;
  MessageReader reader_;
  GroupRun run_;
  std::uint64_t memory_bytes_max_;
  std::uint64_t began_with_ = 0;
  std::shared_ptr<const TaskJob> job_;

  int descriptor(Passed which) const { return passed_[static_cast<std::size_t>(which)].get(); }

  void limit_memory() {
    if (memory_bytes_max_ == 0) return;
    began_with_ = data_bytes();
    const rlimit limit{began_with_ + memory_bytes_max_, began_with_ + memory_bytes_max_};
    setrlimit(RLIMIT_DATA, &limit);
  }

  // The other thread: what cannot wait for the running task.
  [[noreturn]] void obey() {
    Order order;
    for (;;) {
      const ssize_t size = recv(descriptor(Passed::orders), &order, sizeof order, 0);
      if (size < 0 && errno == EINTR) continue;
      if (size != sizeof order) _exit(0);  // The slot is gone, whatever runs here.
      run_.obey(order, descriptor(Passed::orders));
    }
  }

  void take(const Incoming& message) {
    if (message.kind == Kind::job) {
      if (const Result<Job> job = unpack_from<Job>(message.body); job) begin(*job);
    } else if (message.kind == Kind::group) {
      if (const Result<Group> group = unpack_from<Group>(message.body); group) run(*group, message.payloads);
    }
  }

  void begin(const Job& job) {
    auto made = std::make_shared<TaskJob>();
    made->id = job.id;
    made->function = tasks_.find(job.function);
    made->constants = job.constants;
    made->index = job.index;
    made->timeout = Duration{job.timeout_nanoseconds};
    job_ = std::move(made);
  }

  void run(const Group& group, const PayloadView& payloads) {
    if (!job_ || !job_->function) _exit(0);  // Cannot be: the slot has what we have.
    const auto batch = job_->index.enabled ? std::make_shared<const Batch>(job_, group.lease, group.range, group.tries)
                                           : std::make_shared<const Batch>(job_, group.lease, group.range, group.tries,
                                                                           payloads, nullptr);
    run_.run(group, batch);
    std::fflush(nullptr);
    const bool retire = memory_bytes_max_ != 0 && data_bytes() > began_with_ + memory_bytes_max_ / 2;
    const Buffer body = pack_to_buffer(GroupEnd{group.id, retire});
    if (!write_message(descriptor(Passed::stream), Kind::end, body, 0, {})) _exit(0);
  }
};

}  // namespace

void run_child(const TaskRegistry& tasks, const ChildOptions& options, PassedDescriptors passed) {
  const auto number = [&](Passed which) { return passed[static_cast<std::size_t>(which)].get(); };
  dup2(number(Passed::error), STDERR_FILENO);
  passed[static_cast<std::size_t>(Passed::error)].close();
  void* const shared = mmap(nullptr, sizeof(Begun), PROT_READ | PROT_WRITE, MAP_SHARED, number(Passed::begun), 0);
  if (shared == MAP_FAILED) _exit(1);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  Child{tasks, options, std::move(passed), *static_cast<Begun*>(shared)}.serve();
  _exit(0);
}

}  // namespace ventile::isolation
