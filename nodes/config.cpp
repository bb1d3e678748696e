#include <nodes/config.hpp>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>
#include <toml++/toml.h>

#include <nodes/option_table.hpp>

namespace ventile {

// Walks a parsed file and keeps what is known.
class ConfigReader {
public:
  ConfigReader(const std::string& path, const KnownKeys& known) : known_(known) { file_.path_ = path; }

  Status read(const toml::table& root);
  ConfigFile take() { return std::move(file_); }

private:
  const KnownKeys& known_;
  ConfigFile file_;

  Status read_section(const toml::key& role, const toml::table& table);
  Status read_value(const std::string& role, const toml::key& key, const toml::node& node);
  Error unknown(const toml::key& key, std::string_view what, std::string_view role) const;
};

namespace {

Error error_at(const std::string& path, std::uint32_t line, std::string_view what) {
  return {Code::invalid, fmt::format("{}:{}: {}", path, line, what)};
}

std::string json_text(const toml::node& node) {
  std::ostringstream out;
  node.visit([&](const auto& value) { out << toml::json_formatter{value, toml::format_flags::quote_dates_and_times}; });
  return out.str();
}

// A string without its quotes; a number or a boolean as written in JSON, which options read as well.
std::string plain_text(const toml::node& node) {
  if (const auto* string = node.as_string()) return string->get();
  return json_text(node);
}

ConfigValue to_value(const toml::node& node, std::uint32_t line) {
  ConfigValue value{.texts = {}, .is_array = node.is_array(), .json = plain_text(node), .line = line};
  if (const auto* array = node.as_array()) {
    for (const toml::node& element : *array) value.texts.push_back(plain_text(element));
  } else {
    value.texts.push_back(value.json);
  }
  return value;
}

}  // namespace

Error ConfigReader::unknown(const toml::key& key, std::string_view what, std::string_view role) const {
  const std::string name = role.empty() ? std::string{key.str()} : fmt::format("{}.{}", role, key.str());
  std::vector<std::string> candidates;
  if (const auto keys = known_.find(std::string{role}); keys != known_.end() && what == "key") {
    candidates.assign(keys->second.begin(), keys->second.end());
  }
  const std::string near = nearest(key.str(), candidates);
  return error_at(
      file_.path_, key.source().begin.line,
      fmt::format("unknown {} \"{}\"{}", what, name, near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near)));
}

Status ConfigReader::read_value(const std::string& role, const toml::key& key, const toml::node& node) {
  const std::string name{key.str()};
  if (!known_.at(role).contains(name)) return unknown(key, "key", role);
  file_.sections_[role].emplace(name, to_value(node, key.source().begin.line));
  return {};
}

Status ConfigReader::read_section(const toml::key& role, const toml::table& table) {
  const std::string name{role.str()};
  if (name.empty() || !known_.contains(name)) return unknown(role, "section", "");
  for (const auto& [key, node] : table) {
    if (Status read = read_value(name, key, node); !read) return read;
  }
  return {};
}

Status ConfigReader::read(const toml::table& root) {
  for (const auto& [key, node] : root) {
    const auto* const table = node.as_table();
    if (Status read = table == nullptr ? read_value("", key, node) : read_section(key, *table); !read) return read;
  }
  return {};
}

Result<ConfigFile> ConfigFile::parse(std::string_view text, const std::string& path, const KnownKeys& known) {
  ConfigReader reader{path, known};
  try {
    if (Status read = reader.read(toml::parse(text, path)); !read) return read.error();
  } catch (const toml::parse_error& error) {
    return error_at(path, error.source().begin.line, error.description());
  }
  return reader.take();
}

Result<std::optional<ConfigFile>> ConfigFile::load(const std::filesystem::path& path, const KnownKeys& known) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return std::optional<ConfigFile>{};
  errno = 0;
  const std::ifstream stream{path, std::ios::binary};
  std::ostringstream text;
  if (stream.is_open()) text << stream.rdbuf();
  const bool has_failed = text.fail() && errno != 0;  // An empty file fails without a cause.
  if (!stream.is_open() || has_failed) {
    return Error{Code::unavailable,
                 fmt::format("cannot read {}: {}", path.string(), std::generic_category().message(errno))};
  }
  auto file = parse(text.view(), path.string(), known);
  if (!file) return file.error();
  return std::optional{*std::move(file)};
}

const ConfigValue* ConfigFile::find(const std::string& role, const std::string& key) const {
  for (const std::string& name : {role, std::string{}}) {
    const auto section = sections_.find(name);
    if (section == sections_.end()) continue;
    const auto value = section->second.find(key);
    if (value != section->second.end()) return &value->second;
  }
  return nullptr;
}

}  // namespace ventile
