// Processes that a node starts and that never outlive it.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include <ventile/base/result.hpp>

namespace ventile {

struct ChildCommand {
  std::string program = "/proc/self/exe";  // The file; the default is this program.
  std::vector<std::string> words;          // Its arguments, its own name first.
  int standard_error = -1;                 // A descriptor that becomes its stderr; -1: it shares ours.
};

// How a process ended.
struct ChildEnding {
  int code = 0;    // If no signal ended it.
  int signal = 0;  // That ended it; 0: none.

  bool operator==(const ChildEnding&) const = default;
};

std::string to_text(const ChildEnding& ending);  // "exit code 3", "signal 9 (Killed)".

// It has a process group of its own, so that a Ctrl-C at the terminal is ours to pass on; neither input nor output; no
// descriptor of ours but stderr; no signal blocked. It is killed when this object goes, and by the system when the
// thread that started it ends, however that ends. So start it on the main thread.
class ChildProcess {
public:
  // Code::unavailable if there is no process or descriptor left. A program that cannot be executed is one that ends
  // with 127.
  static Result<ChildProcess> start(const ChildCommand& command);
  ~ChildProcess();  // Kills it, and waits until it is gone.
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  pid_t pid() const { return process_; }
  // To be watched: readable, and for ever, once it has ended.
  int descriptor() const { return descriptor_; }
  // Nothing happens if it has ended.
  void signal(int number) const;
  // Nothing while it runs. Does not wait.
  std::optional<ChildEnding> ending();

private:
  pid_t process_ = -1;
  int descriptor_ = -1;
  std::optional<ChildEnding> ending_;

  ChildProcess(pid_t process, int descriptor) : process_(process), descriptor_(descriptor) {}
};

}  // namespace ventile
