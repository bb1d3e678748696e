// What a node says on stderr: log lines, errors, and a progress bar that none of them tears.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <nodes/exit_code.hpp>
#include <ventile/base/log.hpp>

namespace ventile {

struct ConsoleOptions {
  std::string program;  // Begins every line: "ventile-worker: …".
  Level level = Level::info;
  bool json = false;  // Errors that end the program are JSON documents.
  int descriptor = 2;
  bool terminal = false;
  bool color = false;
};

// Looks at stderr and NO_COLOR. `quiet` and `verbose` choose the level.
ConsoleOptions console_options(std::string program, bool quiet, bool verbose, bool json);

// Thread-safe. Whatever a peer managed to get into a line, no control character reaches the terminal.
class Console {
public:
  explicit Console(ConsoleOptions options);
  ~Console();  // Removes the bar.
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  // One line, if its level is not below the console's.
  void write(Level level, std::string_view line) const { log_.write(level, line); }
  // A Log for drivers; it may outlive the console.
  const Log& log() const { return log_; }

  // The last words: "program: message" and the hint, or {"error":{"code","message","hint"}} in one line. A message that
  // is the last error written already, by a driver when it happened, or ends with it, is not said twice.
  void error(ExitCode code, std::string_view message, std::string_view hint = "");

  // Shows a line that stays below all others until it is replaced or, with an empty one, removed.
  // On a terminal only; elsewhere nothing happens.
  void set_bar(std::string_view line);

  bool is_terminal() const;
  std::size_t columns() const;  // Of the terminal now; 80 if unknown.

private:
  class Screen;
  ConsoleOptions options_;
  std::shared_ptr<Screen> screen_;
  Log log_;

  Log make_log() const;
};

// Says why a program ends before it has begun: help on stdout, errors on stderr. Returns what main returns.
int say(const ExitNow& exit, const std::string& program);

}  // namespace ventile
