// A node as a well-behaved process: it listens to signals.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nodes/exit_code.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// What a node does when it is told to stop or to look again. Called on the thread that calls Signals::on_readable.
struct SignalActions {
  // First INT or TERM: stop taking work, finish, hand back. `message` says so, and what a second one would do.
  std::function<void(const std::string& message)> drain;
  // Second INT or TERM: cancel what runs, hand back, and end with this code.
  std::function<void(ExitCode code)> cancel;
  // HUP: read the configuration and the keys again.
  std::function<void()> reload;
};

// INT, TERM and HUP as a descriptor to watch. They are blocked in the thread that makes this and in every thread that
// it starts later, so make it before any other thread, in main. PIPE is ignored: a write says EPIPE instead.
class Signals {
public:
  // Code::unavailable if the system gives no descriptor. `pause` is how long an echo is waited for; see on_readable().
  static Result<Signals> listen(SignalActions actions, std::function<void()> pause = sleep_for_echo);
  ~Signals();  // Does not unblock: the process is about to end.
  Signals(Signals&& other) noexcept;
  Signals& operator=(Signals&&) = delete;

  int descriptor() const { return descriptor_; }
  // Reads every signal that has come and calls their actions. When it is told to stop it pauses for 50 ms, and the same
  // signal again by then is no second one: timeout(1) sends it to the process, and then to its group.
  void on_readable();

private:
  SignalActions actions_;
  std::function<void()> pause_;
  int descriptor_;
  bool draining_ = false;

  Signals(SignalActions actions, std::function<void()> pause, int descriptor)
      : actions_(std::move(actions)), pause_(std::move(pause)), descriptor_(descriptor) {}
  static void sleep_for_echo();
  std::vector<int> pending() const;
  void on_signal(int signal);
};

}  // namespace ventile
