// What is written into a folder of keys, and what is refused to be read from one.
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_files.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;
using testing::Not;

class KeyFilesTest : public testing::Test {
protected:
  std::string here() const { return folder.path("."); }

  TemporaryFolder folder;
  std::shared_ptr<const KeyPair> pair = KeyPair::make();
  std::string a = KeyPair::make()->public_key();
  std::string b = KeyPair::make()->public_key();
};

TEST_F(KeyFilesTest, a_key_comes_back_as_it_was_written) {
  ASSERT_TRUE(write_key(here(), {KeyRole::worker, "gpu-3", pair, false}));
  const Result<OwnKey> key = read_key(here());
  ASSERT_TRUE(key);
  EXPECT_EQ(key->role, KeyRole::worker);
  EXPECT_EQ(key->name, "gpu-3");
  EXPECT_EQ(key->pair->public_key(), pair->public_key());
  EXPECT_FALSE(key->others_may_read);
}

TEST_F(KeyFilesTest, only_its_owner_may_read_a_key_that_was_written_and_it_is_said_if_others_may) {
  ASSERT_TRUE(write_key(here(), {KeyRole::admin, "admin", pair, false}));
  const std::string path = folder.path("key");
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const Result<OwnKey> key = read_key(here());
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->others_may_read);
}

// As a pod has it: it belongs to root, and to the group of whom it is for.
TEST_F(KeyFilesTest, a_secret_that_is_read_as_its_group_is_read_by_nobody_else) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to give a file away";
  ASSERT_TRUE(write_key(here(), {KeyRole::worker, "worker", pair, false}));
  const std::string path = folder.path("key");
  ASSERT_EQ(::chown(path.c_str(), 65532, 0), 0);
  ASSERT_EQ(::chmod(path.c_str(), 0440), 0);
  EXPECT_FALSE(read_key(here())->others_may_read);
  ASSERT_EQ(::chmod(path.c_str(), 0444), 0);
  EXPECT_TRUE(read_key(here())->others_may_read);
}

TEST_F(KeyFilesTest, a_key_is_never_written_over_another) {
  ASSERT_TRUE(write_key(here(), {KeyRole::worker, "one", pair, false}));
  const Status again = write_key(here(), {KeyRole::worker, "two", KeyPair::make(), false});
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("cannot make " + folder.path("./key")));
  EXPECT_EQ(read_key(here())->name, "one");
}

TEST_F(KeyFilesTest, a_file_that_is_no_key_is_refused_without_repeating_what_is_in_it) {
  const std::string secret{pair->secret_key()};
  for (const std::string& text :
       std::vector<std::string>{{},
                                "ventile-key 2\nrole worker\nname w\nsecret " + secret,
                                "ventile-key 1\nrole king\nname w\nsecret " + secret,
                                "ventile-key 1\nname w\nsecret " + secret,
                                "ventile-key 1\nrole worker\nsecret " + secret,
                                "ventile-key 1\nrole worker\nname ../w\nsecret " + secret,
                                "ventile-key 1\nrole worker\nname w\nsecret " + secret.substr(1),
                                "ventile-key 1\nrole worker\nname w",
                                "ventile-key 1\nrole worker\nname w\nsecret " + secret + " x"}) {
    folder.write("key", text);
    const Result<OwnKey> key = read_key(here());
    ASSERT_FALSE(key) << text;
    EXPECT_EQ(key.error().code, Code::corrupt);
    EXPECT_THAT(key.error().message, Not(HasSubstr(secret.substr(1))));
  }
}

TEST_F(KeyFilesTest, peers_come_back_as_they_were_written) {
  const std::vector<KnownPeer> peers{{KeyRole::dispatcher, "dispatcher", a, false},
                                     {KeyRole::worker, "gpu-3", b, true}};
  ASSERT_TRUE(write_peers(here(), peers));
  const auto read = read_peers(here());
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, peers);
  EXPECT_FALSE(std::filesystem::exists(folder.path("peers.new")));
}

TEST_F(KeyFilesTest, comments_and_blank_lines_are_passed_over) {
  folder.write("peers", "# Ours.\nventile-peers 1\n\n# Their machine.\nworker w " + a + "\n");
  const auto read = read_peers(here());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->size(), 1U);
}

TEST_F(KeyFilesTest, a_list_with_a_line_that_is_none_is_refused_as_a_whole) {
  for (const std::string line : {"worker w", "king w ", "worker ../w ", "banned worker w ", "worker w x "}) {
    folder.write("peers", "ventile-peers 1\nworker one " + b + "\n" + line + a + "\n");
    const auto read = read_peers(here());
    ASSERT_FALSE(read) << line;
    EXPECT_EQ(read.error().code, Code::corrupt);
  }
  folder.write("peers", "ventile-peers 1\nworker one " + a + "\nadmin two " + a + "\n");
  EXPECT_FALSE(read_peers(here())) << "one key for two";
  folder.write("peers", "ventile-peers 1\nworker one " + a + " banned\n");
  EXPECT_FALSE(read_peers(here())) << "what is behind a key is not passed over";
}

TEST_F(KeyFilesTest, a_list_without_end_is_refused_before_it_is_read) {
  const std::string path = folder.write("peers", "ventile-peers 1\nworker one " + a + "\n");
  std::filesystem::resize_file(path, peers_bytes_max + 1);
  const auto read = read_peers(here());
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("it is too large"));
}

TEST_F(KeyFilesTest, a_list_that_cannot_be_written_is_an_error_and_not_half_a_list) {
  const auto message_of = [&](const std::string& where) {
    const Status written = write_peers(where, {{KeyRole::worker, "one", a, false}});
    return written ? std::string{} : written.error().message;
  };
  EXPECT_THAT(message_of(folder.path("nowhere")), HasSubstr("cannot write " + folder.path("nowhere/peers.new")));
  folder.write("x", "");
  std::filesystem::create_directories(folder.path("peers/full"));
  EXPECT_THAT(message_of(here()), HasSubstr("cannot replace " + folder.path("./peers")));
}

TEST_F(KeyFilesTest, what_is_not_there_is_named) {
  const auto peers = read_peers(here());
  ASSERT_FALSE(peers);
  EXPECT_EQ(peers.error().code, Code::unavailable);
  EXPECT_THAT(peers.error().message, HasSubstr("peers"));
}

TEST(KeyName, is_never_a_path) {
  for (const char* const name : {"gpu-3", "A", "host.example", "9_9"}) EXPECT_TRUE(is_key_name(name)) << name;
  for (const char* const name : {"", ".", "..", "../x", "a/b", "-x", "a b", ".hidden", "a\n"})
    EXPECT_FALSE(is_key_name(name)) << name;
  EXPECT_FALSE(is_key_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace ventile
