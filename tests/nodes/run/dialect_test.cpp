#include <nodes/run/dialect.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Words = std::vector<std::string>;

Parsed<RunCommand> parse(const Words& arguments) {
  Surroundings around;
  around.directory = "/nonexistent";
  around.system_config = "/nonexistent";
  return parse_run_options(arguments, around);
}

RunCommand parsed(const Words& arguments) {
  Parsed<RunCommand> result = parse(arguments);
  const auto* exit = std::get_if<ExitNow>(&result);
  EXPECT_EQ(exit, nullptr) << exit->text;
  return exit == nullptr ? std::get<RunCommand>(result) : RunCommand{};
}

ExitNow refused(const Words& arguments) {
  Parsed<RunCommand> result = parse(arguments);
  const auto* exit = std::get_if<ExitNow>(&result);
  EXPECT_NE(exit, nullptr);
  return exit == nullptr ? ExitNow{ExitCode::success} : *exit;
}

TEST(DialectTest, the_first_word_that_is_no_option_begins_the_command) {
  const RunCommand run = parsed({"-k", "grep", "-k", "--bar", "x"});
  EXPECT_TRUE(run.keep_order);
  EXPECT_FALSE(run.bar);
  EXPECT_THAT(run.command, ElementsAre("grep", "-k", "--bar", "x"));
}

TEST(DialectTest, two_dashes_end_the_options) {
  EXPECT_THAT(parsed({"--", "-x", "y"}).command, ElementsAre("-x", "y"));
}

TEST(DialectTest, colons_end_the_command) {
  const RunCommand run = parsed({"echo", "x", ":::", "a", "-b", ":::+", "c", "::::", "f", "-", "::::+", "g", ":::"});
  EXPECT_THAT(run.command, ElementsAre("echo", "x"));
  EXPECT_THAT(run.sources, ElementsAre(SourceSpec{{"a", "-b"}, {}, false, false}, SourceSpec{{"c"}, {}, false, true},
                                       SourceSpec{{}, "f", true, false}, SourceSpec{{}, "-", true, false},
                                       SourceSpec{{}, "g", true, true}, SourceSpec{{}, {}, false, false}));
}

TEST(DialectTest, letters_may_be_joined_and_have_their_value_behind_them) {
  EXPECT_EQ(parsed({"-kj4", "x"}).slots, "4");
  EXPECT_EQ(parsed({"-j", "50%", "x"}).slots, "50%");
  EXPECT_EQ(parsed({"-j+2", "x"}).slots, "+2");
  EXPECT_EQ(parsed({"-P3", "x"}).slots, "3");
  EXPECT_EQ(parsed({"--jobs", "-1", "x"}).slots, "-1");
  EXPECT_TRUE(parsed({"-k0", "x"}).null_delimited);
  EXPECT_EQ(parsed({"-n2", "x"}).arguments_each, 2U);
  EXPECT_EQ(parsed({"-N", "3", "x"}).arguments_each, 3U);
}

TEST(DialectTest, names_of_gnu_parallel_are_understood) {
  const RunCommand run =
      parsed({"--lb", "--eta", "--will-cite", "--wd", "/tmp", "--halt", "2", "--block", "10M", "-a", "file", "x"});
  EXPECT_TRUE(run.line_buffer);
  EXPECT_EQ(run.bar, true);
  EXPECT_EQ(run.directory, "/tmp");
  EXPECT_EQ(run.halt, (HaltRule{HaltRule::When::now, HaltRule::Why::fail, HaltRule::Tasks{1}}));
  EXPECT_EQ(run.block_bytes, 10U << 20);
  EXPECT_THAT(run.sources, ElementsAre(SourceSpec{{}, "file", true, false}));
  EXPECT_EQ(parsed({"--block=3k", "--pipe", "x"}).block_bytes, 3000U);
}

TEST(DialectTest, what_only_gnu_parallel_has_is_refused_and_the_nearest_thing_named) {
  EXPECT_THAT(refused({"-X", "echo"}).text, HasSubstr("-n N"));
  EXPECT_THAT(refused({"--round-robin", "cat"}).text, HasSubstr("--pipe"));
  EXPECT_THAT(refused({"--tmux", "cat"}).text, HasSubstr("--line-buffer"));
  EXPECT_EQ(refused({"--sqlmaster", "x", "cat"}).code, ExitCode::usage);
}

