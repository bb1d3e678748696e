// Commands as values: what to run, how it ended, and how a line of text becomes an argument list without a shell.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// Linux accepts no more than this for arguments and environment together, whatever the stack limit.
inline constexpr std::size_t command_bytes_max = 6U << 20;

// A program to run. No shell is involved.
struct Command {
  std::vector<std::string> argv;  // The first names the program: a path if it has a slash, else sought in PATH.
  std::vector<std::pair<std::string, std::string>> environment;  // Added to the inherited one, or put in place of it.
  std::string directory;                                         // Where to run; empty: where the node was started.
  std::string standard_input;                                    // Empty: /dev/null.
  std::size_t stdout_bytes_max = 16U << 20;                      // What is beyond is read and dropped.
  std::size_t stderr_tail_bytes = 16U << 10;                     // What is before the tail is read and dropped.
  Duration timeout{0};                                           // 0: none. Then SIGTERM to the whole group …
  Duration kill_after = std::chrono::seconds{2};                 // … and after this grace SIGKILL.
  int nice = 0;                                                  // Added to the niceness of the node.

  // Called on the caller's thread with what the command writes, as it comes; then nothing of it is kept in the outcome.
  // An error ends the command by SIGKILL and becomes the outcome's output_error.
  std::function<Status(std::string_view)> on_stdout;
  std::function<Status(std::string_view)> on_stderr;
  bool inherit_output = false;  // It writes to the node's own stdout and stderr: nothing is seen of what it writes.

  // In place of `timeout`, for one that is not known beforehand: asked at the start and once a second; 0: none yet.
  std::function<Duration()> time_limit;
};

// How a command ended: one of start_error, exit_code, signal and withdrawn says it.
struct ProcessOutcome {
  std::optional<std::string> start_error;   // It never ran; a sentence that names the program, directory or limit.
  int exit_code = -1;                       // -1: it did not end by exiting.
  int signal = 0;                           // 0: no signal ended it.
  bool timed_out = false;                   // It was told to end because its time was over.
  bool stopped = false;                     // It was told to end, or never began, because of the stop token.
  bool withdrawn = false;                   // It never began, for it was stopped before, or withdrawn.
  std::optional<std::string> output_error;  // It was killed because on_stdout or on_stderr said so.
  std::string standard_output;
  bool stdout_truncated = false;
  std::string stderr_tail;
  double user_seconds = 0;  // Of the program and of those children that it waited for.
  double system_seconds = 0;
  TimePoint began;  // When it was started, or could not be; what it has waited for a line is before.
  double wall_seconds = 0;
  long max_rss_kilobytes = 0;  // Never below the few megabytes of the process that starts commands.
};

// The last line that says something, without blanks at its end; empty if none does.
std::string_view last_line(std::string_view text);

// Splits as sh does: blanks separate words, '…' keeps everything, "…" keeps all but a backslash before $ ` " \ and
// line end, a backslash keeps the next character. Nothing is expanded: $, *, ~ and | are ordinary. Invalid if a quote
// is left open (the message says which and where) or a backslash ends the text.
Result<std::vector<std::string>> split_words(std::string_view text);

// Puts `text` in the place of every {} of every word, or adds it as the last word if there is no {}. However many
// blanks and quotes it holds, it never becomes two words. Invalid if it has a NUL, which no argument can carry.
Result<std::vector<std::string>> expand(const std::vector<std::string>& words, std::string_view text);

}  // namespace ventile
