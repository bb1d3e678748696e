// A process that a test starts, listens to, and is sure to be rid of.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace ventile {

// Nothing that works takes as long: it ends a test that would hang.
inline constexpr std::chrono::seconds guard{100};

struct Launch {
  std::vector<std::string> arguments;  // The program's path first.
  std::string folder;                  // Where it runs.
  int input = -1;                      // Its standard input; -1: empty. Stays the caller's.
};

// What it writes is gathered as it comes, by a thread. Every wait is for an event and ends, with a failure of the test,
// at the guard. The process dies with this object, or with the test program.
class Process {
public:
  explicit Process(const Launch& launch);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }
  void signal(int number) const;
  void kill() const { signal(SIGKILL); }

  // The first line on stderr that contains `text`; empty, and the test has failed, if the process ends without it.
  std::string line_with(std::string_view text);
  // Has so many lines on stderr with that text, or on stdout at all; the test fails if it ends with fewer.
  void lines_with(std::string_view text, std::size_t count);
  void output_lines(std::size_t count);
  // Its exit code, or minus the signal that ended it.
  int wait();
  bool running();
  // Waits until one of the two has ended. True if it is this one.
  bool ends_before(const Process& other) const;

  std::string errors();  // What has come on stderr so far; all of it after wait().
  std::string output();  // The same of stdout.

private:
  std::string name_;
  pid_t pid_ = -1;
  int pid_descriptor_ = -1;
  int output_pipe_ = -1;
  int errors_pipe_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string output_;
  std::string errors_;
  bool ended_ = false;
  int ending_ = 0;
  std::thread reader_;

  void read_all();
  bool gather(int descriptor, std::string& into);
  bool wait_until(std::unique_lock<std::mutex>& lock, const std::function<bool()>& reached, std::string_view what);
};

}  // namespace ventile
