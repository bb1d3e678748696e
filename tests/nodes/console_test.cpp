#include <nodes/console.hpp>

#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace ventile {
namespace {

// A console that writes into memory.
class ConsoleTest : public testing::Test {
protected:
  int memory = ::memfd_create("console", MFD_CLOEXEC);

  ~ConsoleTest() override { ::close(memory); }

  ConsoleOptions options() const { return {.program = "ventile-worker", .descriptor = memory}; }
  ConsoleOptions on_terminal() const { return {.program = "ventile-worker", .descriptor = memory, .terminal = true}; }

  std::string written() const {
    std::string text(static_cast<std::size_t>(::lseek(memory, 0, SEEK_END)), '\0');
    EXPECT_EQ(::pread(memory, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }

  // What a terminal would show: an erased line is gone.
  std::vector<std::string> shown() const {
    static constexpr std::string_view erase = "\r\x1b[K";
    std::istringstream stream{written()};
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) {
      const std::size_t at = line.rfind(erase);
      lines.push_back(at == std::string::npos ? line : line.substr(at + erase.size()));
    }
    if (!lines.empty() && lines.back().empty()) lines.pop_back();  // Where the bar was.
    return lines;
  }
};

TEST_F(ConsoleTest, a_line_begins_with_the_program) {
  const Console console{options()};
  console.log().info("connected");
  console.log().warning("late {}");
  console.log().error("gone");
  EXPECT_EQ(written(), "ventile-worker: connected\nventile-worker: warning: late {}\nventile-worker: gone\n");
}

TEST_F(ConsoleTest, lines_below_the_level_are_not_written) {
  ConsoleOptions quiet = options();
  quiet.level = Level::warning;
  const Console console{quiet};
  console.write(Level::debug, "d");
  console.write(Level::info, "i");
  console.write(Level::warning, "w");
  EXPECT_EQ(written(), "ventile-worker: warning: w\n");
}

TEST_F(ConsoleTest, control_characters_of_a_peer_reach_no_terminal) {
  const Console console{options()};
  console.log().info("a\x1b[2Jb\nfake: line\x7f\xc2\x9b tab\t \xc3\xa9\xc2");
  EXPECT_EQ(written(), "ventile-worker: a\\x1b[2Jb\\x0afake: line\\x7f\\xc2\\x9b tab\t \xc3\xa9\xc2\n");
}

TEST_F(ConsoleTest, color_is_used_only_if_asked_for) {
  ConsoleOptions colored = options();
  colored.color = true;
  Console{colored}.log().error("gone");
  EXPECT_EQ(written(), "\x1b[31mventile-worker: gone\x1b[0m\n");
}

// A sink whose disk was full said so when it happened, and the same line when it ended.
TEST_F(ConsoleTest, last_words_that_are_the_last_error_are_not_said_twice) {
  Console console{options()};
  console.log().error("cannot write x");
  console.log().info("leaving");
  console.error(ExitCode::task_failed, "cannot write x", "free some room");
  EXPECT_EQ(written(), "ventile-worker: cannot write x\nventile-worker: leaving\nfree some room\n");
}

// Of a job whose sink is in the same process.
TEST_F(ConsoleTest, last_words_that_end_with_the_last_error_are_not_said) {
  Console console{options()};
  console.log().error("cannot write x");
  console.error(ExitCode::task_failed, "the sink could not write its output: cannot write x");
  EXPECT_EQ(written(), "ventile-worker: cannot write x\n");
}

TEST_F(ConsoleTest, last_words_that_are_an_earlier_error_are_said_again) {
  Console console{options()};
  console.log().error("cannot write x");
  console.log().error("cannot write y");
  console.error(ExitCode::task_failed, "cannot write x");
  EXPECT_EQ(written(),
            "ventile-worker: cannot write x\nventile-worker: cannot write y\nventile-worker: cannot write x\n");
}

TEST_F(ConsoleTest, an_error_is_followed_by_its_hint) {
  Console console{options()};
  console.error(ExitCode::usage, "unknown option", "Try this.\nOr that.");
  EXPECT_EQ(written(), "ventile-worker: unknown option\nTry this.\nOr that.\n");
}

TEST_F(ConsoleTest, an_error_as_json_is_one_document_in_one_line) {
  ConsoleOptions json = options();
  json.json = true;
  Console{json}.error(ExitCode::unreachable, "no \"host\"\n\xff", "look");
  const std::string text = written();
  ASSERT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
  const auto document = nlohmann::json::parse(text);
  EXPECT_EQ(document["error"]["code"], "unreachable");
  EXPECT_EQ(document["error"]["message"], "no \"host\"\n\xef\xbf\xbd");
  EXPECT_EQ(document["error"]["hint"], "look");
}

TEST_F(ConsoleTest, a_bar_stays_below_the_lines) {
  Console console{on_terminal()};
  console.set_bar("50%");
  console.log().info("a worker left");
  EXPECT_EQ(written(), "\r\x1b[K50%\r\x1b[Kventile-worker: a worker left\n50%");
}

TEST_F(ConsoleTest, a_bar_leaves_nothing_behind) {
  {
    Console console{on_terminal()};
    console.set_bar("50%");
  }
  EXPECT_TRUE(written().ends_with("\r\x1b[K"));
}

TEST_F(ConsoleTest, off_a_terminal_there_is_no_bar) {
  Console console{options()};
  console.set_bar("50%");
  EXPECT_EQ(written(), "");
}

TEST_F(ConsoleTest, lines_of_many_threads_and_a_bar_do_not_tear_each_other) {
  constexpr int lines_each = 500;
  {
    Console console{on_terminal()};
    std::vector<std::jthread> threads;
    for (const char* name : {"one", "two", "three"}) {
      threads.emplace_back([log = console.log(), name] {
        for (int line = 0; line < lines_each; ++line) log.info(name);
      });
    }
    for (int step = 0; step < lines_each; ++step) console.set_bar(std::to_string(step) + "%");
  }
  const auto lines = shown();
  EXPECT_EQ(lines.size(), 3U * lines_each);
  for (const char* name : {"one", "two", "three"}) {
    EXPECT_EQ(std::count(lines.begin(), lines.end(), std::string{"ventile-worker: "} + name), lines_each);
  }
}

TEST_F(ConsoleTest, a_log_may_outlive_its_console) {
  Log log;
  {
    const Console console{options()};
    log = console.log();
  }
  log.info("still here");
  EXPECT_EQ(written(), "ventile-worker: still here\n");
}

TEST_F(ConsoleTest, a_reader_that_is_gone_is_no_error) {
  ConsoleOptions nowhere = options();
  nowhere.descriptor = -1;
  Console console{nowhere};
  console.error(ExitCode::internal, "nobody reads this");
  EXPECT_EQ(written(), "");
}

}  // namespace
}  // namespace ventile
