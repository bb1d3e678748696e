// Files as the journal sees them, so that tests can put a disk in their place that forgets, fills up and breaks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// An open file. Errors are Code::overloaded if the disk is full, so that the caller may try again, and else
// Code::failed; the message names the file and the cause.
class File {
public:
  File() = default;
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  // All of the bytes, or an error. Nothing is safe before sync() has succeeded.
  virtual Status write(std::uint64_t offset, Bytes bytes) = 0;
  // What was written is on the disk. After an error nobody knows what is: do not go on with this file.
  virtual Status sync() = 0;
  // Reads the whole file.
  virtual Result<Buffer> read() = 0;
  // Reads so many bytes from there on, fewer if the file ends before.
  virtual Result<Buffer> read(std::uint64_t offset, std::size_t size) = 0;
};

// One folder, without what is below it. Names and errors as above.
class Folder {
public:
  Folder() = default;
  virtual ~Folder() = default;
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  virtual Result<std::vector<std::string>> list() = 0;                        // Sorted.
  virtual Result<std::unique_ptr<File>> create(const std::string& name) = 0;  // Empty, also if there was one.
  virtual Result<std::unique_ptr<File>> open(const std::string& name) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& name) = 0;
  // What was created, renamed and removed is so on the disk.
  virtual Status sync() = 0;
  // For messages.
  virtual std::string path() const = 0;
};

// A folder of the file system, made if it is not there (but not its parent). With `lock`, no other process can open it
// so at the same time: Code::unavailable names the process that has it. The lock ends with the Folder or the process.
Result<std::unique_ptr<Folder>> open_folder(const std::string& path, bool lock);
// The same for one that must be there.
Result<std::unique_ptr<Folder>> open_existing_folder(const std::string& path, bool lock);

}  // namespace ventile
