#include <nodes/run/spill.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <random>
#include <utility>

#include <nodes/io/file_error.hpp>

namespace ventile {

std::string temporary_folder() {
  const char* const folder = std::getenv("TMPDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

SpillFile::SpillFile(std::string folder) : folder_(std::move(folder)) {
  std::random_device random;
  key_ = std::uint64_t{random()} << 32 | random();
}

Result<int> SpillFile::file() {
  if (const int file = file_.load(); file >= 0) return file;
  const std::lock_guard lock{opening_};
  if (owner_) return owner_.get();
  Descriptor made{::open(folder_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
  if (!made) {  // A file system without nameless files.
    std::string name = folder_ + "/ventile-run-XXXXXX";
    made = Descriptor{::mkostemp(name.data(), O_CLOEXEC)};
    if (made) ::unlink(name.c_str());
  }
  if (!made) return file_error("make a file for large outputs in", folder_);
  owner_ = std::move(made);
  file_ = owner_.get();
  return owner_.get();
}

Result<Extent> SpillFile::write(std::string_view bytes) {
  const Result<int> descriptor = file();
  if (!descriptor) return descriptor.error();
  const Extent extent{end_.fetch_add(bytes.size()), bytes.size()};
  for (std::uint64_t offset = extent.offset; !bytes.empty();) {
    const ssize_t written = ::pwrite(*descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      Error error = file_error("keep a task's output in", folder_);
      release(extent);
      return error;
    }
    offset += static_cast<std::uint64_t>(written);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return extent;
}

Status SpillFile::read(Extent extent, const std::function<Status(std::string_view)>& take) const {
  std::array<char, 64U << 10> chunk;
  while (extent.size > 0) {
    const std::size_t most = std::min<std::uint64_t>(extent.size, chunk.size());
    const ssize_t count = ::pread(file_.load(), chunk.data(), most, static_cast<off_t>(extent.offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return file_error("read a task's output from", folder_);
    const auto size = static_cast<std::size_t>(count);
    if (Status taken = take({chunk.data(), size}); !taken) return taken;
    extent = {extent.offset + size, extent.size - size};
  }
  return {};
}

// Best effort: a file system that cannot make holes keeps the room until the end.
void SpillFile::release(Extent extent) const {
  if (const int file = file_.load(); file >= 0)
    (void)::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(extent.offset),
                      static_cast<off_t>(extent.size));
}

std::uint64_t CapturedOutput::size() const {
  std::uint64_t size = bytes.size();
  for (const Extent& extent : spilled) size += extent.size;
  return size;
}

Status CapturedOutput::gather(const SpillFile& file) {
  if (spilled.empty()) return {};
  std::string all;
  all.reserve(size());
  const auto take = [&all](std::string_view piece) {
    all += piece;
    return Status{};
  };
  for (const Extent& extent : spilled) {
    if (Status read = file.read(extent, take); !read) return read;
    file.release(extent);
  }
  spilled.clear();
  bytes.insert(0, all);
  return {};
}

OutputCapture::~OutputCapture() {
  for (const Extent& extent : output_.spilled) file_.release(extent);
}

Status OutputCapture::add(std::string_view chunk) {
  output_.bytes.append(chunk);
  if (output_.bytes.size() <= memory_bytes_max) return {};
  const Result<Extent> written = file_.write(output_.bytes);
  if (!written) return written.error();
  output_.bytes.clear();
  std::vector<Extent>& spilled = output_.spilled;
  if (!spilled.empty() && spilled.back().offset + spilled.back().size == written->offset)
    spilled.back().size += written->size;
  else
    spilled.push_back(*written);
  return {};
}

std::string OutputCapture::tail(std::size_t bytes) const {
  std::string tail;
  if (output_.bytes.size() < bytes && !output_.spilled.empty()) {
    Extent last = output_.spilled.back();
    const std::uint64_t wanted = std::min<std::uint64_t>(bytes - output_.bytes.size(), last.size);
    last = {last.offset + last.size - wanted, wanted};
    (void)file_.read(last, [&](std::string_view piece) {
      tail += piece;
      return Status{};
    });
  }
  return tail + output_.bytes.substr(output_.bytes.size() - std::min(bytes, output_.bytes.size()));
}

}  // namespace ventile
