// Signals for a node whose main thread is a reactor's: a thread that waits for them, and for deadlines.
#pragma once

#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <nodes/service.hpp>
#include <ventile/base/clock.hpp>

namespace ventile {

// `signals` were made before any other thread; this one starts when what their actions refer to exists. The actions are
// called on its thread: they post to a reactor, or are thread-safe otherwise.
class SignalThread {
public:
  explicit SignalThread(Signals signals);  // Throws std::system_error if there is no descriptor left.
  ~SignalThread();
  SignalThread(const SignalThread&) = delete;
  SignalThread& operator=(const SignalThread&) = delete;

  // Calls `function` on the signal thread after `delay`, unless the thread has ended by then. From any thread.
  void call_after(Duration delay, std::function<void()> function);

private:
  struct Deadline {
    TimePoint when;
    std::function<void()> function;
  };

  Signals signals_;
  int wake_descriptor_;
  std::mutex mutex_;
  std::vector<Deadline> deadlines_;
  bool stopping_ = false;
  std::thread thread_;

  void run();
  std::vector<std::function<void()>> take_due(TimePoint now);
  int milliseconds_to_next(TimePoint now);
  void wake();
};

}  // namespace ventile
