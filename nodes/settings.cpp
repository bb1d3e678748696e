#include <nodes/settings.hpp>

#include <algorithm>
#include <optional>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include <nodes/command_line.hpp>

namespace ventile {
namespace {

constexpr std::string_view environment_prefix = "VENTILE_";

// A value as found in one source, and what to call that source.
struct Found {
  std::vector<std::string> values;
  std::string origin;
};

ExitNow refused(std::string text) { return {ExitCode::usage, std::move(text), "", false}; }

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t end = std::min(text.find(separator), text.size());
    parts.emplace_back(text.substr(0, end));
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

std::string version_text(const std::string& program, const Versions& versions) {
  return fmt::format("{} {} (protocol {}, libzmq {})\n", program, versions.program, versions.protocol, versions.libzmq);
}

// A variable that is set but empty counts as not set: `VENTILE_SLOTS=${SLOTS:-}` asks for nothing.
std::optional<std::string> find(const std::map<std::string, std::string>& environment, const std::string& name) {
  const auto found = environment.find(name);
  if (found == environment.end() || found->second.empty()) return std::nullopt;
  return found->second;
}

// The file that --config or VENTILE_CONFIG names.
std::optional<std::string> chosen_file(const CommandLine& line, const Surroundings& around) {
  const auto flag = line.values.find("config");
  if (flag != line.values.end()) return flag->second.back();
  return find(around.environment, "VENTILE_CONFIG");
}

std::vector<std::filesystem::path> usual_files(const Surroundings& around) {
  std::vector<std::filesystem::path> files{around.directory / "ventile.toml"};
  const auto home = find(around.environment, "HOME");
  if (home) files.push_back(std::filesystem::path{*home} / ".config/ventile/config.toml");
  files.push_back(around.system_config);
  return files;
}

// In the order in which they are asked.
Result<std::vector<ConfigFile>> load_files(const CommandLine& line, const KnownKeys& known,
                                           const Surroundings& around) {
  const auto chosen = chosen_file(line, around);
  std::vector<ConfigFile> files;
  for (const auto& path : chosen ? std::vector<std::filesystem::path>{*chosen} : usual_files(around)) {
    auto file = ConfigFile::load(path, known);
    if (!file) return file.error();
    if (auto& loaded = *file) {
      files.push_back(*std::move(loaded));
    } else if (chosen) {
      return Error{Code::unavailable, fmt::format("there is no configuration file {}", *chosen)};
    }
  }
  return files;
}

Parsed<Found> found_in_file(const Option& option, const ConfigValue& value, const std::string& path) {
  const std::string origin = fmt::format("{}:{}", path, value.line);
  if (option.shape == Option::Shape::repeated) return Found{value.texts, origin};
  if (option.shape == Option::Shape::json) return Found{{value.json}, origin};
  if (value.is_array) return refused(fmt::format("{}: {}: expected one value, got an array", origin, option.name));
  return Found{value.texts, origin};
}

// No value at all means that the default holds.
Parsed<std::optional<Found>> find_value(const Option& option, const std::string& role, const CommandLine& line,
                                        const Surroundings& around, const std::vector<ConfigFile>& files) {
  if (const auto flag = line.values.find(option.name); flag != line.values.end()) {
    return std::optional{Found{flag->second, option.flag_name()}};
  }
  if (const auto text = find(around.environment, option.environment_name())) {
    const bool is_list = option.shape == Option::Shape::repeated;
    return std::optional{Found{is_list ? split(*text, ':') : std::vector{*text}, option.environment_name()}};
  }
  for (const ConfigFile& file : files) {
    const ConfigValue* const value = file.find(role, option.name);
    if (value == nullptr) continue;
    auto found = found_in_file(option, *value, file.path());
    if (auto* refusal = std::get_if<ExitNow>(&found)) return *refusal;
    return std::optional{std::get<Found>(std::move(found))};
  }
  return std::optional<Found>{};
}

// "--slots: expected …" or "ventile.toml:3: slots: expected …".
std::string complaint(const Option& option, const std::string& origin, const std::string& message) {
  const bool names_option = origin == option.flag_name() || origin == option.environment_name();
  return names_option ? fmt::format("{}: {}", origin, message)
                      : fmt::format("{}: {}: {}", origin, option.name, message);
}

Parsed<std::vector<Setting>> assign_all(const OptionTable& table, const std::string& role, const CommandLine& line,
                                        const Surroundings& around, const std::vector<ConfigFile>& files) {
  std::vector<Setting> settings;
  for (const Option& option : table.options()) {
    auto looked_up = find_value(option, role, line, around, files);
    if (auto* refusal = std::get_if<ExitNow>(&looked_up)) return *refusal;
    const auto& found = std::get<std::optional<Found>>(looked_up);
    if (found) {
      const Status assigned = option.assign(found->values);
      if (!assigned) return refused(complaint(option, found->origin, assigned.error().message));
    }
    settings.push_back({option.name, option.shape, option.shown(), found ? found->origin : "default"});
  }
  return settings;
}

}  // namespace

Surroundings Surroundings::of_process(Versions versions) {
  Surroundings around{.versions = std::move(versions), .environment = {}};
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = text.substr(0, equals);
    if (name == "HOME" || name.starts_with(environment_prefix)) {
      around.environment.emplace(name, text.substr(equals + 1));
    }
  }
  return around;
}

bool wants_json(const std::vector<std::string>& arguments, const Surroundings& around) {
  if (std::find(arguments.begin(), arguments.end(), "--json") != arguments.end()) return true;
  const auto variable = find(around.environment, "VENTILE_JSON");
  const auto asked = parse_switch(variable.value_or("false"));
  return asked && *asked;
}

Parsed<std::vector<Setting>> resolve(const OptionTable& table, const std::string& role, const KnownKeys& known,
                                     const std::vector<std::string>& arguments, const Surroundings& around) {
  auto read = read_command_line(table, arguments);
  if (auto* refusal = std::get_if<ExitNow>(&read)) return *refusal;
  const auto& line = std::get<CommandLine>(read);
  if (line.help) return ExitNow{ExitCode::success, help_text(table), "", false};
  if (line.version) return ExitNow{ExitCode::success, version_text(table.program(), around.versions), "", false};
  const auto files = load_files(line, known, around);
  if (!files) return refused(files.error().message);
  return assign_all(table, role, line, around, *files);
}

}  // namespace ventile
