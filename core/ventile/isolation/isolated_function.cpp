#include <ventile/isolation/isolated_function.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include <ventile/task/run.hpp>

namespace ventile::isolation {
namespace {

constexpr Duration group_duration = std::chrono::microseconds{500};
constexpr Duration first_look = std::chrono::microseconds{300};  // What is behind a task that takes longer comes out.
constexpr Duration look_interval = std::chrono::milliseconds{100};
constexpr Duration unwanted_max = std::chrono::milliseconds{100};  // For the end of a task that is not ours any more.
constexpr std::uint32_t causeless_deaths_max = 3;                  // Of processes that died before they began.
constexpr std::uint32_t nobody = UINT32_MAX;

// One pass of a slot.
class Pass {
public:
  Pass(const std::string& name, SlotProcesses& processes, TaskRun& run, bool repeatable)
      : name_(name), processes_(processes), run_(run), repeatable_(repeatable) {}

  void go() {
    for (bool more = run_.next(); more;) more = run_group();
    if (process_) processes_.give_back(std::move(process_));
  }

private:
  const std::string& name_;
  SlotProcesses& processes_;
  TaskRun& run_;
  bool repeatable_;
  std::unique_ptr<SlotProcess> process_;

  // A task whose process died, or that found no memory, in company: it shall run alone before that counts.
  std::uint32_t suspect_ = nobody;
  std::uint32_t deaths_alone_ = 0;
  std::uint32_t causeless_deaths_ = 0;

  enum class KilledFor : std::uint8_t { nothing, timeout, cancelled };

  // The group that runs: tasks [first_, end_) of the batch.
  std::uint32_t first_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t next_ = 0;  // Whose outcome comes next: the run's current task, while `ours`.
  bool alone_ = false;      // In a process that never ran another.
  bool retire_ = false;     // Its process has had its time.
  bool more_ = true;        // There is a current task.
  bool ours_ = true;        // What comes is still wanted.
  KilledFor killed_for_ = KilledFor::nothing;
  std::optional<TimePoint> told_to_stop_;
  TimePoint look_at_;
  Duration look_after_ = first_look;

  // Runs the current task and those behind it that the claim has. True if there is a current task then.
  bool run_group() {
    begin();
    const Status sent = process_->send(name_, run_.batch(), first_, end_, run_.slot());
    if (!sent || !follow()) return on_death();
    if (retire_) process_.reset();
    return more_;
  }

  // Until the group has ended. False: its process died.
  bool follow() {
    const std::stop_callback on_stop{run_.stop_token(), [this] { process_->stop(); }};
    Incoming message;
    for (;;) {
      switch (process_->wait(message, wake_at())) {
        case SlotProcess::Happened::results:
          take(message);
          break;
        case SlotProcess::Happened::group_end:
          return take_end(message);
        case SlotProcess::Happened::died:
          return false;
        case SlotProcess::Happened::time:
          on_time(Clock::now());
      }
    }
  }

  void begin() {
    first_ = next_ = run_.offset();
    end_ = std::max(run_.claim_end(), first_ + 1);
    const bool suspected = suspect_ == first_;
    if (suspected) end_ = first_ + 1;
    if (suspect_ > first_) end_ = std::min(end_, suspect_);
    more_ = ours_ = true;
    retire_ = false;
    killed_for_ = KilledFor::nothing;
    told_to_stop_.reset();
    look_after_ = first_look;
    look_at_ = Clock::now() + look_after_;
    if (suspected && process_ && process_->groups() > 0) processes_.give_back(std::move(process_));
    if (!process_) process_ = processes_.take(suspected);
    if (!process_) throw TaskFailure{"isolation", "there is no process that could run it"};
    alone_ = process_->groups() == 0 && end_ == first_ + 1;
  }

  // --- Results ---

  void take(const Incoming& message) {
    const Result<Ended> ended = unpack_from<Ended>(message.body);
    if (!ended || (ours_ && message.payloads.count() > end_ - next_)) return process_->kill();
    auto failed = ended->failed.begin();
    for (std::uint32_t i = 0; i < message.payloads.count() && ours_; ++i) {
      const bool has_failed = failed != ended->failed.end() && *failed == i;
      if (has_failed) ++failed;
      settle(message.payloads[i], has_failed);
    }
  }

