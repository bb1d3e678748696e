// The log of tasks that have ended, in the columns of GNU Parallel:
//
//   Seq  Host  Starttime  JobRuntime  Send  Receive  Exitval  Signal  Command
//
// with a tab between them. Command is as quoted_for_reading() writes it, so that a task is one line whatever its
// arguments hold.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nodes/run/task_report.hpp>
#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {

struct JobLogEntry {
  std::uint64_t sequence = 0;
  std::string host = ":";  // This machine.
  double started = 0;      // Seconds since 1970.
  double seconds = 0;
  std::uint64_t sent = 0;       // Bytes of the task's standard input.
  std::uint64_t received = 0;   // Bytes that it wrote on stdout.
  std::int64_t exit_value = 0;  // -1: it ran out of time, or never started.
  std::int32_t signal = 0;
  std::string command;

  bool succeeded() const { return exit_value == 0 && signal == 0; }
  bool operator==(const JobLogEntry&) const = default;
};

std::string to_line(const JobLogEntry& entry);  // With its end.
Result<JobLogEntry> parse_job_log_line(std::string_view line);

// Writes. Used by one thread.
class JobLog {
public:
  // Begins a new log in the place of whatever is there, or goes on with the one that is.
  static Result<std::unique_ptr<JobLog>> open(const std::string& path, bool go_on);

  void add(const JobLogEntry& entry) { text_ += to_line(entry); }
  // Hands everything to the operating system. What could not be written is kept.
  Status flush();

private:
  std::string path_;
  Descriptor file_;
  std::string text_;

  JobLog(std::string path, Descriptor file) : path_(std::move(path)), file_(std::move(file)) {}
};

// Every entry of a log, in order. Code::unavailable if there is no such file, Code::invalid with the line's number if
// it is none. A last line without its end, as a crash may leave it, is passed over.
Result<std::vector<JobLogEntry>> read_job_log(const std::string& path);

// Which commands need not run again. What counts is the command's text, not its position: arguments may come, go and
// change places. A command that occurs twice has to have ended twice.
class DoneCommands {
public:
  // `only_succeeded`: what has failed the last time it ran is not done.
  DoneCommands(const std::vector<JobLogEntry>& log, bool only_succeeded);

  // True if the command is done; each is taken once.
  bool take(const std::string& command);

private:
  std::unordered_map<std::string, std::uint64_t> left_;
};

}  // namespace ventile
