#include <nodes/run/travelling_files.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include <nodes/io/file_error.hpp>
#include <nodes/run/live_output.hpp>
#include <nodes/run/task_report.hpp>
#include <ventile/base/crc32c.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {
namespace {

namespace fs = std::filesystem;

std::uint32_t checksum_of(std::string_view content) {
  return crc32c(std::as_bytes(std::span{content.data(), content.size()}));
}

// No machine decides where a file goes on another one.
Status check_path(const std::string& path) {
  if (path.empty()) return Error{Code::invalid, "a file to transfer or to return has no name"};
  for (const fs::path& part : fs::path{path})
    if (part == "..")
      return Error{Code::invalid, "a file to transfer or to return may not have .. in its path: " + path};
  return {};
}

std::vector<std::string> paths_of(const std::vector<CommandTemplate>& templates, const RunInput& input) {
  std::vector<std::string> paths;
  for (const CommandTemplate& one : templates)
    for (std::string& path : one.words(input.arguments, {input.sequence, 1})) paths.push_back(std::move(path));
  return paths;
}

Status read_into(std::string& content, const Descriptor& file, const std::string& path, std::uint64_t left) {
  std::array<char, 64U << 10> chunk;
  while (true) {
    const ssize_t count = ::read(file.get(), chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("read", path);
    if (count == 0) return {};
    content.append(chunk.data(), static_cast<std::size_t>(count));
    if (content.size() > left)
      return Error{Code::overloaded, path + " is too large: the files of a task may have " +
                                         std::to_string(travelling_bytes_max >> 20) + " MiB in all"};
  }
}

Status fill(TravellingFile& file, const std::string& path, std::uint64_t left) {
  if (Status allowed = check_path(path); !allowed) return allowed;
  const Descriptor opened{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status {};
  if (!opened || ::fstat(opened.get(), &status) != 0) return file_error("read", path);
  if (!S_ISREG(status.st_mode)) return Error{Code::invalid, path + " is no file"};
  file.mode = status.st_mode & 0777U;
  if (Status read = read_into(file.content, opened, path, left); !read) return read;
  file.checksum = checksum_of(file.content);
  return {};
}

}  // namespace

TravellingFile pick_up(const std::string& path, std::uint64_t& left) {
  TravellingFile file;
  file.path = path;
  if (Status filled = fill(file, path, left); !filled) {
    file.content.clear();
    file.error = filled.error().message;
  }
  left -= file.content.size();
  return file;
}

Status put_down(const TravellingFile& file, const std::string& path) {
  if (checksum_of(file.content) != file.checksum) return Error{Code::corrupt, path + " has not arrived as it was sent"};
  std::error_code error;
  if (const fs::path folder = fs::path{path}.parent_path(); !folder.empty()) fs::create_directories(folder, error);
  if (error) return file_error("make the folder of", path, error.value());
  std::string beside = path + ".XXXXXX";
  const Descriptor made{::mkostemp(beside.data(), O_CLOEXEC)};
  if (!made) return file_error("write", path);
  const bool whole = write_all(made.get(), file.content) && ::fchmod(made.get(), file.mode & 0777U) == 0 &&
                     std::rename(beside.c_str(), path.c_str()) == 0;
  if (whole) return {};
  Error failed = file_error("write", path);
  ::unlink(beside.c_str());
  return failed;
}

Result<std::vector<CommandTemplate>> path_templates(const std::vector<std::string>& texts,
                                                    const std::vector<std::string>& names) {
  std::vector<CommandTemplate> templates;
  for (const std::string& text : texts) {
    Result<CommandTemplate> one = CommandTemplate::parse({text}, {"{}", names, false, false});
    if (!one) return one.error();
    if (one->shows_slot())
      return Error{Code::invalid, "{%} in \"" + text + "\": every machine counts slots for itself"};
    templates.push_back(std::move(*one));
  }
  return templates;
}

// --- Where the run is ------------------------------------------------------------------------------------------------

void Luggage::pack(RunInput& input) {
  std::uint64_t left = travelling_bytes_max;
  for (const std::string& path : paths_of(transfer_, input)) input.files.push_back(pick_up(path, left));
  std::vector<std::string> expected = paths_of(bring_back_, input);
  for (const std::string& path : expected) {
    if (Status allowed = check_path(path); !allowed) {
      input.files.push_back({.path = path, .error = allowed.error().message});
      return;
    }
  }
  if (expected.empty()) return;
  const std::lock_guard lock{mutex_};
  expected_.emplace(input.sequence, std::move(expected));
}

Status Luggage::unpack(const RunReport& report) {
  std::vector<std::string> paths;
  {
    const std::lock_guard lock{mutex_};
    if (auto node = expected_.extract(report.sequence)) paths = std::move(node.mapped());
  }
  for (std::size_t i = 0; i < std::min(paths.size(), report.files.size()); ++i) {
    if (!report.files[i].error.empty()) continue;  // Its task has failed by it.
    if (Status put = put_down(report.files[i], paths[i]); !put) return put;
  }
  return {};
}

// --- Where a task runs -----------------------------------------------------------------------------------------------

std::string Guests::place_of(const std::string& path) const {
  return directory_.empty() || path.starts_with('/') ? path : directory_ + "/" + path;
}

std::vector<std::string> Guests::made_by(const RunInput& input) const { return paths_of(bring_back_, input); }

Status Guests::arrive(const RunInput& input) {
  const std::lock_guard lock{mutex_};  // A file that two tasks bring is put down by one after the other.
  for (const TravellingFile& file : input.files) ++users_[file.path];
  for (const TravellingFile& file : input.files) {
    if (!file.error.empty()) return Error{Code::invalid, file.error};
    if (Status allowed = check_path(file.path); !allowed) return allowed;
    if (Status put = put_down(file, place_of(file.path)); !put) return put;
  }
  return {};
}

Status Guests::collect(const RunInput& input, RunReport& report) const {
  std::uint64_t left = travelling_bytes_max;
  Status first;
  for (const std::string& path : made_by(input)) {
    TravellingFile file = pick_up(place_of(path), left);
    file.path.clear();
    if (!file.error.empty() && first) first = Error{Code::unavailable, file.error};
    report.files.push_back(std::move(file));
  }
  return first;
}

void Guests::leave(const RunInput& input) {
  const std::lock_guard lock{mutex_};
  std::vector<std::string> gone = made_by(input);
  for (const TravellingFile& file : input.files) {
    const auto user = users_.find(file.path);
    if (user == users_.end() || --user->second > 0) continue;
    users_.erase(user);
    gone.push_back(file.path);
  }
  if (!cleanup_) return;
  for (const std::string& path : gone)
    if (!users_.contains(path) && check_path(path)) remove(path);
}

// And the folders above it that nothing is left in, up to that of the run.
void Guests::remove(const std::string& path) const {
  ::unlink(place_of(path).c_str());
  if (path.starts_with('/')) return;
  for (fs::path folder = fs::path{path}.parent_path(); !folder.empty(); folder = folder.parent_path())
    if (::rmdir(place_of(folder.string()).c_str()) != 0) return;
}

}  // namespace ventile
