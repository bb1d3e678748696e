#include <nodes/run/joblog.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <nodes/io/file_error.hpp>
#include <nodes/quantity.hpp>
#include <nodes/run/quoting.hpp>

namespace ventile {
namespace {

constexpr std::string_view header = "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";
constexpr double seconds_max = 1e12;

std::string_view without_blanks(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return text;
}

}  // namespace

std::string to_line(const JobLogEntry& entry) {
  return fmt::format("{}\t{}\t{:.3f}\t{:10.3f}\t{}\t{}\t{}\t{}\t{}\n", entry.sequence, entry.host, entry.started,
                     entry.seconds, entry.sent, entry.received, entry.exit_value, entry.signal, entry.command);
}

Result<JobLogEntry> parse_job_log_line(std::string_view line) {
  std::array<std::string_view, 9> columns;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::size_t tab = i + 1 < columns.size() ? line.find('\t') : line.size();
    if (tab == std::string_view::npos)
      return Error{Code::invalid, "expected 9 columns with tabs between them, found " + std::to_string(i + 1)};
    columns[i] = line.substr(0, tab);
    line.remove_prefix(std::min(tab + 1, line.size()));
  }
  JobLogEntry entry;
  const auto count = [&](std::size_t column, std::int64_t min) {
    return parse_integer(without_blanks(columns[column]), min, INT64_MAX);
  };
  const auto seconds = [&](std::size_t column) { return parse_real(without_blanks(columns[column]), 0, seconds_max); };
  const auto sequence = count(0, 0);
  const auto started = seconds(2);
  const auto ran = seconds(3);
  const auto sent = count(4, 0);
  const auto received = count(5, 0);
  const auto exit_value = count(6, INT64_MIN);
  const auto signal = count(7, 0);
  for (const auto* number : {&sequence, &sent, &received, &exit_value, &signal})
    if (!*number) return number->error();
  for (const auto* number : {&started, &ran})
    if (!*number) return number->error();
  entry.sequence = static_cast<std::uint64_t>(*sequence);
  entry.host = columns[1];
  entry.started = *started;
  entry.seconds = *ran;
  entry.sent = static_cast<std::uint64_t>(*sent);
  entry.received = static_cast<std::uint64_t>(*received);
  entry.exit_value = *exit_value;
  entry.signal = static_cast<std::int32_t>(*signal);
  entry.command = columns[8];
  return entry;
}

Result<std::unique_ptr<JobLog>> JobLog::open(const std::string& path, bool go_on) {
  const bool to_stdout = path == "-";
  Descriptor file{to_stdout ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                            : ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | (go_on ? 0 : O_TRUNC), 0666)};
  if (!file) return file_error("open", path);
  std::unique_ptr<JobLog> log{new JobLog{path, std::move(file)}};
  const off_t end = to_stdout ? 0 : ::lseek(log->file_.get(), 0, SEEK_END);
  if (end <= 0) {
    log->text_ = header;
  } else {
    char last = '\n';
    if (::pread(log->file_.get(), &last, 1, end - 1) == 1 && last != '\n') log->text_ = "\n";  // A torn line stays one.
  }
  return log;
}

Status JobLog::flush() {
  while (!text_.empty()) {
    const ssize_t written = ::write(file_.get(), text_.data(), text_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return file_error("write", path_);
    text_.erase(0, static_cast<std::size_t>(written));
  }
  return {};
}

Result<std::vector<JobLogEntry>> read_job_log(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return file_error("open", path);
  std::vector<JobLogEntry> entries;
  std::string line;
  for (std::size_t number = 1; std::getline(file, line); ++number) {
    if (file.eof()) break;  // Torn: it has no end.
    if (line.empty() || line + "\n" == header) continue;
    Result<JobLogEntry> entry = parse_job_log_line(line);
    if (!entry)
      return Error{Code::invalid,
                   path + ":" + std::to_string(number) + ": no line of a job log: " + entry.error().message};
    entries.push_back(std::move(*entry));
  }
  return entries;
}

DoneCommands::DoneCommands(const std::vector<JobLogEntry>& log, bool only_succeeded) {
  // As it would be written today: earlier versions wrote bytes that are no characters as they are.
  const auto as_written_now = [](const std::string& command) {
    const std::vector<std::string> words = words_of_quoted(command);
    return words.empty() ? command : quoted_for_reading(words);
  };
  // Of several entries of one task the last counts.
  std::map<std::pair<std::string, std::uint64_t>, const JobLogEntry*> last;
  for (const JobLogEntry& entry : log) last[{as_written_now(entry.command), entry.sequence}] = &entry;
  for (const auto& [task, entry] : last)
    if (!only_succeeded || entry->succeeded()) ++left_[task.first];
}

bool DoneCommands::take(const std::string& command) {
  const auto found = left_.find(command);
  if (found == left_.end()) return false;
  if (--found->second == 0) left_.erase(found);
  return true;
}

}  // namespace ventile
