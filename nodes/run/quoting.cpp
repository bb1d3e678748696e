#include <nodes/run/quoting.hpp>

#include <ventile/wire/json.hpp>

#include <algorithm>

namespace ventile {
namespace {

bool needs_no_quotes(char c) {
  constexpr std::string_view others = "_@%+=:,./-";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         others.find(c) != std::string_view::npos;
}

bool is_plain(std::string_view word) { return !word.empty() && std::all_of(word.begin(), word.end(), needs_no_quotes); }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string in_single_quotes(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\"'\"'";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

// What $'…' understands.
std::string escaped(std::string_view word) {
  std::string text = "$'";
  const bool has_characters = is_utf8(word);
  for (const char c : word) {
    if (c == '\n') {
      text += "\\n";
    } else if (c == '\t') {
      text += "\\t";
    } else if (is_control(c) || (static_cast<unsigned char>(c) >= 0x80 && !has_characters)) {
      const auto value = static_cast<unsigned char>(c);
      text += '\\';
      for (const int digit : {value / 64, value / 8 % 8, value % 8}) text += static_cast<char>('0' + digit);
    } else {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
  }
  return text + "'";
}

// Reads what the functions above write.
class QuotedReader {
public:
  explicit QuotedReader(std::string_view line) : line_(line) {}

  std::vector<std::string> read() {
    std::vector<std::string> words;
    while (at_ < line_.size()) {
      std::string word;
      if (!read_word(word)) return {};
      words.push_back(std::move(word));
      if (at_ == line_.size()) break;
      if (line_[at_++] != ' ' || at_ == line_.size()) return {};
    }
    return words;
  }

private:
  std::string_view line_;
  std::size_t at_ = 0;

  bool read_word(std::string& word) {
    const std::size_t begin = at_;
    while (at_ < line_.size() && line_[at_] != ' ') {
      if (line_.substr(at_, 2) == "$'") {
        at_ += 2;
        if (!read_escaped(word)) return false;
      } else if (line_[at_] == '\'' || line_[at_] == '"') {
        const std::size_t end = line_.find(line_[at_], at_ + 1);
        if (end == std::string_view::npos) return false;
        word += line_.substr(at_ + 1, end - at_ - 1);
        at_ = end + 1;
      } else if (needs_no_quotes(line_[at_])) {
        word += line_[at_++];
      } else {
        return false;
      }
    }
    return at_ > begin;
  }

  bool read_escaped(std::string& word) {
    while (at_ < line_.size() && line_[at_] != '\'') {
      if (line_[at_] != '\\') {
        word += line_[at_++];
        continue;
      }
      if (++at_ == line_.size()) return false;
      const char c = line_[at_++];
      if (c == 'n') {
        word += '\n';
      } else if (c == 't') {
        word += '\t';
      } else if (c >= '0' && c <= '3') {
        if (at_ + 2 > line_.size()) return false;
        word += static_cast<char>((c - '0') * 64 + (line_[at_] - '0') * 8 + (line_[at_ + 1] - '0'));
        at_ += 2;
      } else {
        word += c;
      }
    }
    return at_++ < line_.size();
  }
};

std::string in_double_quotes(std::string_view text) {
  std::string escaped_text;
  for (const char c : text) {
    if (std::string_view{"$`\"\\"}.find(c) != std::string_view::npos) escaped_text += '\\';
    escaped_text += c;
  }
  return escaped_text;
}

}  // namespace

std::string quoted_for_reading(std::string_view word) {
  if (is_plain(word)) return std::string{word};
  return std::any_of(word.begin(), word.end(), is_control) || !is_utf8(word) ? escaped(word) : in_single_quotes(word);
}

std::string quoted_for_reading(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + quoted_for_reading(word);
  return line;
}

std::vector<std::string> words_of_quoted(std::string_view line) { return QuotedReader{line}.read(); }

std::string quoted_for_shell(std::string_view text, ShellContext context) {
  switch (context) {
    case ShellContext::plain:
      return is_plain(text) ? std::string{text} : in_single_quotes(text);
    case ShellContext::single_quotes: {
      const std::string quoted = in_single_quotes(text);
      return quoted.substr(1, quoted.size() - 2);
    }
    case ShellContext::double_quotes:
      return in_double_quotes(text);
  }
  return {};
}

}  // namespace ventile
