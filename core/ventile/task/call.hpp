// One command as its slot sees it: from the request in the queue to the reply. Private to this folder.
#pragma once

#include <csignal>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>
#include <ventile/task/process.hpp>
#include <ventile/task/zygote_process.hpp>

namespace ventile::zygote {

// What a slot needs for one command at a time, and then for another.
struct Lane {
  Descriptor stop_event;  // An eventfd by which a stop token wakes the slot.
  Descriptor claim;       // See Passed::claim.
};

// "cannot make `what`: " and the reason, which is errno.
Error cannot_make(std::string_view what);
Error zygote_gone();
Error line_gone();

// Sends a packet with its descriptors, which stay the caller's. False if nobody hears it any more.
bool send_request(int socket, const Request& request, std::string_view body = {}, std::span<const int> passed = {});

// Used once, on a lane that nothing else uses at the time. Fills in what it hears and measures of the outcome.
class Call {
public:
  Call(int queue, const Lane& lane, const Command& command, std::stop_token stop, const Queueing& queueing,
       ProcessOutcome& outcome)
      : queue_(queue), lane_(lane), command_(command), stop_(std::move(stop)), queueing_(queueing), outcome_(outcome) {}

  // Puts the command into the queue, then serves its pipes and the clock until its line answers; or nothing, if it was
  // withdrawn. After an error the command is ended, should it have begun.
  Result<std::optional<Reply>> carry_out();
  // From any thread, while carry_out() runs or before. A command that stands in the queue will not begin any more; one
  // that does not stand there yet is left alone. The lane's stop event tells carry_out(). Whether it is withdrawn.
  bool withdraw();

private:
  // Both ends of a pipe of which the command writes to one. We keep that one, too, until the command has ended: the end
  // of the pipe would wake us just before the reply does, twice per command, and tell us nothing.
  struct Pipe {
    Descriptor read_end;
    Descriptor write_end;
  };

  int queue_;
  const Lane& lane_;
  const Command& command_;
  std::stop_token stop_;
  const Queueing& queueing_;
  ProcessOutcome& outcome_;
  std::mutex withdrawing_;
  bool withdrawn_ = false;
  Descriptor conversation_;
  Pipe stdout_;
  Pipe stderr_;
  TimePoint began_;
  TimePoint signal_at_ = never;  // The time-out, or when its grace is over.
  TimePoint ask_at_ = never;     // When time_limit is asked again.
  int next_signal_ = SIGTERM;

  static bool open(Pipe& pipe);
  bool has_limit() const { return command_.timeout > Duration::zero() || command_.time_limit; }
  Status start();
  Result<std::optional<Reply>> attend();
  Result<Reply> receive_reply() const;
  bool is_withdrawn();
  bool on_stop();
  void on_begun(TimePoint began);
  void on_time(TimePoint now);
  void ask_time_limit(TimePoint now);
  void on_output_error(const Error& error);
  void signal_group(TimePoint now);
  void keep_stdout(std::string_view chunk);
  void keep_stderr(std::string_view chunk);
  void shorten_stderr();
};

}  // namespace ventile::zygote
