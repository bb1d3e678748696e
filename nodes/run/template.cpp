#include <nodes/run/template.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include <nodes/run/shell_scanner.hpp>

namespace ventile {
namespace {

std::string file_of(std::string_view path) { return std::string{path.substr(path.rfind('/') + 1)}; }  // npos + 1 is 0.

std::string folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string{path.substr(0, slash)};
}

std::string without_extension(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  const std::size_t slash = path.rfind('/');
  const bool in_file = dot != std::string_view::npos && (slash == std::string_view::npos || dot > slash);
  return std::string{in_file ? path.substr(0, dot) : path};
}

std::optional<int> position_of(std::string_view text) {
  int position = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), position);
  if (error != std::errc{} || end != text.data() + text.size() || position == 0) return std::nullopt;
  return position;
}

}  // namespace

// --- Reading ---------------------------------------------------------------------------------------------------------

// Whether `text` begins with a replacement, and which.
bool CommandTemplate::read_replacement(std::string_view text, const TemplateOptions& options, std::size_t& length,
                                       Replacement& replacement) {
  replacement = {};
  if (text.starts_with(options.replacement)) {
    length = options.replacement.size();
    return true;
  }
  if (!text.starts_with('{')) return false;
  const std::size_t end = text.find('}');
  if (end == std::string_view::npos) return false;
  length = end + 1;
  std::string_view inner = text.substr(1, end - 1);
  if (inner == "#" || inner == "%") {
    replacement.what = inner == "#" ? What::sequence : What::slot;
    return true;
  }
  static constexpr std::array<std::pair<std::string_view, Part>, 4> operators{
      {{"/.", Part::file_no_extension}, {"//", Part::folder}, {"/", Part::file}, {".", Part::no_extension}}};
  const auto names = [&](std::string_view name) {
    if (const auto at = std::find(options.names.begin(), options.names.end(), name); at != options.names.end()) {
      replacement.position = static_cast<int>(at - options.names.begin()) + 1;
      return true;
    }
    const std::optional<int> position = position_of(name);
    replacement.position = position.value_or(0);
    return position.has_value();
  };
  if (names(inner)) return true;
  for (const auto& [suffix, part] : operators) {
    if (!inner.ends_with(suffix)) continue;
    replacement.part = part;
    inner.remove_suffix(suffix.size());
    return inner.empty() ? options.replacement == "{}" : names(inner);
  }
  return false;
}

CommandTemplate::Word CommandTemplate::parse_word(std::string_view text, const TemplateOptions& options) {
  Word word;
  std::string plain;
  while (!text.empty()) {
    std::size_t length = 0;
    Replacement replacement;
    if (!read_replacement(text, options, length, replacement)) {
      plain += text.front();
      text.remove_prefix(1);
      continue;
    }
    if (!plain.empty()) word.emplace_back(std::exchange(plain, {}));
    word.emplace_back(replacement);
    text.remove_prefix(length);
  }
  if (!plain.empty() || word.empty()) word.emplace_back(std::move(plain));
  return word;
}

Result<CommandTemplate> CommandTemplate::parse(const std::vector<std::string>& words, const TemplateOptions& options) {
  CommandTemplate made;
  made.shell_ = options.shell;
  if (options.shell) {
    std::string line;
    for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
    if (!words.empty()) made.words_.push_back(parse_word(line, options));
  } else {
    for (const std::string& word : words) made.words_.push_back(parse_word(word, options));
  }
  bool replaces = false;
  for (const Word& word : made.words_) {
    for (const Piece& piece : word) {
      const auto* replacement = std::get_if<Replacement>(&piece);
      replaces = replaces || replacement != nullptr;
      made.shows_slot_ = made.shows_slot_ || (replacement != nullptr && replacement->what == What::slot);
    }
  }
  if (!replaces && options.append) {
    if (made.shell_ && !made.words_.empty()) {
      made.words_.front().emplace_back(" ");
      made.words_.front().emplace_back(Replacement{});
    } else {
      made.words_.push_back({Replacement{}});
    }
  }
  if (made.shell_)
    if (Status found = made.find_contexts(); !found) return found.error();
  return made;
}

