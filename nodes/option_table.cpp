#include <nodes/option_table.hpp>

#include <algorithm>
#include <numeric>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace ventile {
namespace {

using Shape = Option::Shape;

// Each value as a user would write it.
std::string show(bool value) { return value ? "true" : "false"; }
std::string show(std::uint32_t value) { return fmt::format("{}", value); }
std::string show(const std::string& value) { return value; }
std::string show(Duration value) { return to_text(value); }
std::string show(const Endpoint& value) { return value.to_string(); }
std::string show(const IndexRange& value) { return to_text(value); }

template <class T>
std::vector<std::string> shown_texts(const T& value) {
  std::string text = show(value);
  return text.empty() ? std::vector<std::string>{} : std::vector{std::move(text)};
}
template <class T>
std::vector<std::string> shown_texts(const std::optional<T>& value) {
  return value ? shown_texts(*value) : std::vector<std::string>{};
}
std::vector<std::string> shown_texts(const std::optional<HaltRule>& value) { return {to_text(value)}; }

Result<Duration> parse_duration_of_at_least(std::string_view text, Duration min) {
  auto parsed = parse_duration(text);
  if (parsed && *parsed < min) {
    return Error{Code::invalid, fmt::format("expected a duration of at least {}, got \"{}\"", to_text(min), text)};
  }
  return parsed;
}

Result<std::uint64_t> parse_size_of_at_least(std::string_view text, std::uint64_t min) {
  auto parsed = parse_size(text);
  if (parsed && *parsed < min) {
    return Error{Code::invalid, fmt::format("expected a size of at least {}, got \"{}\"", size_to_text(min), text)};
  }
  return parsed;
}

constexpr std::string_view escape_letters = "nt0\\";
constexpr std::string_view escaped_bytes{"\n\t\0\\", 4};

Result<std::string> unescape(std::string_view text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\') {
      plain += text[at];
      continue;
    }
    ++at;
    const std::size_t letter = at < text.size() ? escape_letters.find(text[at]) : std::string_view::npos;
    if (letter == std::string_view::npos) {
      return Error{Code::invalid, fmt::format(R"(expected only \n, \t, \0 or \\ after a backslash, got "{}")", text)};
    }
    plain += escaped_bytes[letter];
  }
  return plain;
}

std::string escape(std::string_view plain) {
  std::string text;
  for (const char byte : plain) {
    const std::size_t letter = escaped_bytes.find(byte);
    if (letter == std::string_view::npos) {
      text += byte;
    } else {
      text += {'\\', escape_letters[letter]};
    }
  }
  return text;
}

Result<std::string> parse_json_array(std::string_view text) {
  const auto parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_array()) return Error{Code::invalid, fmt::format("expected a JSON array, got \"{}\"", text)};
  return std::string{text};
}

auto integer_parser(std::uint32_t min, std::uint32_t max) {
  return [min, max](std::string_view text) { return parse_integer(text, min, max); };
}

auto duration_parser(Duration min) {
  return [min](std::string_view text) { return parse_duration_of_at_least(text, min); };
}

// Edits (insert, delete, replace, swap neighbours) that make one word of the other.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

}  // namespace

std::string Option::environment_name() const {
  if (name == "job") return "VENTILE_JOB_NAME";  // VENTILE_JOB is what a task is told of its own job.
  std::string text = "VENTILE_" + name;
  std::replace(text.begin(), text.end(), '-', '_');
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return text;
}

std::string Option::flag_name() const { return "--" + name; }

Option& OptionTable::add(std::string_view name, Option::Shape shape, std::string_view placeholder,
                         std::string_view help, Assign assign, std::function<std::vector<std::string>()> shown) {
  const std::size_t comma = name.find(',');
  Option option{
      .name = std::string{name.substr(0, comma)},
      .letter = comma == std::string_view::npos ? char{0} : name[comma + 1],
      .shape = shape,
      .placeholder = std::string{placeholder},
      .section = section_,
      .help = std::string{help},
      .assign = [assign = std::move(assign)](const std::vector<std::string>& values) { return assign(values.back()); },
      .shown = std::move(shown)};
  options_.push_back(std::move(option));
  return options_.back();
}

const Option* OptionTable::find(std::string_view name) const {
  const auto found =
      std::find_if(options_.begin(), options_.end(), [&](const Option& option) { return option.name == name; });
  return found == options_.end() ? nullptr : &*found;
}

