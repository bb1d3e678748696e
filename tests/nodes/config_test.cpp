#include <nodes/config.hpp>

#include <filesystem>
#include <fstream>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;

const KnownKeys known{
    {"", {"slots", "plugin", "args", "connect"}}, {"worker", {"slots", "plugin"}}, {"sink", {"args"}}};

ConfigFile file_of(std::string_view text) {
  auto parsed = ConfigFile::parse(text, "ventile.toml", known);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  return parsed ? *std::move(parsed) : ConfigFile{};
}

std::string refusal_of(std::string_view text) {
  const auto parsed = ConfigFile::parse(text, "ventile.toml", known);
  return parsed ? "accepted" : parsed.error().message;
}

TEST(ConfigTest, a_value_is_found_with_its_line) {
  const ConfigFile file = file_of("# nodes\n\nslots = 8\n");
  ASSERT_NE(file.find("worker", "slots"), nullptr);
  EXPECT_THAT(file.find("worker", "slots")->texts, ElementsAre("8"));
  EXPECT_EQ(file.find("worker", "slots")->line, 3U);
  EXPECT_EQ(file.find("worker", "connect"), nullptr);
}

TEST(ConfigTest, a_role_s_own_key_wins_over_one_at_the_top) {
  const ConfigFile file = file_of("slots = 8\n[worker]\nslots = 2\n");
  EXPECT_THAT(file.find("worker", "slots")->texts, ElementsAre("2"));
  EXPECT_THAT(file.find("sink", "slots")->texts, ElementsAre("8"));
}

TEST(ConfigTest, every_kind_of_value_becomes_text) {
  EXPECT_THAT(file_of("slots = true").find("", "slots")->texts, ElementsAre("true"));
  EXPECT_THAT(file_of("slots = 1.5").find("", "slots")->texts, ElementsAre("1.5"));
  EXPECT_THAT(file_of("slots = 'a \"b\"'").find("", "slots")->texts, ElementsAre("a \"b\""));
  const ConfigFile file = file_of("plugin = ['a.so', 'b.so']\nargs = [1, 'x', [true]]\n");
  EXPECT_THAT(file.find("", "plugin")->texts, ElementsAre("a.so", "b.so"));
  std::string json = file.find("", "args")->json;
  std::erase_if(json, [](char c) { return c == ' ' || c == '\n'; });
  EXPECT_EQ(json, R"([1,"x",[true]])");
}

TEST(ConfigTest, an_unknown_key_is_refused_with_file_line_and_key) {
  EXPECT_EQ(refusal_of("connect = 'x'\nslot = 1\n"), "ventile.toml:2: unknown key \"slot\"; did you mean \"slots\"?");
  EXPECT_EQ(refusal_of("[worker]\nconnect = 1\n"), "ventile.toml:2: unknown key \"worker.connect\"");
  EXPECT_EQ(refusal_of("\n[wroker]\n"), "ventile.toml:2: unknown section \"wroker\"");
  EXPECT_EQ(refusal_of("['']\nslots = 1\n"), "ventile.toml:1: unknown section \"\"");
}

TEST(ConfigTest, what_is_not_toml_is_refused_with_file_and_line) {
  EXPECT_THAT(refusal_of("slots = 1\nslots =\n"), testing::StartsWith("ventile.toml:2: "));
  EXPECT_THAT(refusal_of("slots = 1\nslots = 2\n"), testing::StartsWith("ventile.toml:2: "));
}

TEST(ConfigTest, a_file_that_is_not_there_is_no_error_but_one_that_cannot_be_read_is) {
  const TemporaryFolder folder;
  const auto absent = ConfigFile::load(folder.path() / "absent.toml", known);
  ASSERT_TRUE(absent);
  EXPECT_FALSE(*absent);
  const auto unreadable = ConfigFile::load(folder.path(), known);
  ASSERT_FALSE(unreadable);
  EXPECT_EQ(unreadable.error().message, "cannot read " + folder.path().string() + ": Is a directory");
}

TEST(ConfigTest, no_text_crashes_the_parser) {
  static constexpr std::string_view pieces[] = {"slots", "=", "[", "]", "worker", "\n", "\"",         "1",    "{",  "}",
                                                ".",     "'", ",", "#", "true",   " ",  "1979-05-27", "\xff", "\\u"};
  std::mt19937 random{5};
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (int piece = 0; piece < 8; ++piece) text += pieces[random() % std::size(pieces)];
    const auto parsed = ConfigFile::parse(text, "f", known);
    EXPECT_TRUE(parsed || parsed.error().message.starts_with("f:")) << text;
  }
}

}  // namespace
}  // namespace ventile
