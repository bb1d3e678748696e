// Tasks that begin, say so, and do not end until the test lets them: how a test knows what a worker holds.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace ventile {

// For the functions of the plugin whose first argument is this gate's folder. Each number that is marked is taken by
// the first task with that number to come along; a second try of it finds no mark, and passes.
class Gate {
public:
  explicit Gate(std::string folder);  // An existing one, for nothing else.
  ~Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  const std::string& folder() const { return folder_; }
  std::string arguments() const { return "[\"" + folder_ + "\"]"; }  // For --args.

  void mark(std::int64_t number);          // Again, too, once whoever came along is dead.
  bool marked(std::int64_t number) const;  // No task has come along yet.

  struct Arrival {
    pid_t worker = 0;
    std::int64_t number = 0;
  };
  // The next marked task that has begun, and the worker that it blocks.
  Arrival next();
  // The task that waits with this number, or will, may go on.
  void open(std::int64_t number);

private:
  std::string folder_;
  int arrivals_ = -1;
  std::map<std::int64_t, int> opened_;

  std::string gate_of(std::int64_t number) const;
  std::string mark_of(std::int64_t number) const;
};

class Process;

// A worker that `start` gives, once it is in the midst of the task with this number.
Process& worker_in_the_midst(Gate& gate, std::int64_t number, const std::function<Process&()>& start);
// The same, killed there; `seen_by`, its dispatcher, has said that it is lost.
void die_in_the_midst(Gate& gate, std::int64_t number, const std::function<Process&()>& start, Process& seen_by);

}  // namespace ventile
