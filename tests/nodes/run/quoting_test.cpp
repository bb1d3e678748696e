#include <nodes/run/quoting.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <random>

#include <nodes/run/template.hpp>
#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(QuotingTest, a_plain_word_stays_as_it_is) { EXPECT_EQ(quoted_for_reading("a-b_c/1.2"), "a-b_c/1.2"); }

TEST(QuotingTest, other_words_are_quoted) {
  EXPECT_EQ(quoted_for_reading(""), "''");
  EXPECT_EQ(quoted_for_reading("a b"), "'a b'");
  EXPECT_EQ(quoted_for_reading("it's"), "'it'\"'\"'s'");
}

TEST(QuotingTest, control_characters_stay_in_one_line) {
  EXPECT_EQ(quoted_for_reading("a\nb\x01'"), "$'a\\nb\\001\\''");
}

// In a summary in JSON, which is UTF-8, the byte became U+FFFD, and the command to run again had another argument.
TEST(QuotingTest, bytes_that_are_no_characters_are_written_as_numbers) {
  EXPECT_EQ(quoted_for_reading("caf\xe9"), "$'caf\\351'");
  EXPECT_EQ(quoted_for_reading("caf\xc3\xa9 x"), "'caf\xc3\xa9 x'");
  EXPECT_THAT(words_of_quoted("$'caf\\351'"), ElementsAre("caf\xe9"));
}

TEST(QuotingTest, what_is_quoted_reads_back) {
  std::mt19937 random{7};
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> words(1 + random() % 4);
    for (std::string& word : words)
      for (std::uint32_t i = random() % 6; i > 0; --i)
        word += static_cast<char>(random() % 2 == 0 ? random() % 256 : "'\"\\$ \n"[random() % 6]);
    EXPECT_EQ(words_of_quoted(quoted_for_reading(words)), words) << quoted_for_reading(words);
  }
}

TEST(QuotingTest, what_is_not_quoted_so_has_no_words) {
  for (const char* line : {"a|b", "'a", "a  b", "$'a", "a ", "$x"})
    EXPECT_THAT(words_of_quoted(line), IsEmpty()) << line;
}

// What sh makes of a line, with a file that holds the argument as its input.
std::string output_of(const std::string& line, const TemporaryFolder& folder) {
  const auto script = folder.write("line.sh", line);
  const std::string command = "sh " + script.string() + " 2>&1";
  FILE* const pipe = ::popen(command.c_str(), "r");  // NOLINT(cert-env33-c): what a shell makes of it is the question.
  std::string output;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) output += static_cast<char>(c);
  ::pclose(pipe);
  return output;
}

// The property that matters: whatever an argument holds, sh passes it on as it is, wherever it may stand.
TEST(QuotingTest, sh_takes_every_replacement_literally) {
  const TemporaryFolder folder;
  const std::vector<std::string> lines{
      "printf '<%s>' {}",
      R"(printf '<%s>' "{}")",
      "printf '<%s>' '{}'",
      R"sh(printf '<%s>' "$(printf '%s' {})")sh",
      R"sh(printf '<%s>' "$(printf '%s' "{}")")sh",
      R"sh(printf '<%s>' "$(printf '%s' '{}')")sh",
      R"(printf '<%s>' "a'{}'" | sed "s/a'//; s/'>/>/")",
      "(printf '<%s>' {})",
      R"(f() { printf '<%s>' "$1"; }; f {})",
      "case x in x) printf '<%s>' {};; esac # it's a comment",
      "# it's\nprintf '<%s>' {}",
  };
  const std::vector<std::string> pieces{"'", "\"", "\\", "$(echo evil)", "`echo evil`", "$HOME", ";echo evil;", " ",
                                        "*", "#",  "!",  "{}",           "a",           "-n",    "|cat",        ")"};
  std::mt19937 random{11};
  for (const std::string& line : lines) {
    const Result<CommandTemplate> made = CommandTemplate::parse({line}, {.shell = true});
    ASSERT_TRUE(made) << line;
    for (int round = 0; round < 12; ++round) {
      std::string argument = "x";
      for (std::uint32_t i = random() % 6; i > 0; --i) argument += pieces[random() % pieces.size()];
      argument += "x";
      EXPECT_EQ(output_of(made->words({argument}, {}).back(), folder), "<" + argument + ">") << line;
    }
  }
}

}  // namespace
}  // namespace ventile
