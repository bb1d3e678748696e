// Inside of the zygote: what it is told, what it answers, and its life. Private to this folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/task/descriptor.hpp>
#include <ventile/task/zygote.hpp>

namespace ventile::zygote {

// What a node may ask. Each message is one packet: a Request, then its body.
enum class RequestKind : std::uint32_t {
  open_line,    // To the zygote itself: fork one more line process. No answer.
  run_command,  // Into the queue, with the descriptors below. Body: directory, argv…, NAME=VALUE…, each ended by NUL.
                // Answered, in its conversation, by one Reply when it has ended or could not be started, and by one
                // before when it has begun, if that was asked for.
  signal_group,  // In a command's conversation: to its group, if it still runs. No answer.
};

struct Request {
  RequestKind kind = RequestKind::open_line;
  std::uint32_t argument_count = 0;  // run_command
  std::uint32_t has_input = 0;       // run_command: as 0 or 1, and so on.
  std::uint32_t has_body_file = 0;   // The body is too large for a packet.
  std::uint32_t says_begun = 0;
  std::int32_t signal = 0;  // signal_group
  std::int32_t nice = 0;    // run_command
};

// What comes along with run_command, in this order; the last two only if the request says so.
enum class Passed : std::size_t {
  conversation,
  claim,  // An eventfd with 1 in it: who reads that has the command, a line to run it or the node to withdraw it.
  standard_output,
  standard_error,
  standard_input,
  body_file,
};
inline constexpr std::size_t passed_max = 6;
inline constexpr std::size_t packet_body_bytes_max = 16U << 10;

// How far a command came before something failed.
enum class Step : std::uint32_t { descriptors, process, directory, program, begun, ended };

struct Reply {
  Step step = Step::ended;
  std::int32_t error = 0;  // errno of the failed step.
  TimePoint began;
  TimePoint ended;
  std::int32_t wait_status = 0;  // As waitpid gives it, and so on.
  std::int64_t user_microseconds = 0;
  std::int64_t system_microseconds = 0;
  std::int64_t max_rss_kilobytes = 0;
};

struct ReceivedRequest {
  Request request;
  std::array<Descriptor, passed_max> descriptors;
  std::vector<char> body;

  const Descriptor& operator[](Passed which) const { return descriptors[static_cast<std::size_t>(which)]; }
};

// The life of the forked child. Closes every descriptor but these two. Forks a process for each line, so that commands
// start side by side: a process that starts one stands still until it executes, which takes long when every processor
// is busy. Ends when `control` and then all lines have ended.
[[noreturn]] void run_zygote(Descriptor control, Descriptor queue, const ZygoteOptions& options);

}  // namespace ventile::zygote