template <class Target, class Parse>
void OptionTable::add_parsed(std::string_view name, Shape shape, std::string_view placeholder, Target& target,
                             std::string_view help, Parse parse) {
  auto assign = [&target, parse](const std::string& text) -> Status {
    auto parsed = parse(text);
    if (!parsed) return parsed.error();
    target = static_cast<Target>(*std::move(parsed));
    return {};
  };
  add(name, shape, placeholder, help, std::move(assign), [&target] { return shown_texts(target); });
}

void OptionTable::flag(std::string_view name, bool& target, std::string_view help) {
  add_parsed(name, Shape::flag, "", target, help, parse_switch);
}

void OptionTable::flag(std::string_view name, std::optional<bool>& target, std::string_view help) {
  add_parsed(name, Shape::flag, "", target, help, parse_switch);
}

void OptionTable::text(std::string_view name, std::string_view placeholder, std::string& target,
                       std::string_view help) {
  add_parsed(name, Shape::single, placeholder, target, help,
             [](std::string_view text) { return Result<std::string>{std::string{text}}; });
}

void OptionTable::escaped_text(std::string_view name, std::string& target, std::string_view help) {
  add(
      name, Shape::single, "TEXT", help,
      [&target](const std::string& text) -> Status {
        auto plain = unescape(text);
        if (!plain) return plain.error();
        target = *std::move(plain);
        return {};
      },
      [&target] { return std::vector{escape(target)}; });
}

void OptionTable::texts(std::string_view name, std::string_view placeholder, std::vector<std::string>& target,
                        std::string_view help) {
  Option& option = add(name, Shape::repeated, placeholder, help, {}, [&target] { return target; });
  option.assign = [&target](const std::vector<std::string>& values) {
    target = values;
    return Status{};
  };
}

void OptionTable::json_array(std::string_view name, std::string& target, std::string_view help) {
  add_parsed(name, Shape::json, "JSON", target, help, parse_json_array);
}

void OptionTable::endpoint(std::string_view name, Endpoint& target, std::string_view help) {
  add_parsed(name, Shape::single, "ADDRESS", target, help, Endpoint::parse);
}

void OptionTable::endpoint(std::string_view name, std::optional<Endpoint>& target, std::string_view help) {
  add_parsed(name, Shape::single, "ADDRESS", target, help, Endpoint::parse);
}

void OptionTable::integer(std::string_view name, std::uint32_t& target, std::uint32_t min, std::uint32_t max,
                          std::string_view help) {
  add_parsed(name, Shape::single, "N", target, help, integer_parser(min, max));
}

void OptionTable::integer(std::string_view name, std::optional<std::uint32_t>& target, std::uint32_t min,
                          std::uint32_t max, std::string_view help) {
  add_parsed(name, Shape::single, "N", target, help, integer_parser(min, max));
}

void OptionTable::duration(std::string_view name, Duration& target, Duration min, std::string_view help) {
  add_parsed(name, Shape::single, "DURATION", target, help, duration_parser(min));
}

void OptionTable::duration(std::string_view name, std::optional<Duration>& target, Duration min,
                           std::string_view help) {
  auto parse = [min](std::string_view text) -> Result<std::optional<Duration>> {
    if (text == "none") return std::optional<Duration>{};
    const auto parsed = parse_duration_of_at_least(text, min);
    if (!parsed) return parsed.error();
    return std::optional{*parsed};
  };
  add_parsed(name, Shape::single, "DURATION", target, help, parse);
}

void OptionTable::size(std::string_view name, std::uint64_t& target, std::uint64_t min, std::string_view help) {
  add(
      name, Shape::single, "SIZE", help,
      [&target, min](const std::string& text) -> Status {
        const auto parsed = parse_size_of_at_least(text, min);
        if (!parsed) return parsed.error();
        target = *parsed;
        return {};
      },
      [&target] { return std::vector{size_to_text(target)}; });
}

void OptionTable::range(std::string_view name, std::optional<IndexRange>& target, std::string_view help) {
  add_parsed(name, Shape::single, "A:B[:STEP]", target, help, parse_index_range);
}

void OptionTable::halt(std::string_view name, std::optional<HaltRule>& target, std::string_view help) {
  add_parsed(name, Shape::single, "RULE", target, help, parse_halt);
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

std::string join_with_or(const std::vector<std::string>& words) {
  std::string text;
  for (std::size_t at = 0; at < words.size(); ++at) {
    if (at > 0) text += at + 1 == words.size() ? " or " : ", ";
    text += words[at];
  }
  return text;
}

}  // namespace ventile
