// A command as its user typed it, with {} and its like where a task's arguments go.
//
//   {}            every argument of the task        {.}   without its extension
//   {#}           the task's number, from 1         {/}   without its folder
//   {%}           the slot that runs it, from 1     {//}  its folder, or .
//   {2}  {-1}     the second, the last argument     {/.}  neither folder nor extension
//   {2.} {-1//}   the same with an operator         {name} with --header, by its column's name
//
// Anything else in braces is ordinary text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <nodes/run/quoting.hpp>
#include <ventile/base/result.hpp>

namespace ventile {

// One task's place in the run, as {#} and {%} show it.
struct TaskPlace {
  std::uint64_t sequence = 1;
  std::uint32_t slot = 1;
};

struct TemplateOptions {
  std::string replacement = "{}";  // What stands for every argument: -I.
  std::vector<std::string> names;  // Of the arguments, from --header.
  bool append = true;              // Without any replacement, {} is added as the last word.
  bool shell = false;              // The words are one command line of sh.
};

// A value, read by many threads at once.
class CommandTemplate {
public:
  CommandTemplate() = default;
  // Invalid if a replacement stands where no quoting makes it safe (in `…`, ${…}, a here-document, behind a
  // backslash); only with `shell`.
  static Result<CommandTemplate> parse(const std::vector<std::string>& words, const TemplateOptions& options);

  // The words to run. A replacement with several arguments makes several words, as it would in a shell; one that is
  // a whole word and has no argument makes none. With `shell`: sh, -c and one line in which every replacement is
  // quoted for the place where it stands.
  std::vector<std::string> words(const std::vector<std::string>& arguments, TaskPlace place) const;
  // The same as plain text, for --tagstring: nothing is quoted.
  std::string text(const std::vector<std::string>& arguments, TaskPlace place) const;

  bool empty() const { return words_.empty(); }
  bool shows_slot() const { return shows_slot_; }

private:
  enum class What : std::uint8_t { arguments, sequence, slot };
  enum class Part : std::uint8_t { whole, no_extension, file, folder, file_no_extension };
  struct Replacement {
    What what = What::arguments;
    int position = 0;  // 0: all; from 1; from -1 backwards.
    Part part = Part::whole;
    ShellContext context = ShellContext::plain;
  };
  using Piece = std::variant<std::string, Replacement>;
  using Word = std::vector<Piece>;

  std::vector<Word> words_;
  bool shell_ = false;
  bool shows_slot_ = false;

  static bool read_replacement(std::string_view text, const TemplateOptions& options, std::size_t& length,
                               Replacement& replacement);
  static Word parse_word(std::string_view text, const TemplateOptions& options);
  Status find_contexts();
  static std::vector<std::string> values_of(const Replacement& replacement, const std::vector<std::string>& arguments,
                                            TaskPlace place);
  static void add_words(const Word& word, const std::vector<std::string>& arguments, TaskPlace place,
                        std::vector<std::string>& words);
};

}  // namespace ventile
