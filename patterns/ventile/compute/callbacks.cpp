#include <ventile/compute/callbacks.hpp>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <utility>

namespace ventile::detail {

struct Callbacks::State {
  Log log;
  std::mutex mutex;
  std::condition_variable work;
  std::deque<std::function<void()>> queue;
  bool begun = false;
  bool ends = false;

  void serve();
};

Callbacks::Callbacks(Log log) : state_(std::make_shared<State>()) { state_->log = std::move(log); }

void Callbacks::post(std::function<void()> function) {
  {
    const std::lock_guard lock{state_->mutex};
    state_->queue.push_back(std::move(function));
    if (!std::exchange(state_->begun, true)) thread_ = std::thread([state = state_] { state->serve(); });
  }
  state_->work.notify_one();
}

void Callbacks::State::serve() {
  std::unique_lock lock{mutex};
  for (;;) {
    work.wait(lock, [this] { return ends || !queue.empty(); });
    if (queue.empty()) return;
    std::function<void()> function = std::move(queue.front());
    queue.pop_front();
    lock.unlock();
    try {
      function();
    } catch (const std::exception& exception) {
      log.error(std::string{"a callback threw: "} + exception.what());
    } catch (...) {
      log.error("a callback threw something that is not a std::exception");
    }
    function = {};  // What it holds may end here, without the lock.
    lock.lock();
  }
}

Callbacks::~Callbacks() {
  {
    const std::lock_guard lock{state_->mutex};
    state_->ends = true;
  }
  state_->work.notify_one();
  if (!thread_.joinable()) return;
  if (thread_.get_id() == std::this_thread::get_id())
    thread_.detach();
  else
    thread_.join();
}

}  // namespace ventile::detail
