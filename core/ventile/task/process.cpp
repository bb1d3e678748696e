#include <ventile/task/process.hpp>

namespace ventile {
namespace {

constexpr std::string_view blanks = " \t\n";
constexpr std::string_view placeholder = "{}";

// Walks the text once; each function consumes what it names.
class WordSplitter {
public:
  explicit WordSplitter(std::string_view text) : text_(text) {}

  Result<std::vector<std::string>> split() {
    std::vector<std::string> words;
    while (skip_blanks()) {
      std::string word;
      while (at_ < text_.size() && blanks.find(text_[at_]) == std::string_view::npos) {
        if (auto read = piece(word); !read) return read.error();
      }
      words.push_back(std::move(word));
    }
    return words;
  }

private:
  std::string_view text_;
  std::size_t at_ = 0;

  bool skip_blanks() {
    while (at_ < text_.size()) {
      if (text_.substr(at_, 2) == "\\\n") {
        at_ += 2;  // Joined lines.
      } else if (blanks.find(text_[at_]) != std::string_view::npos) {
        ++at_;
      } else {
        return true;
      }
    }
    return false;
  }

  Status piece(std::string& word) {
    switch (text_[at_]) {
      case '\'':
        return single_quoted(word);
      case '"':
        return double_quoted(word);
      case '\\':
        return escaped(word);
      default:
        word += text_[at_++];
        return {};
    }
  }

  Status single_quoted(std::string& word) {
    const std::size_t end = text_.find('\'', at_ + 1);
    if (end == std::string_view::npos) return unbalanced("single quote (')", at_);
    word += text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return {};
  }

  Status double_quoted(std::string& word) {
    const std::size_t begin = at_++;
    while (at_ < text_.size() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
        escaped_in_double_quotes(word);
      } else {
        word += text_[at_++];
      }
    }
    if (at_ == text_.size()) return unbalanced("double quote (\")", begin);
    ++at_;
    return {};
  }

  void escaped_in_double_quotes(std::string& word) {
    const char next = text_[at_ + 1];
    if (std::string_view{"$`\"\\\n"}.find(next) == std::string_view::npos) word += '\\';
    if (next != '\n') word += next;  // A backslash at a line's end joins the lines.
    at_ += 2;
  }

  Status escaped(std::string& word) {
    if (at_ + 1 == text_.size()) return Error{Code::invalid, "a backslash at the end of the command escapes nothing."};
    if (text_[at_ + 1] != '\n') word += text_[at_ + 1];
    at_ += 2;
    return {};
  }

  static Error unbalanced(std::string_view quote, std::size_t at) {
    return {Code::invalid, "the " + std::string{quote} + " at character " + std::to_string(at + 1) +
                               " of the command is never closed."};
  }
};

bool replace_placeholders(std::string& word, std::string_view text) {
  std::size_t at = word.find(placeholder);
  if (at == std::string::npos) return false;
  std::string replaced;
  std::size_t copied = 0;
  for (; at != std::string::npos; at = word.find(placeholder, copied)) {
    replaced.append(word, copied, at - copied).append(text);
    copied = at + placeholder.size();
  }
  word = replaced.append(word, copied);
  return true;
}

}  // namespace

std::string_view last_line(std::string_view text) {
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (end == std::string_view::npos) return {};
  text = text.substr(0, end + 1);
  return text.substr(text.rfind('\n') + 1);  // npos + 1 is 0.
}

Result<std::vector<std::string>> split_words(std::string_view text) { return WordSplitter{text}.split(); }

Result<std::vector<std::string>> expand(const std::vector<std::string>& words, std::string_view text) {
  if (text.find('\0') != std::string_view::npos) {
    return Error{Code::invalid, "the task's text has a NUL byte, which no program argument can carry."};
  }
  std::vector<std::string> expanded = words;
  bool placed = false;
  for (std::string& word : expanded) placed |= replace_placeholders(word, text);
  if (!placed) expanded.emplace_back(text);
  return expanded;
}

}  // namespace ventile
