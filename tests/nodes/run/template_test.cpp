#include <nodes/run/template.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ventile {
namespace {

using testing::ElementsAre;
using Words = std::vector<std::string>;

Words words(const Words& command, const Words& arguments, const TemplateOptions& options = {}, TaskPlace place = {}) {
  const Result<CommandTemplate> made = CommandTemplate::parse(command, options);
  EXPECT_TRUE(made) << made.error().message;
  return made ? made->words(arguments, place) : Words{};
}

TEST(TemplateTest, without_a_replacement_the_argument_is_the_last_word) {
  EXPECT_THAT(words({"echo", "x"}, {"a b"}), ElementsAre("echo", "x", "a b"));
}

TEST(TemplateTest, an_argument_takes_the_place_of_every_replacement) {
  EXPECT_THAT(words({"cp", "{}", "{}.bak"}, {"a b"}), ElementsAre("cp", "a b", "a b.bak"));
}

TEST(TemplateTest, an_operator_takes_a_part_of_the_path) {
  EXPECT_THAT(words({"{.}", "{/}", "{//}", "{/.}"}, {"/x/y.tar.gz"}),
              ElementsAre("/x/y.tar", "y.tar.gz", "/x", "y.tar"));
  EXPECT_THAT(words({"{.}", "{/}", "{//}", "{/.}"}, {"y"}), ElementsAre("y", "y", ".", "y"));
  EXPECT_THAT(words({"{.}", "{//}"}, {"/a.b/c"}), ElementsAre("/a.b/c", "/a.b"));
  EXPECT_THAT(words({"{//}"}, {"/c"}), ElementsAre("/"));
}

TEST(TemplateTest, positions_count_from_both_ends) {
  EXPECT_THAT(words({"{2}", "{1.}", "{-1/}"}, {"a.b", "c", "/d/e"}), ElementsAre("c", "a", "e"));
}

TEST(TemplateTest, a_word_that_is_a_missing_position_is_left_out) {
  EXPECT_THAT(words({"echo", "{2}", "[{2}]"}, {"a"}), ElementsAre("echo", "[]"));
}

TEST(TemplateTest, an_empty_argument_is_an_empty_word) {
  EXPECT_THAT(words({"echo", "{}"}, {""}), ElementsAre("echo", ""));
}

TEST(TemplateTest, several_arguments_are_several_words) {
  EXPECT_THAT(words({"x{}y", "{.}"}, {"a.b", "c"}), ElementsAre("xa.b", "cy", "a", "c"));
}

TEST(TemplateTest, number_and_slot_count_as_replacements) {
  EXPECT_THAT(words({"echo", "{#}"}, {"a"}, {}, {7, 3}), ElementsAre("echo", "7"));
  EXPECT_THAT(words({"echo", "{%}"}, {"a"}, {}, {7, 3}), ElementsAre("echo", "3"));
}

TEST(TemplateTest, other_braces_are_ordinary_text) {
  EXPECT_THAT(words({"awk", "{print $1}", "{0}", "{x}", "{", "{}"}, {"a"}),
              ElementsAre("awk", "{print $1}", "{0}", "{x}", "{", "a"));
}

TEST(TemplateTest, names_stand_for_columns) {
  EXPECT_THAT(words({"{size}", "{file.}"}, {"a.b", "7"}, {.names = {"file", "size"}}), ElementsAre("7", "a"));
}

TEST(TemplateTest, another_text_can_stand_for_the_arguments) {
  EXPECT_THAT(words({"echo", "@", "{}", "{1}"}, {"a"}, {.replacement = "@"}), ElementsAre("echo", "a", "{}", "a"));
}

TEST(TemplateTest, nothing_is_appended_if_commands_read_their_arguments) {
  EXPECT_THAT(words({"wc", "-l"}, {}, {.append = false}), ElementsAre("wc", "-l"));
}

TEST(TemplateTest, without_a_command_the_arguments_are_the_words) {
  EXPECT_THAT(words({}, {"echo", "a"}), ElementsAre("echo", "a"));
}

TEST(TemplateTest, bytes_of_any_kind_stay_as_they_are) {
  const std::string bytes{"\xff\xfe\n'\"\\$`*", 9};
  EXPECT_THAT(words({"x{}"}, {bytes}), ElementsAre("x" + bytes));
}

TEST(TemplateTest, a_shell_line_quotes_every_replacement) {
  EXPECT_THAT(words({"echo", "{}|wc"}, {"; rm -rf ~"}, {.shell = true}),
              ElementsAre("sh", "-c", "echo '; rm -rf ~'|wc"));
  EXPECT_THAT(words({"echo \"{}\" '{}'"}, {"$(id)'"}, {.shell = true}),
              ElementsAre("sh", "-c", "echo \"\\$(id)'\" '$(id)'\"'\"''"));
}

TEST(TemplateTest, a_place_where_no_quoting_is_safe_is_refused) {
  for (const char* line : {"echo `ls {}`", "echo \\{}", "echo ${x:-{}}", "cat << {}", "echo $'{}'", "echo ${}",
                           "echo a # {}", "echo \"$(case a in a) echo {};; esac)\""})
    EXPECT_FALSE(CommandTemplate::parse({line}, {.shell = true})) << line;
}

TEST(TemplateTest, a_tag_is_plain_text) {
  const auto tag = *CommandTemplate::parse({"{#}:{}"}, {.append = false});
  EXPECT_EQ(tag.text({"a b", "c"}, {4, 1}), "4:a b c");
}

}  // namespace
}  // namespace ventile