// Each replacement is quoted for where it stands.
Status CommandTemplate::find_contexts() {
  for (Word& word : words_) {
    ShellScanner scanner;
    for (Piece& piece : word) {
      if (const auto* text = std::get_if<std::string>(&piece)) {
        scanner.read(*text);
        continue;
      }
      const std::optional<ShellContext> context = scanner.context();
      if (!context)
        return Error{Code::invalid,
                     "a replacement stands where no quoting makes every argument safe: in `…`, ${…}, $'…', a comment, "
                     "a here-document, a `case` inside of $(…), or behind a backslash or $"};
      std::get<Replacement>(piece).context = *context;
      scanner.pass_replacement();
    }
  }
  return {};
}

// --- Writing ---------------------------------------------------------------------------------------------------------

std::vector<std::string> CommandTemplate::values_of(const Replacement& replacement,
                                                    const std::vector<std::string>& arguments, TaskPlace place) {
  if (replacement.what == What::sequence) return {std::to_string(place.sequence)};
  if (replacement.what == What::slot) return {std::to_string(place.slot)};
  std::vector<std::string> values;
  if (replacement.position == 0) {
    values = arguments;
  } else {
    const auto count = static_cast<int>(arguments.size());
    const int index = replacement.position > 0 ? replacement.position - 1 : count + replacement.position;
    if (index >= 0 && index < count) values.push_back(arguments[static_cast<std::size_t>(index)]);
  }
  for (std::string& value : values) {
    switch (replacement.part) {
      case Part::whole:
        break;
      case Part::no_extension:
        value = without_extension(value);
        break;
      case Part::file:
        value = file_of(value);
        break;
      case Part::folder:
        value = folder_of(value);
        break;
      case Part::file_no_extension:
        value = without_extension(file_of(value));
        break;
    }
  }
  return values;
}

void CommandTemplate::add_words(const Word& word, const std::vector<std::string>& arguments, TaskPlace place,
                                std::vector<std::string>& words) {
  std::string current;
  bool exists = false;
  for (const Piece& piece : word) {
    if (const auto* text = std::get_if<std::string>(&piece)) {
      current += *text;
      exists = true;
      continue;
    }
    bool first = true;
    for (const std::string& value : values_of(std::get<Replacement>(piece), arguments, place)) {
      if (!first) words.push_back(std::exchange(current, {}));
      first = false;
      current += value;
      exists = true;
    }
  }
  if (exists) words.push_back(std::move(current));
}

std::vector<std::string> CommandTemplate::words(const std::vector<std::string>& arguments, TaskPlace place) const {
  std::vector<std::string> words;
  if (!shell_) {
    for (const Word& word : words_) add_words(word, arguments, place, words);
    return words;
  }
  std::string line;
  for (const Word& word : words_) {
    for (const Piece& piece : word) {
      if (const auto* text = std::get_if<std::string>(&piece)) {
        line += *text;
        continue;
      }
      const auto& replacement = std::get<Replacement>(piece);
      bool first = true;
      for (const std::string& value : values_of(replacement, arguments, place)) {
        line += (first ? "" : " ") + quoted_for_shell(value, replacement.context);
        first = false;
      }
    }
  }
  return {"sh", "-c", line};
}

std::string CommandTemplate::text(const std::vector<std::string>& arguments, TaskPlace place) const {
  std::string text;
  for (const Word& word : words_) {
    text += text.empty() ? "" : " ";
    for (const Piece& piece : word) {
      if (const auto* plain = std::get_if<std::string>(&piece)) {
        text += *plain;
        continue;
      }
      bool first = true;
      for (const std::string& value : values_of(std::get<Replacement>(piece), arguments, place)) {
        text += (first ? "" : " ") + value;
        first = false;
      }
    }
  }
  return text;
}

}  // namespace ventile