  void settle(Bytes payload, bool has_failed) {
    if (has_failed) {
      const FailureText error = read_error(payload);
      if (error.kind == "std::bad_alloc" && !alone_ && repeatable_ && processes_.options().memory_bytes_max != 0) {
        suspect_ = next_;
        return turn_away();
      }
      run_.fail(error);
    } else {
      run_.finish(Packed::view(payload));
    }
    go_on();
  }

  // The current task has its outcome.
  void go_on() {
    if (suspect_ == next_) {
      suspect_ = nobody;
      deaths_alone_ = 0;
    }
    causeless_deaths_ = 0;
    ++next_;
    look_after_ = first_look;
    look_at_ = Clock::now() + look_after_;
    more_ = run_.next();
    if (!more_ || next_ == end_ || run_.offset() != next_) turn_away();
  }

  void turn_away() {
    ours_ = false;
    look_at_ = Clock::now() + unwanted_max;
    if (next_ < end_) process_->abandon();
  }

  // False if less came than there should.
  bool take_end(const Incoming& message) {
    const Result<GroupEnd> end = unpack_from<GroupEnd>(message.body);
    if (!end || ours_) {
      process_->kill();
      return false;
    }
    retire_ = end->retire;
    return true;
  }

  // --- Time ---

  TimePoint wake_at() const { return std::min(look_at_, deadline()); }

  TimePoint deadline() const {
    const Duration timeout = run_.job().timeout;
    if (timeout == Duration::zero() || !ours_ || !process_->has_begun()) return never;
    return process_->running_since() + timeout;
  }

  void on_time(TimePoint now) {
    if (!ours_) return process_->kill();
    if (now >= deadline()) return kill_for(KilledFor::timeout);
    if (run_.stop_token().stop_requested()) {
      if (!told_to_stop_) told_to_stop_ = now;
      if (now - *told_to_stop_ >= processes_.options().kill_after) return kill_for(KilledFor::cancelled);
    }
    process_->look();
    if (Said said; process_->said(said) && said.number == run_.number())
      run_.say(static_cast<double>(said.permille) / Milestone::permille_max, {said.text, said.text_bytes});
    look_after_ = std::min(look_after_ * 4, look_interval);
    look_at_ = now + look_after_;
  }

  void kill_for(KilledFor reason) {
    killed_for_ = reason;
    process_->kill();
  }

  // --- Death ---

  bool on_death() {
    const std::unique_ptr<SlotProcess> dead = std::move(process_);
    if (!ours_) return more_;
    const bool begun = dead->has_begun() && dead->running() < end_ - first_ && first_ + dead->running() >= next_;
    if (!begun) {
      if (++causeless_deaths_ < causeless_deaths_max) return true;
      const std::string why = "the processes of slots do not live: one " + dead->how_it_ended();
      processes_.options().on_gone(why);
      throw TaskFailure{"isolation", why};
    }
    const std::uint32_t culprit = first_ + dead->running();
    if (culprit != next_) {  // Those before it only lost their results.
      suspect_ = culprit;
      deaths_alone_ = 0;
      return true;
    }
    if (killed_for_ == KilledFor::timeout) {
      run_.fail({"timeout", overdue_text(Clock::now() - dead->running_since(), run_.job().timeout), {}});
    } else if (killed_for_ == KilledFor::cancelled) {
      run_.fail({"cancelled", "it did not stop when it was told to, and was killed", {}});
    } else if (!blame(*dead)) {
      return true;
    }
    ours_ = true;
    go_on();
    return more_;
  }

  // False: it runs once more.
  bool blame(SlotProcess& dead) {
    if (alone_) ++deaths_alone_;
    suspect_ = next_;
    if (repeatable_ && deaths_alone_ < processes_.options().crashes_max) return false;
    const std::string how = "its process " + dead.how_it_ended();
    run_.give_up({"crash", deaths_alone_ > 1 ? how + " (" + std::to_string(deaths_alone_) + " times)" : how, {}});
    return true;
  }
};

TaskTraits isolated(TaskTraits traits) {
  traits.enforces_timeout = true;
  traits.claim = group_duration;
  return traits;
}

}  // namespace

IsolatedFunction::IsolatedFunction(std::string name, const TaskTraits& traits, std::shared_ptr<SlotProcesses> processes)
    : TaskFunction(isolated(traits)), name_(std::move(name)), processes_(std::move(processes)) {}

void IsolatedFunction::run(TaskRun& run) const { Pass{name_, *processes_, run, traits().repeatable}.go(); }

}  // namespace ventile::isolation
