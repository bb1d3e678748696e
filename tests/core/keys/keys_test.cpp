// A role's folder as its sockets use it.
#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_files.hpp>
#include <ventile/keys/key_tree.hpp>
#include <ventile/keys/keys.hpp>

namespace ventile {
namespace {

using testing::HasSubstr;

class KeysTest : public testing::Test {
protected:
  KeysTest() { EXPECT_TRUE(make_key_tree(root)); }

  Keys open(KeyRole role) const {
    Result<Keys> keys = Keys::open(root, {role});
    if (!keys) throw std::runtime_error(keys.error().message);
    return *std::move(keys);
  }
  std::string public_of(std::string_view name) const {
    return read_key(root + "/" + std::string(name))->pair->public_key();
  }

  TemporaryFolder folder;
  std::string root = folder.path("keys");
};

TEST_F(KeysTest, each_role_picks_its_own_folder_or_is_given_it) {
  EXPECT_EQ(open(KeyRole::worker).to_meet(KeyRole::dispatcher).own->public_key(), public_of("worker"));
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  for (const std::string end : {"", "/"}) {
    const Result<Keys> keys = Keys::open(root + "/worker-gpu-3" + end, {KeyRole::worker});
    ASSERT_TRUE(keys);
    EXPECT_EQ(keys->name(), "gpu-3");
  }
}

TEST_F(KeysTest, the_first_of_several_roles_that_has_a_key_is_taken) {
  EXPECT_EQ(Keys::open(root, {KeyRole::admin, KeyRole::client})->role(), KeyRole::admin);
  std::filesystem::remove_all(root + "/admin");
  EXPECT_EQ(Keys::open(root, {KeyRole::admin, KeyRole::client})->role(), KeyRole::client);
}

TEST_F(KeysTest, the_key_of_another_role_is_refused) {
  const Result<Keys> keys = Keys::open(root + "/worker", {KeyRole::sink});
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, Code::invalid);
  EXPECT_THAT(keys.error().message, HasSubstr("the key of a worker, expected that of a sink"));
}

TEST_F(KeysTest, a_folder_without_keys_is_named) {
  const Result<Keys> keys = Keys::open(folder.path("nothing"), {KeyRole::worker});
  ASSERT_FALSE(keys);
  EXPECT_THAT(keys.error().message, HasSubstr("nothing/worker"));
}

TEST_F(KeysTest, without_the_list_of_whom_to_let_in_nobody_serves) {
  std::filesystem::remove(root + "/dispatcher/peers");
  const Result<Keys> keys = Keys::open(root, {KeyRole::dispatcher});
  ASSERT_FALSE(keys);
  EXPECT_THAT(keys.error().message, HasSubstr("dispatcher/peers"));
}

TEST_F(KeysTest, a_dispatcher_without_a_sink_seals_what_it_leases_with_its_own_key) {
  ASSERT_TRUE(write_peers(root + "/dispatcher", {{KeyRole::worker, "worker", public_of("worker"), false}}));
  const SealedLease lease{.job = {1, 2}, .lease = {{3}, 4}, .range = {5, 6}, .worker = "a worker"};
  EXPECT_NE(open(KeyRole::dispatcher).seal(lease), SealCode{});
  EXPECT_EQ(open(KeyRole::worker).seal(lease), SealCode{}) << "who seals nothing has nothing to seal with";
}

// With the neutral element everybody agrees on the same, and anybody could seal.
TEST_F(KeysTest, a_key_on_which_nothing_secret_can_be_agreed_is_refused) {
  ASSERT_TRUE(write_peers(root + "/dispatcher", {{KeyRole::sink, "sink", std::string(40, '0'), false}}));
  const Result<Keys> keys = Keys::open(root, {KeyRole::dispatcher});
  ASSERT_FALSE(keys);
  EXPECT_EQ(keys.error().code, Code::corrupt);
}

TEST_F(KeysTest, a_dispatcher_may_ask_itself_how_it_is) {
  const Keys dispatcher = open(KeyRole::dispatcher);
  EXPECT_EQ(dispatcher.to_meet(KeyRole::dispatcher).server_key, public_of("dispatcher"));
  ASSERT_TRUE(dispatcher.guest(public_of("dispatcher")));
}

TEST_F(KeysTest, whoever_connects_pins_the_key_of_whom_it_meets) {
  const Keys worker = open(KeyRole::worker);
  EXPECT_EQ(worker.to_meet(KeyRole::dispatcher).server_key, public_of("dispatcher"));
  EXPECT_EQ(worker.to_meet(KeyRole::sink).server_key, public_of("sink"));
  EXPECT_EQ(open(KeyRole::client).to_meet(KeyRole::sink).server_key, "") << "a client meets no sink";
}

TEST_F(KeysTest, a_dispatcher_lets_all_roles_in_and_knows_which_is_which) {
  const Keys keys = open(KeyRole::dispatcher);
  for (const KeyRole role : {KeyRole::sink, KeyRole::worker, KeyRole::client, KeyRole::admin}) {
    const auto guest = keys.guest(public_of(to_string(role)));
    ASSERT_TRUE(guest) << to_string(role);
    EXPECT_EQ(guest->role, role);
  }
  EXPECT_FALSE(keys.guest(KeyPair::make()->public_key()));
  EXPECT_FALSE(keys.guest(""));
}

TEST_F(KeysTest, a_sink_lets_workers_in_and_nobody_else) {
  const Keys keys = open(KeyRole::sink);
  EXPECT_TRUE(keys.guest(public_of("worker")));
  for (const char* const other : {"dispatcher", "sink", "client", "admin"})
    EXPECT_FALSE(keys.guest(public_of(other))) << other;
}

TEST_F(KeysTest, a_worker_or_client_lets_nobody_in) {
  for (const KeyRole role : {KeyRole::worker, KeyRole::client, KeyRole::admin})
    for (const char* const other : {"dispatcher", "sink", "worker", "client", "admin"})
      EXPECT_FALSE(open(role).guest(public_of(other))) << to_string(role) << " and " << other;
}

TEST_F(KeysTest, of_the_guests_those_of_one_role_may_be_let_in_alone) {
  const Keys keys = open(KeyRole::dispatcher);
  const auto admission = keys.to_serve(KeyRole::worker).admission;
  EXPECT_TRUE(admission->admits(public_of("worker")));
  for (const char* const other : {"dispatcher", "sink", "client", "admin"})
    EXPECT_FALSE(admission->admits(public_of(other))) << other;
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  admission->refresh();
  EXPECT_TRUE(admission->admits(public_of("worker-gpu-3")));
}

// Stages of a pipeline in a row: whoever pushes to the next one has its key by name.
TEST_F(KeysTest, a_worker_that_knows_others_meets_them_by_name_and_lets_them_in) {
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  ASSERT_TRUE(write_peers(root + "/worker", *read_peers(root + "/sink")));  // It has the workers.
  const Keys keys = open(KeyRole::worker);
  EXPECT_EQ(keys.to_meet(KeyRole::worker, "gpu-3").server_key, public_of("worker-gpu-3"));
  EXPECT_EQ(keys.to_meet(KeyRole::worker, "gpu-4").server_key, "");
  EXPECT_TRUE(keys.to_serve().admission->admits(public_of("worker-gpu-3")));
  EXPECT_FALSE(keys.to_serve().admission->admits(public_of("dispatcher")));
}

TEST_F(KeysTest, a_departure_is_somebody_who_is_a_guest_no_longer) {
  const Keys keys = open(KeyRole::dispatcher);
  const std::uint64_t before = keys.departures();
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  ASSERT_TRUE(keys.reload());
  EXPECT_EQ(keys.departures(), before);
  ASSERT_TRUE(revoke_key(root, "gpu-3"));
  ASSERT_TRUE(keys.reload());
  EXPECT_EQ(keys.departures(), before + 1);
  ASSERT_TRUE(keys.reload());
  EXPECT_EQ(keys.departures(), before + 1);
}

TEST_F(KeysTest, who_is_added_or_revoked_is_so_after_the_next_look) {
  const Keys keys = open(KeyRole::dispatcher);
  const std::uint64_t before = keys.changes();
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  const std::string gpu = public_of("worker-gpu-3");
  EXPECT_FALSE(keys.guest(gpu));
  keys.to_serve().admission->refresh();
  EXPECT_TRUE(keys.guest(gpu));
  EXPECT_GT(keys.changes(), before);
  ASSERT_TRUE(revoke_key(root, "gpu-3"));
  keys.to_serve().admission->refresh();
  EXPECT_FALSE(keys.guest(gpu));
}

TEST_F(KeysTest, a_list_that_has_not_changed_is_not_read_again_unless_it_was_touched) {
  const Keys keys = open(KeyRole::dispatcher);
  const std::uint64_t before = keys.changes();
  keys.to_serve().admission->refresh();
  EXPECT_EQ(keys.changes(), before);
  timespec past[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (root + "/dispatcher/peers").c_str(), past, 0), 0);
  keys.to_serve().admission->refresh();
  EXPECT_EQ(keys.changes(), before + 1);
  ASSERT_TRUE(touch_keys(root));
  keys.to_serve().admission->refresh();
  EXPECT_EQ(keys.changes(), before + 2);
}

