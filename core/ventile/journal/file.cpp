#include <ventile/journal/file.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace ventile {
namespace {

constexpr const char* lock_name = "lock";

// "cannot write state/0.segment: No space left on device"
Error failure(const std::string& verb, const std::string& path, int cause = errno) {
  const Code code = cause == ENOSPC || cause == EDQUOT ? Code::overloaded : Code::failed;
  return {code, "cannot " + verb + " " + path + ": " + std::generic_category().message(cause)};
}

// An owned file descriptor.
class Handle {
public:
  explicit Handle(int value) : value_(value) {}
  ~Handle() {
    if (value_ >= 0) ::close(value_);
  }
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Handle& operator=(Handle&&) = delete;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

  int get() const { return value_; }

private:
  int value_;
};

class DiskFile : public File {
public:
  DiskFile(std::string path, Handle handle) : path_(std::move(path)), handle_(std::move(handle)) {}

  Status write(std::uint64_t offset, Bytes bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::pwrite(handle_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return failure("write", path_);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
      offset += static_cast<std::uint64_t>(written);
    }
    return {};
  }

  Status sync() override { return ::fdatasync(handle_.get()) == 0 ? Status{} : Status{failure("sync", path_)}; }

  Result<Buffer> read() override {
    struct stat about {};
    if (::fstat(handle_.get(), &about) != 0) return failure("read", path_);
    return read(0, static_cast<std::size_t>(about.st_size));
  }

  Result<Buffer> read(std::uint64_t offset, std::size_t size) override {
    Buffer bytes;
    auto* const begin = bytes.extend(size);
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count =
          ::pread(handle_.get(), begin + done, bytes.size() - done, static_cast<off_t>(offset + done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return failure("read", path_);
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    bytes.truncate(done);
    return bytes;
  }

private:
  std::string path_;
  Handle handle_;
};

class DiskFolder : public Folder {
public:
  DiskFolder(std::string path, Handle handle, Handle lock)
      : path_(std::move(path)), handle_(std::move(handle)), lock_(std::move(lock)) {}

  Result<std::vector<std::string>> list() override {
    std::vector<std::string> names;
    std::error_code error;
    for (std::filesystem::directory_iterator it{path_, error}, end; !error && it != end; it.increment(error))
      names.push_back(it->path().filename().string());
    if (error) return failure("list", path_, error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<File>> create(const std::string& name) override {
    return open_file("create", name, O_RDWR | O_CREAT | O_TRUNC);
  }
  Result<std::unique_ptr<File>> open(const std::string& name) override { return open_file("open", name, O_RDWR); }

  Status rename(const std::string& from, const std::string& to) override {
    if (::renameat(handle_.get(), from.c_str(), handle_.get(), to.c_str()) == 0) return {};
    return failure("rename", within(from));
  }
  Status remove(const std::string& name) override {
    if (::unlinkat(handle_.get(), name.c_str(), 0) == 0) return {};
    return failure("remove", within(name));
  }
  Status sync() override { return ::fsync(handle_.get()) == 0 ? Status{} : Status{failure("sync", path_)}; }
  std::string path() const override { return path_; }

private:
  std::string path_;
  Handle handle_;
  Handle lock_;

  std::string within(const std::string& name) const { return path_ + "/" + name; }
  Result<std::unique_ptr<File>> open_file(const char* verb, const std::string& name, int flags) const {
    constexpr mode_t mode = 0666;  // As far as the umask allows.
    Handle handle{::openat(handle_.get(), name.c_str(), flags | O_CLOEXEC, mode)};
    if (handle.get() < 0) return failure(verb, within(name));
    return std::unique_ptr<File>{std::make_unique<DiskFile>(within(name), std::move(handle))};
  }
};

std::string holder_of(int lock) {
  std::array<char, 16> text{};
  const ssize_t size = ::pread(lock, text.data(), text.size(), 0);
  std::string holder{text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0))};
  holder.erase(std::find(holder.begin(), holder.end(), '\n'), holder.end());
  return holder.empty() ? "another process" : "process " + holder;
}

Result<Handle> lock_in(int folder, const std::string& path) {
  constexpr mode_t mode = 0666;
  Handle lock{::openat(folder, lock_name, O_RDWR | O_CREAT | O_CLOEXEC, mode)};
  if (lock.get() < 0) return failure("open", path + "/" + lock_name);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return Error{Code::unavailable, path + " is in use by " + holder_of(lock.get())};
  const std::string holder = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 || ::pwrite(lock.get(), holder.data(), holder.size(), 0) < 0) {
    // Only the message above would be poorer.
  }
  return lock;
}

}  // namespace

Result<std::unique_ptr<Folder>> open_folder(const std::string& path, bool lock) {
  constexpr mode_t mode = 0777;
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return failure("make the folder", path);
  return open_existing_folder(path, lock);
}

Result<std::unique_ptr<Folder>> open_existing_folder(const std::string& path, bool lock) {
  Handle handle{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (handle.get() < 0) return failure("open", path);
  Handle held{-1};
  if (!lock) return std::unique_ptr<Folder>{std::make_unique<DiskFolder>(path, std::move(handle), std::move(held))};
  Result<Handle> locked = lock_in(handle.get(), path);
  if (!locked) return locked.error();
  return std::unique_ptr<Folder>{std::make_unique<DiskFolder>(path, std::move(handle), std::move(*locked))};
}

}  // namespace ventile
