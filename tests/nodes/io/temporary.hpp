// Files and pipes for the tests of this folder.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace ventile {

// A folder of its own, removed with all it holds.
class TemporaryFolder {
public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "ventile-io-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::string path(std::string_view name) const { return path_ / name; }
  std::string write(std::string_view name, std::string_view text) const {
    std::ofstream{path(name), std::ios::binary} << text;
    return path(name);
  }
  std::string read(std::string_view name) const {
    std::ifstream file{path(name), std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

private:
  std::filesystem::path path_;
};

// A pipe whose ends can be opened by path.
class Pipe {
public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) std::abort();
  }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reader() const { return ends_[0]; }
  int writer() const { return ends_[1]; }
  std::string reader_path() const { return "/dev/fd/" + std::to_string(reader()); }
  std::string writer_path() const { return "/dev/fd/" + std::to_string(writer()); }

  bool write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t count = ::write(writer(), text.data(), text.size());
      if (count <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }
  std::string read_all() const {
    std::string text;
    std::array<char, 4096> piece;
    for (ssize_t count = 0; (count = ::read(reader(), piece.data(), piece.size())) > 0;) {
      text.append(piece.data(), static_cast<std::size_t>(count));
    }
    return text;
  }
  void close_reader() { close(ends_[0]); }
  void close_writer() { close(ends_[1]); }

private:
  std::array<int, 2> ends_{};

  static void close(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

// Puts `replacement` in the place of a standard stream as long as it lives.
class ReplacedStream {
public:
  ReplacedStream(int stream, int replacement) : stream_(stream), saved_(::dup(stream)) { ::dup2(replacement, stream); }
  ~ReplacedStream() {
    ::dup2(saved_, stream_);
    ::close(saved_);
  }
  ReplacedStream(const ReplacedStream&) = delete;
  ReplacedStream& operator=(const ReplacedStream&) = delete;

private:
  int stream_;
  int saved_;
};

}  // namespace ventile
