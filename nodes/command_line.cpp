#include <nodes/command_line.hpp>

#include <algorithm>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

namespace ventile {
namespace {

constexpr std::size_t help_width = 80;
constexpr std::size_t help_indent = 28;  // Where an option's text begins.

ExitNow usage_error(const OptionTable& table, std::string text) {
  return {ExitCode::usage, std::move(text), fmt::format("Try '{} --help'.", table.program()), false};
}

// "-j,--slots" or "-v,--verbose,!--no-verbose", as CLI11 wants it.
std::string declaration(const Option& option) {
  std::string text = option.letter != 0 ? fmt::format("-{},", option.letter) : "";
  text += option.flag_name();
  if (option.shape == Option::Shape::flag) text += ",!--no-" + option.name;
  return text;
}

std::map<std::string, CLI::Option*> declare(CLI::App& app, const OptionTable& table) {
  std::map<std::string, CLI::Option*> declared;
  for (const Option& option : table.options()) {
    const bool is_flag = option.shape == Option::Shape::flag;
    CLI::Option* const made = is_flag ? app.add_flag(declaration(option)) : app.add_option(declaration(option));
    made->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (!is_flag) made->expected(1);
    declared.emplace(option.name, made);
  }
  return declared;
}

// CLI11 takes the argument after "--name=" as its value; an empty one is what the user wrote.
std::vector<std::string> split_empty_values(const OptionTable& table, const std::vector<std::string>& arguments) {
  std::vector<std::string> split;
  for (const std::string& argument : arguments) {
    const bool has_empty_value = argument.size() > 3 && argument.starts_with("--") && argument.ends_with('=');
    if (has_empty_value && table.find(std::string_view{argument}.substr(2, argument.size() - 3)) != nullptr) {
      split.push_back(argument.substr(0, argument.size() - 1));
      split.emplace_back();
    } else {
      split.push_back(argument);
    }
  }
  return split;
}

ExitNow unexpected(const OptionTable& table, const std::string& argument) {
  if (!argument.starts_with('-')) return usage_error(table, fmt::format("unexpected argument \"{}\"", argument));
  const std::string name = argument.substr(0, argument.find('='));
  std::vector<std::string> known{"--help", "--version"};
  for (const Option& option : table.options()) {
    known.push_back(option.flag_name());
    if (option.shape == Option::Shape::flag) known.push_back("--no-" + option.name);
  }
  const std::string near = nearest(name, known);
  return usage_error(table, near.empty() ? fmt::format("unknown option {}", name)
                                         : fmt::format("unknown option {}; did you mean {}?", name, near));
}

// Breaks a text at blanks into lines of at most `width` characters; a longer word has a line of its own.
std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, blank);
    if (!lines.back().empty() && lines.back().size() + 1 + word.size() > width) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return lines;
}

// The column with an option's names: "  -j, --slots N".
std::string names_column(const Option& option) {
  const std::string letter = option.letter != 0 ? fmt::format("-{}, ", option.letter) : std::string(4, ' ');
  const bool is_on = option.shape == Option::Shape::flag && option.shown() == std::vector<std::string>{"true"};
  const std::string name = is_on ? "--no-" + option.name : option.flag_name();
  return fmt::format("  {}{}{}{}", letter, name, option.placeholder.empty() ? "" : " ", option.placeholder);
}

std::string described(const Option& option) {
  const auto fallback = option.shown();
  const bool speaks_for_itself = option.shape == Option::Shape::flag || option.shape == Option::Shape::json;
  if (speaks_for_itself || fallback.empty()) return option.help;
  return fmt::format("{} [{}]", option.help, fallback.front());
}

std::string help_entry(const std::string& names, std::string_view text) {
  std::string entry = names;
  if (names.size() + 2 > help_indent)
    entry += '\n' + std::string(help_indent, ' ');
  else
    entry += std::string(help_indent - names.size(), ' ');
  const auto lines = wrap(text, help_width - help_indent);
  return entry + fmt::format("{}\n", fmt::join(lines, '\n' + std::string(help_indent, ' ')));
}

std::string wrapped(std::string_view text) { return fmt::format("{}\n", fmt::join(wrap(text, help_width), "\n")); }

}  // namespace

Parsed<CommandLine> read_command_line(const OptionTable& table, const std::vector<std::string>& arguments) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();
  const CLI::Option* const help = app.add_flag("-h,--help");
  const CLI::Option* const version = app.add_flag("--version");
  const auto declared = declare(app, table);
  auto reversed = split_empty_values(table, arguments);
  std::reverse(reversed.begin(), reversed.end());
  try {
    app.parse(std::move(reversed));
  } catch (const CLI::ArgumentMismatch& error) {  // Its text begins with the option's name and a colon.
    const std::string_view text = error.what();
    return usage_error(table, fmt::format("{} needs a value", text.substr(0, text.find(':'))));
  } catch (const CLI::ParseError& error) {
    return usage_error(table, error.what());
  }
  CommandLine line{.help = help->count() > 0, .version = version->count() > 0, .values = {}};
  if (line.help || line.version) return line;
  if (const auto extras = app.remaining(); !extras.empty()) return unexpected(table, extras.front());
  for (const auto& [name, option] : declared) {
    if (option->count() > 0) line.values.emplace(name, option->results());
  }
  return line;
}

std::string help_text(const OptionTable& table) {
  std::string text = fmt::format("Usage: {} [OPTION]...\n", table.program()) + wrapped(table.purpose());
  std::string_view section;
  for (const Option& option : table.options()) {
    if (option.section != section) text += fmt::format("\n{}:\n", option.section);
    section = option.section;
    text += help_entry(names_column(option), described(option));
  }
  text += help_entry("  -h, --help", "Show this and exit.");
  text += help_entry("      --version", "Show the versions of program, protocol and libzmq and exit.");
  text += '\n' + wrapped(
                     "A value comes from the command line, else from the environment (VENTILE_DRAIN_TIMEOUT for "
                     "--drain-timeout), else from ./ventile.toml, ~/.config/ventile/config.toml or "
                     "/etc/ventile/config.toml (drain-timeout = \"10s\"), else it is the one in brackets.");
  return text;
}

}  // namespace ventile
