// Configuration files: TOML whose keys are the options' names, and where each value was found.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <ventile/base/result.hpp>

namespace ventile {

// One value of a file as text, ready to be read like one from the command line.
struct ConfigValue {
  std::vector<std::string> texts;  // One, or an array's elements.
  bool is_array = false;
  std::string json;  // The whole value as JSON text; for an option that takes JSON.
  std::uint32_t line = 0;
};

// The keys that each role may have, by role; those that may stand at the top are under the empty name.
using KnownKeys = std::map<std::string, std::set<std::string>>;

// One file. A key at the top is for every role that has the option; a key in [worker], say, is for that role alone and
// wins over one at the top.
//
//   connect = "tcp://127.0.0.1:5570"
//   [worker]
//   slots = 8
class ConfigFile {
public:
  // Reads `text`, the content of `path`. An unknown role or key, and what is not TOML, are errors that name the file,
  // the line and the key.
  static Result<ConfigFile> parse(std::string_view text, const std::string& path, const KnownKeys& known);
  // std::nullopt if there is no such file; Code::unavailable if it cannot be read.
  static Result<std::optional<ConfigFile>> load(const std::filesystem::path& path, const KnownKeys& known);

  const std::string& path() const { return path_; }
  const ConfigValue* find(const std::string& role, const std::string& key) const;  // nullptr if there is none.

private:
  using Section = std::map<std::string, ConfigValue>;

  std::string path_;
  std::map<std::string, Section> sections_;  // The top's name is empty.

  friend class ConfigReader;
};

}  // namespace ventile
