// A named pipe by which a test hears from processes that it is not the parent of.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

namespace ventile {

// Lies alone in a folder of its own. Its waits have no limit but the test's own time-out.
class Fifo {
public:
  Fifo() : folder_(make_folder()), path_(folder_ + "/fifo") {
    EXPECT_EQ(mkfifo(path_.c_str(), 0600), 0);
    reader_ = open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    fcntl(reader_, F_SETFL, 0);  // Opened without waiting for a writer, read with waiting.
  }
  ~Fifo() {
    close(reader_);
    std::filesystem::remove_all(folder_);
  }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;

  const std::string& folder() const { return folder_; }
  const std::string& path() const { return path_; }

  // Opens the pipe for writing, so that reading waits for those who open it later.
  int writer() const { return open(path_.c_str(), O_WRONLY | O_CLOEXEC); }

  char next() const {
    char byte = 0;
    return read(reader_, &byte, 1) == 1 ? byte : '\0';
  }
  // Once nobody holds the pipe for writing any more.
  bool has_ended() const { return next() == '\0'; }

private:
  std::string folder_;
  std::string path_;
  int reader_ = -1;

  static std::string make_folder() {
    std::string folder = testing::TempDir() + "/zygote-XXXXXX";
    return mkdtemp(folder.data());
  }
};

// Holds a pipe for writing as long as it lives: those who read from it wait, those who listen to it miss nothing.
class Holder {
public:
  explicit Holder(const Fifo& fifo) : writer_(fifo.writer()) {}
  ~Holder() { release(); }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  void let_go() const { EXPECT_EQ(::write(writer_, "\n", 1), 1); }
  void release() {
    if (writer_ >= 0) ::close(std::exchange(writer_, -1));
  }

private:
  int writer_;
};

}  // namespace ventile
