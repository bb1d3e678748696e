#include <nodes/io/source.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include <nodes/io/file_error.hpp>
#include <ventile/base/crc32c.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {
namespace {

constexpr std::size_t looked_at_max = std::size_t{1} << 20;

const char* name_of(InputFormat format) {
  switch (format) {
    case InputFormat::lines:
      return "lines";
    case InputFormat::nul:
      return "nul";
    case InputFormat::jsonl:
      return "jsonl";
    case InputFormat::msgpack:
      return "msgpack";
  }
  return "";
}

}  // namespace

Result<JobSource> describe_source(const std::string& path, InputFormat format) {
  const bool standard = path == "-";
  JobSource source{.name = standard ? "standard input" : path, .format = name_of(format)};
  Descriptor file{standard ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                           : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return file_error("open", source.name);
  source.reread = S_ISREG(status.st_mode);
  if (!source.reread) return source;
  source.bytes = static_cast<std::uint64_t>(status.st_size);
  Buffer bytes;
  bytes.extend(std::min<std::size_t>(looked_at_max, source.bytes));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::pread(file.get(), bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return file_error("read", source.name);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  source.checksum = crc32c(bytes.bytes().first(done));
  return source;
}

}  // namespace ventile
