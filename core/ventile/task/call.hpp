// One command as its slot sees it: from the request over a line to the reply. Private to this folder.
#pragma once

#include <csignal>
#include <span>
#include <string>
#include <string_view>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>
#include <ventile/task/process.hpp>
#include <ventile/task/zygote_process.hpp>

namespace ventile::zygote {

// The slot's end of a line.
struct Line {
  Descriptor socket;
  Descriptor stop_event;  // An eventfd by which a stop token wakes the slot.
};

// "cannot make `what`: " and the reason, which is errno.
Error cannot_make(std::string_view what);
Error zygote_gone();

// Sends a request with its body and descriptors, which stay the caller's. False if the zygote is gone.
bool send_request(int line, Request request, std::string_view body = {}, std::span<const int> descriptors = {});

// Used once, on a line that nothing else uses at the time. Fills in what it hears and measures of the outcome.
class Call {
public:
  Call(const Line& line, const Command& command, ProcessOutcome& outcome)
      : line_(line), command_(command), outcome_(outcome) {}

  // Sends the command to the zygote, then serves its pipes and the clock until the zygote answers. After an error the
  // line must be closed, which ends the command.
  Result<Reply> carry_out();

private:
  // Both ends of a pipe of which the command writes to one. We keep that one, too, until the command has ended: the end
  // of the pipe would wake us just before the reply does, twice per command, and tell us nothing.
  struct Pipe {
    Descriptor read_end;
    Descriptor write_end;
  };

  const Line& line_;
  const Command& command_;
  ProcessOutcome& outcome_;
  Pipe stdout_;
  Pipe stderr_;
  TimePoint began_;
  TimePoint signal_at_ = never;  // The time-out, or when its grace is over.
  TimePoint ask_at_ = never;     // When time_limit is asked again.
  int next_signal_ = SIGTERM;

  static bool open(Pipe& pipe);
  Status start();
  Result<Reply> attend();
  Result<Reply> receive_reply() const;
  void on_stop();
  void on_time(TimePoint now);
  void ask_time_limit(TimePoint now);
  void on_output_error(const Error& error);
  void signal_group(TimePoint now);
  void keep_stdout(std::string_view chunk);
  void keep_stderr(std::string_view chunk);
  void shorten_stderr();
};

}  // namespace ventile::zygote
