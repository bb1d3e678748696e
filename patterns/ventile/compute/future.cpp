#include <ventile/compute/future.hpp>

namespace ventile {
namespace {

std::string sentence(const TaskReport& report) {
  std::string text = "task";
  if (!report.function.empty()) text += " '" + report.function + "'";
  text += report.outcome == Outcome::failed ? " failed" : " was " + std::string{to_string(report.outcome)};
  if (!report.worker.empty()) text += " at " + report.worker;
  if (report.tries > 1) text += " after " + std::to_string(report.tries) + " tries";
  if (!report.kind.empty() && report.kind != to_string(report.outcome)) text += ": " + report.kind;
  return text + (report.message.empty() ? "" : ": " + report.message);
}

}  // namespace

TaskError::TaskError(TaskReport report) : std::runtime_error(sentence(report)), report_(std::move(report)) {}

namespace detail {

// --- FutureState -------------------------------------------------------------------------------------------------

void FutureState::wait() {
  if (ready()) return;
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return ready(); });
}

bool FutureState::wait_until(std::chrono::steady_clock::time_point when) {
  if (ready()) return true;
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  return changed_.wait_until(lock, when, [this] { return ready(); });
}

bool FutureState::cancel() {
  std::function<bool()> cancel;
  {
    const std::lock_guard lock{mutex_};
    if (ready()) return false;
    cancel = cancel_;
  }
  return cancel && cancel();
}

void FutureState::on_cancel(std::function<bool()> cancel) {
  const std::lock_guard lock{mutex_};
  cancel_ = std::move(cancel);
}

void FutureState::become_ready(const std::function<void()>& set) {
  std::vector<std::function<void()>> waiting;
  std::function<bool()> cancel;  // May hold whatever it likes, but not longer than this.
  {
    const std::lock_guard lock{mutex_};
    if (ready()) return;
    set();
    ready_.store(true, std::memory_order_release);
    waiting.swap(at_once_);
    cancel.swap(cancel_);
  }
  changed_.notify_all();  // Without the lock, on which who wakes up would wait again.
  for (const auto& function : waiting) function();
}

void FutureState::set_error(std::exception_ptr error) {
  become_ready([&] { error_ = std::move(error); });
}

void FutureState::when_ready_at_once(std::function<void()> function) {
  {
    const std::lock_guard lock{mutex_};
    if (!ready()) {
      at_once_.push_back(std::move(function));
      return;
    }
  }
  function();
}

void FutureState::when_ready(std::function<void()> function) {
  if (callbacks_ == nullptr) return when_ready_at_once(std::move(function));
  when_ready_at_once(
      [callbacks = callbacks_, function = std::move(function)]() mutable { callbacks->post(std::move(function)); });
}

// --- ReadyQueue --------------------------------------------------------------------------------------------------

void ReadyQueue::push(std::size_t index) {
  {
    const std::lock_guard lock{mutex_};
    ready_.push_back(index);
  }
  changed_.notify_one();
}

std::size_t ReadyQueue::pop() {
  const BlockingScope lent;
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [this] { return !ready_.empty(); });
  const std::size_t index = ready_.front();
  ready_.pop_front();
  return index;
}

}  // namespace detail
}  // namespace ventile
