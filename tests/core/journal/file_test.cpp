#include <ventile/journal/file.hpp>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "story.hpp"

namespace ventile {
namespace {

class FileTest : public testing::Test {
protected:
  std::string path = testing::TempDir() + "/ventile-journal-" + std::to_string(::getpid());
  void SetUp() override { std::filesystem::remove_all(path); }
  void TearDown() override { std::filesystem::remove_all(path); }
};

TEST_F(FileTest, a_journal_on_the_disk_is_read_back) {
  for (std::uint64_t life = 0; life < 3; ++life) {
    Result<std::unique_ptr<Folder>> folder = open_folder(path, true);
    ASSERT_TRUE(folder) << folder.error().message;
    Seen seen;
    Result<std::unique_ptr<Journal>> journal = open_story(**folder, seen);
    ASSERT_TRUE(journal) << journal.error().message;
    EXPECT_EQ(seen.total(), life * 300);
    for (std::uint64_t n = 0; n < 300; ++n) ASSERT_TRUE((*journal)->append(story_kind, record_of(life * 300 + n)));
    ASSERT_TRUE((*journal)->commit());
  }
}

TEST_F(FileTest, a_folder_has_one_writer_and_the_message_names_it) {
  Result<std::unique_ptr<Folder>> first = open_folder(path, true);
  ASSERT_TRUE(first);
  const Result<std::unique_ptr<Folder>> second = open_folder(path, true);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::unavailable);
  EXPECT_EQ(second.error().message, path + " is in use by process " + std::to_string(::getpid()));
  EXPECT_TRUE(open_folder(path, false)) << "reading needs no lock";
  first->reset();
  EXPECT_TRUE(open_folder(path, true));
}

TEST_F(FileTest, a_folder_that_cannot_be_made_is_named) {
  const Result<std::unique_ptr<Folder>> folder = open_folder(path + "/a/b", true);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().message, "cannot make the folder " + path + "/a/b: No such file or directory");
}

}  // namespace
}  // namespace ventile
