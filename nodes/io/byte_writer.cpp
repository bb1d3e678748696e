#include <nodes/io/byte_writer.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include <nodes/io/file_error.hpp>

namespace ventile {

namespace {

// Writes all of `text`, or as much as can be, and returns how much that was; errno tells why not all.
std::size_t write_all(int file, std::string_view text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(file, text.data() + written, text.size() - written);
    if (count >= 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {  // Somebody else made the pipe or terminal non-blocking.
      pollfd watched{file, POLLOUT, 0};
      ::poll(&watched, 1, -1);
    } else if (errno != EINTR) {
      break;
    }
  }
  return written;
}

}  // namespace

Result<std::unique_ptr<ByteWriter>> ByteWriter::open(const std::string& path, bool resume) {
  const bool standard = path == "-";
  std::string name = standard ? "standard output" : path;
  constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  Descriptor file{standard ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), flags, 0666)};
  if (!file) return file_error("open", name);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return file_error("look at", name);
  if (!standard && !resume && S_ISREG(status.st_mode) && status.st_size > 0) {
    return Error{Code::unavailable, name + " is not empty: move it away, or add to it with --resume"};
  }
  return std::unique_ptr<ByteWriter>{new ByteWriter{std::move(name), std::move(file)}};
}

ByteWriter::ByteWriter(std::string name, Descriptor file) : name_(std::move(name)), file_(std::move(file)) {
  text_.reserve(flush_bytes + flush_bytes / 4);
}

Status ByteWriter::flush() {
  const std::size_t written = write_all(file_.get(), text_);
  const int cause = errno;
  text_.erase(0, written);
  if (!text_.empty()) return file_error("write", name_, cause);
  return {};
}

Status ByteWriter::close() {
  if (!file_) return {};
  if (Status flushed = flush(); !flushed) return flushed;
  if (::close(file_.release()) != 0) return file_error("close", name_);
  return {};
}

}  // namespace ventile
