// Where in a command line of sh a byte stands: what a replacement there must be quoted for.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nodes/run/quoting.hpp>

namespace ventile {

// Follows quotes, backslashes, comments, $(…) and ${…} as sh does, one piece of text after the other. Where it cannot
// be sure how sh would read a word (`…`, ${…}, here-documents, after a backslash, $'…', `case` inside of $(…)) it has
// no answer.
class ShellScanner {
public:
  void read(std::string_view text);
  // Of whatever would come next.
  std::optional<ShellContext> context() const;
  // A replacement was here: what comes next is in the middle of a word.
  void pass_replacement() {
    at_word_start_ = false;
    before_ = 'x';
    word_ += 'x';
  }

private:
  enum class Level : char { plain, parenthesis, single_quotes, double_quotes, braces };

  std::vector<Level> levels_{Level::plain};
  bool escaped_ = false;
  bool comment_ = false;
  bool unsure_ = false;  // To the end.
  bool at_word_start_ = true;
  char before_ = '\n';
  std::string word_;

  void read(char c);
  void read_in_double_quotes(char c);
  void read_in_plain(char c);
};

}  // namespace ventile
