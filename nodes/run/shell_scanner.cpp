#include <nodes/run/shell_scanner.hpp>

namespace ventile {

void ShellScanner::read(std::string_view text) {
  for (const char c : text) {
    read(c);
    before_ = c;
  }
}

std::optional<ShellContext> ShellScanner::context() const {
  if (unsure_ || escaped_ || before_ == '$') return std::nullopt;
  for (const Level level : levels_)
    if (level == Level::braces) return std::nullopt;
  if (levels_.back() == Level::single_quotes) return ShellContext::single_quotes;
  if (levels_.back() == Level::double_quotes) return ShellContext::double_quotes;
  if (comment_) return std::nullopt;
  return ShellContext::plain;
}

void ShellScanner::read(char c) {
  if (comment_) {
    comment_ = c != '\n';
    at_word_start_ = true;
    return;
  }
  if (levels_.back() == Level::single_quotes) {
    if (c == '\'') levels_.pop_back();
    return;
  }
  if (escaped_) {
    escaped_ = false;
    at_word_start_ = false;
    return;
  }
  if (c == '\\') {
    escaped_ = true;
    return;
  }
  if (c == '`') {
    // What is in backquotes is read twice, with rules of its own for backslashes.
    unsure_ = true;
    return;
  }
  if (c == '(' && before_ == '$') {
    at_word_start_ = true;
    word_.clear();
    return levels_.push_back(Level::parenthesis);
  }
  if (c == '{' && before_ == '$') return levels_.push_back(Level::braces);
  if (levels_.back() == Level::double_quotes) return read_in_double_quotes(c);
  read_in_plain(c);
}

void ShellScanner::read_in_double_quotes(char c) {
  if (c == '"') levels_.pop_back();
}

void ShellScanner::read_in_plain(char c) {
  switch (c) {
    case '\'':
      if (before_ == '$') unsure_ = true;  // $'…' has escapes in bash and none in dash.
      levels_.push_back(Level::single_quotes);
      break;
    case '"':
      levels_.push_back(Level::double_quotes);
      break;
    case '(':
      levels_.push_back(Level::parenthesis);
      break;
    case ')':
      if (levels_.back() == Level::parenthesis) levels_.pop_back();
      break;
    case '}':
      if (levels_.back() == Level::braces) levels_.pop_back();
      break;
    case '<':
      if (before_ == '<') unsure_ = true;  // A here-document.
      break;
    case '#':
      comment_ = at_word_start_;
      break;
    default:
      break;
  }
  constexpr std::string_view ends_words = " \t\n;&|()<>";
  at_word_start_ = ends_words.find(c) != std::string_view::npos;
  if (!at_word_start_) {
    word_ += c;
    return;
  }
  if (word_ == "case" && levels_.size() > 1) unsure_ = true;  // Its patterns end with a parenthesis of their own.
  word_.clear();
}

}  // namespace ventile