TEST(DialectTest, an_unknown_option_is_refused_with_the_one_that_was_meant) {
  EXPECT_THAT(refused({"--joblgo", "x", "cat"}).text, HasSubstr("did you mean --joblog?"));
  EXPECT_THAT(refused({"-j"}).text, HasSubstr("-j needs a value"));
}

TEST(DialectTest, one_word_with_blanks_is_refused_with_the_hint) {
  EXPECT_THAT(refused({"echo {}", ":::", "a"}).hint, HasSubstr("--shell"));
  EXPECT_THAT(parsed({"--shell", "echo {}", ":::", "a"}).command, ElementsAre("echo {}"));
  EXPECT_THAT(parsed({"my program", "{}", ":::", "a"}).command, ElementsAre("my program", "{}"));
}

TEST(DialectTest, a_missing_command_is_refused_but_for_lines_of_sh) {
  EXPECT_THAT(refused({":::", "a b"}).hint, HasSubstr("--shell"));
  EXPECT_THAT(parsed({"--shell", ":::", "a b"}).command, IsEmpty());
}

TEST(DialectTest, options_that_exclude_each_other_are_refused) {
  for (const Words& words :
       {Words{"--pipe", "cat", ":::", "a"}, Words{"-u", "-k", "x"}, Words{"-u", "--tag", "x"}, Words{"--lb", "-k", "x"},
        Words{"--resume", "x"}, Words{"--stdin", "--resume", "--joblog", "l", "x"},
        Words{"--retry-failed", "--joblog", "l", "x"}, Words{"--header", "x", "x"}, Words{"-j", "x", "x"},
        Words{"--timeout", "x", "x"}, Words{"-d", "ab", "x"}, Words{"--trim", "q", "x"}, Words{"-q", "-v", "x"}})
    EXPECT_EQ(refused(words).code, ExitCode::usage) << words.front();
}

TEST(DialectTest, linked_sources_are_linked_to_the_first) {
  const RunCommand run = parsed({"--link", "x", ":::", "a", ":::", "b"});
  EXPECT_FALSE(run.sources[0].linked);
  EXPECT_TRUE(run.sources[1].linked);
}

TEST(DialectTest, slots_are_counted_from_the_processors) {
  EXPECT_EQ(*run_slots("4", 8), 4U);
  EXPECT_EQ(*run_slots("50%", 8), 4U);
  EXPECT_EQ(*run_slots("10%", 2), 1U);
  EXPECT_EQ(*run_slots("+2", 8), 10U);
  EXPECT_EQ(*run_slots("-9", 8), 1U);
  EXPECT_EQ(*run_slots("0", 8), run_slots_max);
  EXPECT_EQ(*run_slots("1000000", 8), run_slots_max);
  for (const char* text : {"", "x", "%", "4x", "+"}) EXPECT_FALSE(run_slots(text, 8)) << text;
}

// They failed by the hundred: each command takes descriptors, of which a process has a thousand on many systems.
TEST(DialectTest, no_more_commands_run_at_once_than_there_are_descriptors_for) {
  EXPECT_EQ(slots_within(10, UINT64_MAX), 10U);
  EXPECT_EQ(slots_within(1'024, 1'024), 107U);
  EXPECT_EQ(slots_within(10, 176), 1U);
  EXPECT_EQ(slots_within(10, 175), 0U);
}

TEST(DialectTest, what_is_kept_for_another_run_leaves_out_how_arguments_are_read) {
  EXPECT_THAT(parsed({"-j2", "--colsep", ",", "-0", "--tag", "x"}).kept_options, ElementsAre("--slots=2", "--tag"));
}

TEST(DialectTest, the_help_fits_a_screen_and_names_every_option) {
  const std::string help = run_help();
  std::istringstream lines{help};
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_LE(line.size(), 80U) << line;
  EXPECT_LE(count, 24);
  RunCommand run;
  const OptionTable table = table_of(run);
  for (const Option& option : table.options()) {
    const bool named = help.find("--" + option.name) != std::string::npos;
    const std::string letter = std::string{" -"} + option.letter;
    EXPECT_TRUE(named || help.find(letter + ' ') != std::string::npos || help.find(letter + '\n') != std::string::npos)
        << option.name;
  }
}

TEST(DialectTest, the_manual_page_names_every_option) {
  std::ifstream file{VENTILE_MANUAL};
  const std::string page{std::istreambuf_iterator<char>{file}, {}};
  RunCommand run;
  const OptionTable table = table_of(run);
  for (const Option& option : table.options())
    EXPECT_NE(page.find("--" + option.name), std::string::npos) << option.name;
}

}  // namespace
}  // namespace ventile
