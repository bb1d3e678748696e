#include <nodes/run/travelling_files.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include <nodes/run/task_report.hpp>
#include <tests/nodes/temporary_folder.hpp>

namespace ventile {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class TravellingFilesTest : public ::testing::Test {
protected:
  std::string here(const std::string& name) const { return (folder.path() / name).string(); }
  void write(const std::string& name, const std::string& content) const { folder.write(name, content); }
  static std::string content(const std::string& path) {
    std::uint64_t left = travelling_bytes_max;
    return pick_up(path, left).content;
  }
  static std::vector<CommandTemplate> templates(const std::vector<std::string>& texts) {
    Result<std::vector<CommandTemplate>> made = path_templates(texts, {});
    EXPECT_TRUE(made);
    return made ? std::move(*made) : std::vector<CommandTemplate>{};
  }
  // A task that needs here("in/a") and makes here("in/a.out").
  RunInput task(std::uint64_t sequence = 1) const { return {sequence, {here("in/a")}, {}, {}}; }

  TemporaryFolder folder;
};

TEST_F(TravellingFilesTest, a_file_arrives_with_its_content_and_its_mode_in_folders_that_are_made) {
  write("a", std::string{"bytes\0\xff", 7});
  fs::permissions(here("a"), fs::perms{0750});
  std::uint64_t left = travelling_bytes_max;
  const TravellingFile file = pick_up(here("a"), left);
  EXPECT_EQ(file.error, "");
  EXPECT_EQ(left, travelling_bytes_max - 7);
  ASSERT_TRUE(put_down(file, here("deep/er/b")));
  EXPECT_EQ(content(here("deep/er/b")), (std::string{"bytes\0\xff", 7}));
  EXPECT_EQ(fs::status(here("deep/er/b")).permissions(), fs::perms{0750});
}

TEST_F(TravellingFilesTest, content_that_was_changed_on_the_way_is_not_put_down) {
  write("a", "right");
  std::uint64_t left = travelling_bytes_max;
  TravellingFile file = pick_up(here("a"), left);
  file.content = "wrong";
  const Status put = put_down(file, here("b"));
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, Code::corrupt);
  EXPECT_FALSE(fs::exists(here("b")));
}

TEST_F(TravellingFilesTest, what_cannot_travel_says_why) {
  write("big", "four");
  fs::create_directory(here("dir"));
  std::uint64_t left = 3;
  EXPECT_THAT(pick_up(here("none"), left).error, HasSubstr("none: No such file"));
  EXPECT_THAT(pick_up(here("dir"), left).error, HasSubstr("is no file"));
  EXPECT_THAT(pick_up(here("big"), left).error, HasSubstr("too large"));
  EXPECT_THAT(pick_up("a/../b", left).error, HasSubstr(".."));
  EXPECT_EQ(left, 3U);
}

TEST_F(TravellingFilesTest, slots_have_no_place_in_their_names) { EXPECT_FALSE(path_templates({"{%}.out"}, {})); }

TEST_F(TravellingFilesTest, go_where_the_task_runs_and_what_it_made_comes_back_to_where_the_run_says) {
  write("in/a", "input");
  Luggage luggage{templates({"{}"}), templates({"{}.out"})};
  RunInput input = task();
  luggage.pack(input);
  ASSERT_EQ(input.files.size(), 1U);
  fs::remove_all(here("in"));

  Guests guests{"", templates({"{}.out"}), false};
  ASSERT_TRUE(guests.arrive(input));
  EXPECT_EQ(content(here("in/a")), "input");
  write("in/a.out", "result");
  RunReport report;
  report.sequence = 1;
  ASSERT_TRUE(guests.collect(input, report));
  guests.leave(input);
  EXPECT_TRUE(fs::exists(here("in/a"))) << "without cleanup";

  fs::remove_all(here("in"));
  ASSERT_TRUE(luggage.unpack(report));
  EXPECT_EQ(content(here("in/a.out")), "result");
  fs::remove(here("in/a.out"));
  ASSERT_TRUE(luggage.unpack(report));
  EXPECT_FALSE(fs::exists(here("in/a.out"))) << "each comes back once";
}

TEST_F(TravellingFilesTest, of_a_report_go_nowhere_if_the_run_asked_for_none) {
  write("a", "content");
  std::uint64_t left = travelling_bytes_max;
  Luggage luggage{{}, templates({"{}.out"})};
  RunInput input = task();
  luggage.pack(input);
  RunReport report;
  report.sequence = 2;
  report.files = {pick_up(here("a"), left), pick_up(here("a"), left)};
  report.files.front().path = here("chosen-by-the-worker");
  ASSERT_TRUE(luggage.unpack(report));
  report.sequence = 1;
  ASSERT_TRUE(luggage.unpack(report));
  EXPECT_FALSE(fs::exists(here("chosen-by-the-worker")));
  EXPECT_TRUE(fs::exists(here("in/a.out")));
}

TEST_F(TravellingFilesTest, are_cleaned_up_when_the_last_task_that_needs_them_leaves) {
  write("x", "input");
  const std::string directory = here("work");
  Guests guests{directory, {}, true};
  std::uint64_t left = travelling_bytes_max;
  TravellingFile file = pick_up(here("x"), left);
  file.path = "sub/x";
  RunInput one{1, {"sub/x"}, {}, {file}};
  RunInput other{2, {"sub/x"}, {}, {file}};
  ASSERT_TRUE(guests.arrive(one));
  ASSERT_TRUE(guests.arrive(other));
  guests.leave(one);
  EXPECT_EQ(content(directory + "/sub/x"), "input");
  guests.leave(other);
  EXPECT_FALSE(fs::exists(directory + "/sub"));
  EXPECT_TRUE(fs::exists(directory));
}

TEST_F(TravellingFilesTest, stay_for_others_when_a_task_leaves_that_could_not_bring_all_of_its_own) {
  write("x", "input");
  Guests guests{here("work"), {}, true};
  std::uint64_t left = travelling_bytes_max;
  TravellingFile shared = pick_up(here("x"), left);
  shared.path = "x";
  const TravellingFile missing{.path = "y", .error = "cannot read y"};
  const RunInput whole{1, {}, {}, {shared}};
  const RunInput broken{2, {}, {}, {missing, shared}};
  ASSERT_TRUE(guests.arrive(whole));
  EXPECT_FALSE(guests.arrive(broken));
  guests.leave(broken);
  EXPECT_EQ(content(here("work/x")), "input");
  guests.leave(whole);
  EXPECT_FALSE(fs::exists(here("work/x")));
}

TEST_F(TravellingFilesTest, that_are_not_made_are_named) {
  Guests guests{"", templates({"{}.out"}), false};
  RunReport report;
  const Status collected = guests.collect(task(), report);
  ASSERT_FALSE(collected);
  EXPECT_THAT(collected.error().message, HasSubstr("in/a.out: No such file"));
}

}  // namespace
}  // namespace ventile
