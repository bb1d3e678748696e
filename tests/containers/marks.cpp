// A plugin for the container tests: tasks that take a moment and leave a mark wherever they begin, so that somebody can
// count how far a job is and how often each of its tasks has run.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <ctime>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <ventile/task/plugin.hpp>

namespace {

constexpr long task_nanoseconds = 10'000'000;

void leave_mark(const std::string& text) {
  const std::string line = text + "\n";
  const int marks = open("/marks/begun", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  const bool written = write(marks, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  close(marks);
  if (!written) throw std::runtime_error("cannot write /marks/begun");
  const timespec moment{.tv_sec = 0, .tv_nsec = task_nanoseconds};
  nanosleep(&moment, nullptr);
}

std::int64_t mark(std::int64_t number) {
  leave_mark(std::to_string(number));
  return number * number;
}

std::uint64_t mark_size(const std::string& path) {
  leave_mark(path);
  return std::filesystem::file_size(path);
}

}  // namespace

VENTILE_PLUGIN(registry) {
  registry.add("mark", mark, {.repeatable = false});
  registry.add("mark_size", mark_size, {.repeatable = false});
}
