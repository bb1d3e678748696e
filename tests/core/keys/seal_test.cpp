// What a seal is good for, and for what not.
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_files.hpp>
#include <ventile/keys/key_tree.hpp>
#include <ventile/keys/keys.hpp>

namespace ventile {
namespace {

class SealTest : public testing::Test {
protected:
  SealTest() { EXPECT_TRUE(make_key_tree(root)); }

  Keys open(KeyRole role) const { return *Keys::open(root, {role}); }

  TemporaryFolder folder;
  std::string root = folder.path("keys");
  std::string worker = KeyPair::make()->public_key();
  SealedLease lease{{1, 2}, {{3}, 4}, {5, 6}, worker};
};

TEST_F(SealTest, dispatcher_and_sink_make_the_same_and_nobody_else_makes_any) {
  const SealCode code = open(KeyRole::dispatcher).seal(lease);
  EXPECT_TRUE(code);
  EXPECT_EQ(open(KeyRole::sink).seal(lease), code);
  for (const KeyRole role : {KeyRole::worker, KeyRole::client, KeyRole::admin})
    EXPECT_FALSE(open(role).seal(lease)) << to_string(role);
  EXPECT_FALSE(Keys{}.seal(lease));
}

TEST_F(SealTest, it_is_for_this_lease_of_this_worker_and_for_no_other) {
  const Keys keys = open(KeyRole::dispatcher);
  const std::string other = KeyPair::make()->public_key();
  std::vector<SealedLease> others(8, lease);
  others[0].job.high = 9;
  others[1].job.low = 9;
  others[2].lease.dispatcher = {9};
  others[3].lease.counter = 9;
  others[4].range.first = 9;
  others[5].range.count = 9;
  others[6].worker = other;
  others[7].worker = {};
  for (std::size_t i = 0; i < others.size(); ++i) EXPECT_NE(keys.seal(others[i]), keys.seal(lease)) << i;
  EXPECT_EQ(keys.seal(lease), keys.seal(lease));
}

TEST_F(SealTest, other_keys_make_other_seals) {
  const std::string elsewhere = folder.path("other-keys");
  ASSERT_TRUE(make_key_tree(elsewhere));
  EXPECT_NE(Keys::open(elsewhere, {KeyRole::dispatcher})->seal(lease), open(KeyRole::dispatcher).seal(lease));
}

TEST_F(SealTest, a_restart_makes_the_same_again) {
  const SealCode code = open(KeyRole::dispatcher).seal(lease);
  ASSERT_TRUE(add_key(root, KeyRole::worker, "gpu-3"));
  ASSERT_TRUE(revoke_key(root, "worker"));
  EXPECT_EQ(open(KeyRole::dispatcher).seal(lease), code);
  EXPECT_EQ(open(KeyRole::sink).seal(lease), code);
}

// Written down, for whoever writes a dispatcher or a sink of their own: PROTOCOL.md says how it is made.
TEST(Seal, of_known_secrets_is_known) {
  std::array<char, KeyPair::agreed_size> secret{};
  for (std::size_t i = 0; i < secret.size(); ++i) secret.at(i) = static_cast<char>(i);
  const SealCode code = Sealer{secret}.seal({{1, 2}, {{3}, 4}, {5, 6}, "0123456789012345678901234567890123456789"});
  EXPECT_EQ(to_string(code), "bc2a59cc2c8cb91500271d126ec16f68");
}

TEST(KeyPair, agrees_with_another_on_what_a_third_does_not_know) {
  const auto one = KeyPair::make(), other = KeyPair::make(), third = KeyPair::make();
  using Secret = std::array<char, KeyPair::agreed_size>;
  Secret a{}, b{}, c{};
  EXPECT_TRUE(one->agree(other->public_key(), a));
  EXPECT_TRUE(other->agree(one->public_key(), b));
  EXPECT_TRUE(third->agree(one->public_key(), c));
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
  EXPECT_FALSE(one->agree("no key", a));
  EXPECT_FALSE(one->agree(std::string(40, '0'), a)) << "a point of low order: anybody could know what is agreed on";
}

}  // namespace
}  // namespace ventile
