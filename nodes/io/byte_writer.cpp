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

Result<std::unique_ptr<ByteWriter>> ByteWriter::open(const std::string& path, bool resume,
                                                     std::optional<std::uint64_t> cut_at) {
  const bool standard = path == "-";
  std::string name = standard ? "standard output" : path;
  constexpr int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  Descriptor file{standard ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), flags, 0666)};
  if (!file) return file_error("open", name);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return file_error("look at", name);
  if (!standard && !resume && !cut_at && S_ISREG(status.st_mode) && status.st_size > 0) {
    return Error{Code::unavailable, name + " is not empty: move it away, or, for a sink, add to it with --resume"};
  }
  const bool is_file = !standard && S_ISREG(status.st_mode);
  auto size = static_cast<std::uint64_t>(status.st_size);
  if (is_file && cut_at) {
    if (size < *cut_at)
      return Error{Code::corrupt, name + " has " + std::to_string(size) + " bytes, and " + std::to_string(*cut_at) +
                                      " were written and acknowledged: somebody has changed it"};
    if (size > *cut_at && ::ftruncate(file.get(), static_cast<off_t>(*cut_at)) != 0) return file_error("cut", name);
    size = *cut_at;
  }
  std::unique_ptr<ByteWriter> writer{new ByteWriter{std::move(name), std::move(file)}};
  if (is_file) writer->end_ = size;
  return writer;
}

ByteWriter::ByteWriter(std::string name, Descriptor file) : name_(std::move(name)), file_(std::move(file)) {
  text_.reserve(flush_bytes + flush_bytes / 4);
}

Status ByteWriter::flush() {
  const std::size_t written = write_all(file_.get(), text_);
  const int cause = errno;
  text_.erase(0, written);
  if (end_) *end_ += written;
  if (text_.empty()) return {};
  Error error = file_error("write", name_, cause);
  if (cause == ENOSPC || cause == EDQUOT) error.code = Code::overloaded;
  return error;
}

Status ByteWriter::sync() {
  if (!end_ || ::fdatasync(file_.get()) == 0) return {};
  return file_error("sync", name_);
}

Status ByteWriter::close() {
  if (!file_) return {};
  if (Status flushed = flush(); !flushed) return flushed;
  if (::close(file_.release()) != 0) return file_error("close", name_);
  return {};
}

}  // namespace ventile
