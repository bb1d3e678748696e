// Starts commands from many threads without ever forking the process that has threads and ZeroMQ contexts.
//
// start() forks a small process, the zygote, before the first thread exists. It forks line processes, as many as
// commands run at the same time; each has one thread, starts commands, reaps them, sends them the signals that it is
// told to send, and decides nothing. Commands that are ready to run stand in one queue (a socket that all lines read),
// and a line whose command has ended takes the next by itself, without waking anybody in between. Each command comes
// with a conversation of its own (a socket pair):
//
//   slot                           line process                       command
//    | -- argv, pipes' ends -> queue > | -- new process group, exec --> |
//    | <------------------- its output through the pipes -------------- |
//    | -- TERM, later KILL ----------> | -- to the whole group -------> |
//    | <- exit status, rusage -------- | <- ends; its group is killed - |
//
// When the node ends, however it ends (SIGKILL, too), conversations and queue reach their end of file, and the line
// processes kill every process group that they started. What outlives its command or its node is only what has left the
// group by setsid() or setpgid(): a true daemon, or what an interactive shell put into a job of its own. If a line
// process itself is killed, the kernel kills its command, but not that one's children, and the zygote forks another.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <ventile/base/result.hpp>
#include <ventile/task/confinement.hpp>
#include <ventile/task/process.hpp>

namespace ventile {

struct ZygoteOptions {
  // So many commands run at once; others wait in the queue, in the order in which they came.
  std::uint32_t lines_max = std::numeric_limits<std::uint32_t>::max();
  // Variables in which a command finds the number of its line: one from 0, or from what is said here.
  std::vector<std::pair<std::string, std::uint32_t>> line_variables;
  Confinement confinement;  // Of all commands.
};

// What may happen before a command runs.
struct Queueing {
  std::stop_token withdraw;         // Requested before the command has begun: it never does.
  std::function<void()> on_queued;  // Called on the caller's thread: whoever comes from now on stands behind it.
};

class Zygote {
public:
  // Forks. Call it before any thread is started and before any descriptor or lock matters: the zygote closes all
  // descriptors but its own and answers to no signal but SIGKILL (a Ctrl-C at the terminal is for the node to handle).
  static Result<Zygote> start(const ZygoteOptions& options = {});

  Zygote(Zygote&&) noexcept;
  Zygote& operator=(Zygote&&) noexcept;
  // No run() may be in progress. Waits until the zygote has killed what is left and ended.
  ~Zygote();

  // Runs one command to its end, from any thread and from many at once. A command that cannot be started, or that ends
  // badly, is an outcome; an error means that this machine is out of descriptors or that the zygote is gone.
  //
  // The command has its own process group, no terminal, default signal handling, no descriptors but 0, 1 and 2, and
  // standard input from a file in memory. When its first process has ended the rest of its group is killed, so nobody
  // waits for a grandchild that keeps the pipes open; what was written before is in the outcome.
  Result<ProcessOutcome> run(const Command& command, std::stop_token stop = {}, const Queueing& queueing = {}) const;

private:
  class Lines;
  std::unique_ptr<Lines> lines_;

  explicit Zygote(std::unique_ptr<Lines> lines);
};

}  // namespace ventile
