// Inside of the zygote: what it is told over a line, what it answers, and its life. Private to this folder.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <ventile/task/descriptor.hpp>

namespace ventile::zygote {

// What a node may ask. Each message is a Request, then `size` bytes of body.
enum class RequestKind : std::uint32_t {
  open_line,     // On the first line: serve the line whose descriptor comes along. No answer.
  run_command,   // With stdout, stderr and perhaps stdin. Body: directory, argv…, NAME=VALUE…, each ended by NUL.
                 // Answered by one Reply when the command has ended or could not be started.
  signal_group,  // To the command of this line, if it still runs. No answer.
};

struct Request {
  RequestKind kind = RequestKind::open_line;
  std::uint32_t size = 0;            // Of the body.
  std::uint32_t argument_count = 0;  // run_command
  std::int32_t signal = 0;           // signal_group
  std::int32_t nice = 0;             // run_command
};

// How far a command came before something failed.
enum class Step : std::uint32_t { descriptors, process, directory, program, started };

struct Reply {
  Step step = Step::started;
  std::int32_t error = 0;        // errno of the failed step.
  std::int32_t wait_status = 0;  // As waitpid gives it, and so on.
  std::int64_t user_microseconds = 0;
  std::int64_t system_microseconds = 0;
  std::int64_t max_rss_kilobytes = 0;
};

inline constexpr std::size_t descriptors_max = 3;  // Along with one request.

struct ReceivedRequest {
  Request request;
  std::array<Descriptor, descriptors_max> descriptors;
  std::vector<char> body;
};

// The life of the forked child. Closes every descriptor but the first line's. Forks a process for each further line,
// so that commands start side by side: a process that starts one stands still until it executes, which takes long
// when every processor is busy. Ends when the first line and then all others have ended.
[[noreturn]] void run_zygote(Descriptor line);

}  // namespace ventile::zygote
