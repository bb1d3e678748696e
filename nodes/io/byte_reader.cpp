#include <nodes/io/byte_reader.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include <nodes/io/file_error.hpp>

namespace ventile {

namespace {
constexpr std::size_t read_bytes_min = 256 << 10;
}  // namespace

Result<std::unique_ptr<ByteReader>> ByteReader::open(const std::string& path) {
  std::string name = path == "-" ? "standard input" : path;
  Descriptor file{path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file) return file_error("open", name);
  Descriptor interrupted{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  if (!interrupted) return file_error("make an event for", name);
  struct stat status {};
  std::optional<std::uint64_t> bytes_total;
  const bool is_known = ::fstat(file.get(), &status) == 0;
  if (is_known && S_ISDIR(status.st_mode)) return file_error("read", name, EISDIR);
  if (is_known && S_ISREG(status.st_mode)) bytes_total = static_cast<std::uint64_t>(status.st_size);
  return std::unique_ptr<ByteReader>{
      new ByteReader{std::move(name), std::move(file), std::move(interrupted), bytes_total}};
}

ByteReader::ByteReader(std::string name, Descriptor file, Descriptor interrupted,
                       std::optional<std::uint64_t> bytes_total)
    : name_(std::move(name)), file_(std::move(file)), interrupted_(std::move(interrupted)), bytes_total_(bytes_total) {}

Result<bool> ByteReader::read_more(bool wait) {
  while (true) {
    Result<bool> ready = wait_for_bytes(wait);
    if (!ready || !*ready) return ready;
    make_room();
    const std::size_t size = buffer_.size();
    const std::size_t room = buffer_.capacity() - size;
    const ssize_t count = ::read(file_.get(), buffer_.extend(room), room);
    buffer_.truncate(size + (count > 0 ? static_cast<std::size_t>(count) : 0));
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count < 0) return file_error("read", name_);
    at_end_ = count == 0;
    bytes_read_.fetch_add(static_cast<std::uint64_t>(count), std::memory_order_relaxed);
    return true;
  }
}

// True once the file can be read without waiting.
Result<bool> ByteReader::wait_for_bytes(bool wait) const {
  std::array<pollfd, 2> watched{{{file_.get(), POLLIN, 0}, {interrupted_.get(), POLLIN, 0}}};
  while (::poll(watched.data(), watched.size(), wait ? -1 : 0) < 0) {
    if (errno != EINTR) return file_error("wait for", name_);
  }
  return watched[1].revents == 0 && watched[0].revents != 0;
}

// What is left moves to the front, and at least read_bytes_min fit behind it.
void ByteReader::make_room() {
  const std::size_t left = buffer_.size() - begin_;
  if (begin_ > 0) std::memmove(buffer_.data(), buffer_.data() + begin_, left);
  buffer_.truncate(left);
  begin_ = 0;
  buffer_.reserve(left + read_bytes_min);
}

void ByteReader::interrupt() {
  const std::uint64_t one = 1;
  // It cannot fail but by overflow, and then the event is set already.
  [[maybe_unused]] const ssize_t written = ::write(interrupted_.get(), &one, sizeof one);
}

}  // namespace ventile
