#include <nodes/run/live_output.hpp>

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <nodes/io/file_error.hpp>

namespace ventile {

Status write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd writable{descriptor, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return file_error("write", descriptor == STDERR_FILENO ? "standard error" : "standard output");
    }
  }
  return {};
}

std::string tagged(std::string_view text, std::string_view tag, bool& at_line_start) {
  if (tag.empty()) return std::string{text};
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end == std::string_view::npos ? end : end + 1);
    if (at_line_start) out += tag;
    out += line;
    at_line_start = end != std::string_view::npos;
    text.remove_prefix(line.size());
  }
  return out;
}

Status LiveOutput::write(int descriptor, std::string_view text) {
  const std::lock_guard lock{mutex_};
  return write_all(descriptor, text);
}

LiveTurn::LiveTurn(LiveOutput& output) : output_(output) {
  const std::lock_guard lock{output_.mutex_};
  number_ = output_.turns_++;
  output_.present_.insert(number_);
}

LiveTurn::~LiveTurn() {
  const std::lock_guard lock{output_.mutex_};
  output_.present_.erase(number_);
  output_.left_.notify_all();
}

void LiveTurn::wait() const {
  std::unique_lock lock{output_.mutex_};
  output_.left_.wait(lock, [this] { return !output_.in_turn_ || *output_.present_.begin() == number_; });
}

Status LiveLines::add(std::string_view chunk) {
  partial_.append(chunk);
  const std::size_t end = partial_.rfind('\n') + 1;  // npos + 1 is 0.
  const std::size_t ready = partial_.size() > line_bytes_max ? partial_.size() : end;
  if (ready == 0) return {};
  bool at_line_start = true;
  const std::string lines = tagged(std::string_view{partial_}.substr(0, ready), tag_, at_line_start);
  partial_.erase(0, ready);
  turn_.wait();
  return output_.write(descriptor_, lines);
}

Status LiveLines::finish() {
  if (partial_.empty()) return {};
  bool at_line_start = true;
  turn_.wait();
  return output_.write(descriptor_, tagged(std::exchange(partial_, {}), tag_, at_line_start));
}

}  // namespace ventile
