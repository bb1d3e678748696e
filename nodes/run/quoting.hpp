// Words as a shell would have to be given them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ventile {

// The word itself if no shell would see anything in it, else in single quotes. A word with a control character is
// written as $'…' (bash, zsh, ksh), so that what is shown stays in one line.
std::string quoted_for_reading(std::string_view word);
std::string quoted_for_reading(const std::vector<std::string>& words);  // Separated by blanks.

// The words of a line that quoted_for_reading() has written. Empty if the line is something else.
std::vector<std::string> words_of_quoted(std::string_view line);

// In which part of a shell's command line a replacement stands.
enum class ShellContext { plain, single_quotes, double_quotes };

// `text` so that sh takes every byte of it literally there, and as part of one word.
std::string quoted_for_shell(std::string_view text, ShellContext context);

}  // namespace ventile