TEST_F(KeysTest, a_list_that_cannot_be_read_leaves_things_as_they_are_and_is_complained_of_once) {
  std::vector<std::string> errors;
  const Result<Keys> keys = Keys::open(root, {KeyRole::dispatcher}, Log([&](Level level, std::string_view line) {
                                         if (level == Level::error) errors.emplace_back(line);
                                       }));
  ASSERT_TRUE(keys);
  folder.write("keys/dispatcher/peers", "nonsense\n");
  for (int i = 0; i < 3; ++i) keys->to_serve().admission->refresh();
  EXPECT_EQ(errors.size(), 1U);
  EXPECT_TRUE(keys->guest(public_of("worker")));
  EXPECT_FALSE(keys->reload());
  EXPECT_TRUE(keys->guest(public_of("worker")));
}

TEST_F(KeysTest, a_secret_that_others_may_read_is_cautioned_of) {
  EXPECT_EQ(open(KeyRole::worker).caution(), "");
  ASSERT_EQ(::chmod((root + "/worker/key").c_str(), 0644), 0);
  EXPECT_THAT(open(KeyRole::worker).caution(), HasSubstr("chmod 600"));
}

TEST_F(KeysTest, no_keys_are_no_curve) {
  const Keys none;
  EXPECT_FALSE(none);
  EXPECT_FALSE(none.to_serve());
  EXPECT_FALSE(none.to_meet(KeyRole::dispatcher));
  EXPECT_FALSE(none.guest(public_of("worker")));
}

}  // namespace
}  // namespace ventile
