// The folders that keygen makes: each has what its role needs, and nothing that speaks for another.
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_tree.hpp>

namespace ventile {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class KeyTreeTest : public testing::Test {
protected:
  KeyTreeTest() { EXPECT_TRUE(make_key_tree(root)); }

  std::string in(std::string_view name) const { return root + "/" + std::string(name); }
  std::string secret_of(std::string_view name) const { return std::string(read_key(in(name))->pair->secret_key()); }
  std::string public_of(std::string_view name) const { return read_key(in(name))->pair->public_key(); }

  // The names that a folder knows; who was revoked with a ! before it.
  std::vector<std::string> known_in(std::string_view name) const {
    std::vector<std::string> names;
    const auto peers = read_peers(in(name));
    if (!peers) return {peers.error().message};
    for (const KnownPeer& peer : *peers) names.push_back((peer.revoked ? "!" : "") + peer.name);
    return names;
  }

  TemporaryFolder folder;
  std::string root = folder.path("keys");
};

TEST_F(KeyTreeTest, every_role_has_a_folder_that_only_its_owner_may_enter) {
  for (const char* const name : {"dispatcher", "sink", "worker", "client", "admin"}) {
    struct stat status {};
    ASSERT_EQ(::stat(in(name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
    const Result<OwnKey> key = read_key(in(name));
    ASSERT_TRUE(key);
    EXPECT_EQ(to_string(key->role), name);
    EXPECT_FALSE(key->others_may_read);
  }
}

TEST_F(KeyTreeTest, every_role_knows_only_whom_it_needs) {
  EXPECT_THAT(known_in("dispatcher"), UnorderedElementsAre("sink", "worker", "client", "admin"));
  EXPECT_THAT(known_in("sink"), UnorderedElementsAre("dispatcher", "worker"));
  EXPECT_THAT(known_in("worker"), UnorderedElementsAre("dispatcher", "sink"));
  EXPECT_THAT(known_in("client"), ElementsAre("dispatcher"));
  EXPECT_THAT(known_in("admin"), ElementsAre("dispatcher"));
}

// Whoever copies keys/worker to a host gives it no other secret.
TEST_F(KeyTreeTest, no_secret_is_in_any_folder_but_its_own) {
  for (const char* const owner : {"dispatcher", "sink", "worker", "client", "admin"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (!entry.is_regular_file()) continue;
      const std::string text = folder.read(std::filesystem::relative(entry.path(), folder.path(".")).string());
      const bool own = entry.path() == in(owner) + "/key";
      EXPECT_EQ(text.find(secret_of(owner)) != std::string::npos, own) << owner << " in " << entry.path();
    }
}

TEST_F(KeyTreeTest, keys_that_are_there_are_never_replaced) {
  const std::string before = public_of("dispatcher");
  const Status again = make_key_tree(root);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::invalid);
  EXPECT_EQ(public_of("dispatcher"), before);
}

// A container has one mounted for each role.
TEST_F(KeyTreeTest, empty_folders_may_be_there_before) {
  const std::string other = folder.path("other");
  EXPECT_FALSE(has_key_tree(other));
  for (const char* const role : {"dispatcher", "sink", "worker", "client", "admin"})
    std::filesystem::create_directories(other + "/" + role);
  EXPECT_FALSE(has_key_tree(other));
  EXPECT_TRUE(make_key_tree(other));
  EXPECT_TRUE(has_key_tree(other));
}

TEST_F(KeyTreeTest, one_key_that_is_left_of_all_is_not_replaced_and_is_no_tree) {
  const std::string worker = public_of("worker");
  for (const char* const role : {"dispatcher", "sink", "client", "admin"}) std::filesystem::remove_all(in(role));
  EXPECT_FALSE(has_key_tree(root));
  EXPECT_EQ(make_key_tree(root).error().code, Code::invalid);
  EXPECT_EQ(public_of("worker"), worker);
}

TEST_F(KeyTreeTest, a_worker_that_is_added_is_known_to_those_who_serve) {
  const Result<std::string> added = add_key(root, KeyRole::worker, "gpu-3");
  ASSERT_TRUE(added);
  EXPECT_EQ(*added, in("worker-gpu-3"));
  EXPECT_THAT(known_in("worker-gpu-3"), UnorderedElementsAre("dispatcher", "sink"));
  EXPECT_THAT(known_in("dispatcher"), UnorderedElementsAre("sink", "worker", "client", "admin", "gpu-3"));
  EXPECT_THAT(known_in("sink"), UnorderedElementsAre("dispatcher", "worker", "gpu-3"));
  EXPECT_THAT(known_in("worker"), UnorderedElementsAre("dispatcher", "sink"));
}

TEST_F(KeyTreeTest, a_client_that_is_added_is_nothing_to_the_sink) {
  ASSERT_TRUE(add_key(root, KeyRole::client, "anna"));
  EXPECT_THAT(known_in("sink"), UnorderedElementsAre("dispatcher", "worker"));
}

TEST_F(KeyTreeTest, a_name_is_given_once_and_roles_that_others_expect_have_one_key) {
  EXPECT_FALSE(add_key(root, KeyRole::worker, "worker"));
  EXPECT_FALSE(add_key(root, KeyRole::client, "worker")) << "one name for two would make revoking a guess";
  EXPECT_FALSE(add_key(root, KeyRole::sink, "second"));
  EXPECT_FALSE(add_key(root, KeyRole::dispatcher, "second"));
}

TEST_F(KeyTreeTest, a_name_that_is_a_path_is_none_wherever_it_would_lead) {
  std::filesystem::create_directories(in("worker-.."));  // Else there is no such way.
  for (const std::string name : {"../x", "a/b", "", "."}) {
    const auto added = add_key(root, KeyRole::worker, name);
    ASSERT_FALSE(added) << name;
    EXPECT_THAT(added.error().message, HasSubstr("'" + name + "' is no name"));
  }
  EXPECT_FALSE(std::filesystem::exists(in("worker-../x")));
}

TEST_F(KeyTreeTest, keys_that_cannot_be_written_are_an_error_that_names_the_place) {
  const auto why = [](const Status& status) { return status ? std::string{"it was written"} : status.error().message; };
  const std::string file = folder.write("file", "");
  EXPECT_THAT(why(make_key_tree(file + "/keys")), HasSubstr(file + "/keys"));
  const std::string half = folder.path("half");
  std::filesystem::create_directories(half);
  folder.write("half/sink", "");
  EXPECT_THAT(why(make_key_tree(half)), HasSubstr(half + "/sink"));
  const std::string blocked = folder.path("blocked");
  std::filesystem::create_directories(blocked + "/worker/peers/full");
  EXPECT_THAT(why(make_key_tree(blocked)), HasSubstr(blocked + "/worker/peers"));
}

TEST_F(KeyTreeTest, who_is_added_is_told_to_those_who_serve_or_it_is_an_error) {
  std::filesystem::create_directories(in("dispatcher/peers.new"));
  const auto added = add_key(root, KeyRole::worker, "gpu-3");
  ASSERT_FALSE(added);
  EXPECT_THAT(added.error().message, HasSubstr(in("dispatcher/peers.new")));
  const Status revoked = revoke_key(root, "worker");
  ASSERT_FALSE(revoked);
  EXPECT_THAT(revoked.error().message, HasSubstr(in("dispatcher/peers.new")));
}

TEST_F(KeyTreeTest, half_a_folder_is_no_list) {
  std::filesystem::rename(in("dispatcher/peers"), folder.path("aside"));
  ASSERT_FALSE(list_keys(root));
  EXPECT_THAT(list_keys(root).error().message, HasSubstr("dispatcher/peers"));
  std::filesystem::rename(folder.path("aside"), in("dispatcher/peers"));
  std::filesystem::remove(in("dispatcher/key"));
  ASSERT_FALSE(list_keys(root));
  EXPECT_THAT(list_keys(root).error().message, HasSubstr("dispatcher/key"));
}

TEST_F(KeyTreeTest, who_is_revoked_is_marked_wherever_it_was_known) {
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  ASSERT_TRUE(revoke_key(root, "gpu-3"));
  EXPECT_THAT(known_in("dispatcher"), UnorderedElementsAre("sink", "worker", "client", "admin", "!gpu-3"));
  EXPECT_THAT(known_in("sink"), UnorderedElementsAre("dispatcher", "worker", "!gpu-3"));
  EXPECT_FALSE(add_key(root, KeyRole::worker, "gpu-3")) << "the list would name two";
}

TEST_F(KeyTreeTest, who_is_not_there_or_holds_all_together_is_not_revoked) {
  EXPECT_FALSE(revoke_key(root, "nobody"));
  EXPECT_FALSE(revoke_key(root, "sink"));
  EXPECT_FALSE(revoke_key(root, "dispatcher"));
  EXPECT_THAT(known_in("dispatcher"), UnorderedElementsAre("sink", "worker", "client", "admin"));
}

TEST_F(KeyTreeTest, a_sink_whose_folder_has_moved_keeps_nobody_from_revoking) {
  std::filesystem::remove_all(in("sink"));
  EXPECT_TRUE(revoke_key(root, "worker"));
  EXPECT_FALSE(std::filesystem::exists(in("sink")));
}

TEST_F(KeyTreeTest, the_list_begins_with_the_dispatcher) {
  const auto all = list_keys(root);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 5U);
  EXPECT_EQ(all->front(), (KnownPeer{KeyRole::dispatcher, "dispatcher", public_of("dispatcher"), false}));
}

TEST_F(KeyTreeTest, without_keys_there_is_nothing_to_list_add_revoke_or_touch) {
  const std::string elsewhere = folder.path("elsewhere");
  EXPECT_FALSE(list_keys(elsewhere));
  EXPECT_FALSE(add_key(elsewhere, KeyRole::worker, "w"));
  EXPECT_FALSE(revoke_key(elsewhere, "worker"));
  EXPECT_FALSE(touch_keys(elsewhere));
}

}  // namespace
}  // namespace ventile
