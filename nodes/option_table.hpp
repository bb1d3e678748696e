// The options of one role, declared once: the command line, the environment, configuration files, the help and
// `config show` all derive from this table.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nodes/halt.hpp>
#include <nodes/quantity.hpp>
#include <ventile/base/clock.hpp>
#include <ventile/base/result.hpp>
#include <ventile/net/endpoint.hpp>

namespace ventile {

struct Option {
  enum class Shape : std::uint8_t {
    single,    // One value; the last one given counts.
    flag,      // --name and --no-name.
    repeated,  // Any number of values; in the environment separated by ':', in a file an array.
    json,      // One JSON text; in a file also a TOML array or table.
  };

  std::string name;  // "drain-timeout": the flag without its dashes and the key in a configuration file.
  char letter = 0;   // 'j' for -j; 0 if none.
  Shape shape = Shape::single;
  std::string placeholder;  // What a value is called in the help.
  std::string section;      // The help's heading.
  std::string help;
  // Reads, checks and stores the value; an Error says what was expected.
  std::function<Status(const std::vector<std::string>& values)> assign;
  // What is stored now, as a user would write it; nothing if there is no value.
  std::function<std::vector<std::string>()> shown;

  std::string environment_name() const;  // "VENTILE_DRAIN_TIMEOUT".
  std::string flag_name() const;         // "--drain-timeout".
};

// Options that store into variables of the caller's, which must outlive the table. A variable's value when its
// option is added is the option's default: there is no second place for defaults.
class OptionTable {
public:
  OptionTable(std::string program, std::string purpose) : program_(std::move(program)), purpose_(std::move(purpose)) {}

  // The heading of the options that follow.
  void section(std::string title) { section_ = std::move(title); }

  // Each adds one option. `name` may end with a letter: "slots,j".
  void flag(std::string_view name, bool& target, std::string_view help);
  void flag(std::string_view name, std::optional<bool>& target, std::string_view help);
  void text(std::string_view name, std::string_view placeholder, std::string& target, std::string_view help);
  void escaped_text(std::string_view name, std::string& target, std::string_view help);  // Knows \n, \t, \0 and \\.
  void texts(std::string_view name, std::string_view placeholder, std::vector<std::string>& target,
             std::string_view help);
  void json_array(std::string_view name, std::string& target, std::string_view help);
  void endpoint(std::string_view name, Endpoint& target, std::string_view help);
  void endpoint(std::string_view name, std::optional<Endpoint>& target, std::string_view help);
  void integer(std::string_view name, std::uint32_t& target, std::uint32_t min, std::uint32_t max,
               std::string_view help);
  void integer(std::string_view name, std::optional<std::uint32_t>& target, std::uint32_t min, std::uint32_t max,
               std::string_view help);
  void duration(std::string_view name, Duration& target, Duration min, std::string_view help);
  void duration(std::string_view name, std::optional<Duration>& target, Duration min,
                std::string_view help);  // Or "none".
  void size(std::string_view name, std::uint64_t& target, std::uint64_t min, std::string_view help);
  void range(std::string_view name, std::optional<IndexRange>& target, std::string_view help);
  void halt(std::string_view name, std::optional<HaltRule>& target, std::string_view help);

  // One of a few words.
  template <class Enum>
  void choice(std::string_view name, Enum& target, std::vector<std::pair<std::string, Enum>> words,
              std::string_view help);

  const std::string& program() const { return program_; }  // "ventile-worker".
  const std::string& purpose() const { return purpose_; }  // One sentence for the help.
  const std::vector<Option>& options() const { return options_; }
  const Option* find(std::string_view name) const;  // nullptr if there is none.

private:
  std::string program_;
  std::string purpose_;
  std::string section_;
  std::vector<Option> options_;

  using Assign = std::function<Status(const std::string& value)>;
  Option& add(std::string_view name, Option::Shape shape, std::string_view placeholder, std::string_view help,
              Assign assign, std::function<std::vector<std::string>()> shown);
  // An option whose `parse` gives a Result of what `target` holds.
  template <class Target, class Parse>
  void add_parsed(std::string_view name, Option::Shape shape, std::string_view placeholder, Target& target,
                  std::string_view help, Parse parse);
};

// The one of `candidates` that `word` was most likely meant to be; empty if none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// "a, b or c".
std::string join_with_or(const std::vector<std::string>& words);

template <class Enum>
void OptionTable::choice(std::string_view name, Enum& target, std::vector<std::pair<std::string, Enum>> words,
                         std::string_view help) {
  std::vector<std::string> names;
  std::string placeholder;
  for (const auto& [word, value] : words) {
    names.push_back(word);
    placeholder += (placeholder.empty() ? "" : "|") + word;
  }
  auto assign = [&target, words, names](const std::string& text) -> Status {
    for (const auto& [word, value] : words) {
      if (word == text) {
        target = value;
        return {};
      }
    }
    return Error{Code::invalid, "expected " + join_with_or(names) + ", got \"" + text + "\""};
  };
  auto shown = [&target, words]() -> std::vector<std::string> {
    for (const auto& [word, value] : words) {
      if (value == target) return {word};
    }
    return {};
  };
  add(name, Option::Shape::single, placeholder, help, std::move(assign), std::move(shown));
}

}  // namespace ventile
