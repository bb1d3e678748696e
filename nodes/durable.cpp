#include <nodes/durable.hpp>

#include <filesystem>
#include <system_error>

namespace ventile {

Result<std::string> durable_folder(const std::string& folder, const std::string& name) {
  constexpr std::size_t name_max = 200;  // File systems take 255.
  if (name.size() > name_max || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
    return Error{Code::invalid, "--job: '" + name + "' cannot be part of a file's name"};
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Error{Code::unavailable, "cannot make the folder " + folder + ": " + error.message()};
  return (std::filesystem::path{folder} / name).string();
}

}  // namespace ventile
