#include <nodes/run/results_folder.hpp>

#include <fcntl.h>

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include <nodes/io/file_error.hpp>
#include <nodes/run/live_output.hpp>
#include <ventile/task/descriptor.hpp>

namespace ventile {
namespace {

constexpr std::size_t name_bytes_max = 200;

std::uint64_t hash_of(std::string_view text) {  // FNV-1a: it only has to tell names apart.
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return hash;
}

}  // namespace

std::string result_file_name(std::string_view text) {
  if (text.empty()) return "\\e";
  if (text == "." || text == "..") return "\\" + std::string{text};
  std::string name;
  for (const char c : text) {
    if (c == '/') {
      name += "\\_";
    } else if (c == '\\') {
      name += "\\\\";
    } else if (c == '\0') {
      name += "\\0";
    } else {
      name += c;
    }
  }
  if (name.size() <= name_bytes_max) return name;
  return fmt::format("{}\\h{:016x}", name.substr(0, name_bytes_max), hash_of(text));
}

Status ResultsFolder::write_file(const std::string& path, const CapturedOutput& output, const SpillFile& spill) {
  const Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (!file) return file_error("open", path);
  const auto take = [&](std::string_view piece) -> Status {
    if (!write_all(file.get(), piece)) return file_error("write", path);
    return {};
  };
  for (const Extent& extent : output.spilled)
    if (Status written = spill.read(extent, take); !written) return written;
  return take(output.bytes);
}

Status ResultsFolder::write(const RunReport& report, const SpillFile& spill) const {
  std::string folder = folder_;
  for (std::size_t i = 0; i < report.arguments.size(); ++i) {
    const std::string name = i < names_.size() ? names_[i] : std::to_string(i + 1);
    folder += "/" + result_file_name(name) + "/" + result_file_name(report.arguments[i]);
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return file_error("make the folder", folder, error.value());
  if (Status written = write_file(folder + "/stdout", report.standard_output, spill); !written) return written;
  if (Status written = write_file(folder + "/stderr", report.standard_error, spill); !written) return written;
  return write_file(folder + "/seq", {{}, std::to_string(report.sequence)}, spill);
}

}  // namespace ventile
