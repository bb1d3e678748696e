#include <sys/prctl.h>

#include <gtest/gtest.h>

#include <nodes/reach.hpp>
#include <tests/nodes/io/temporary.hpp>
#include <ventile/keys/key_tree.hpp>

namespace ventile {
namespace {

// Whatever libzmq has copied of the secret would be in it.
TEST(Reach, a_process_with_keys_leaves_no_core_file) {
  const TemporaryFolder folder;
  const std::string root = folder.path("keys");
  ASSERT_TRUE(make_key_tree(root));
  const int before = prctl(PR_GET_DUMPABLE);
  ASSERT_TRUE(open_keys({}, {KeyRole::worker}, {}));
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), before) << "without keys there is nothing to hide";
  EXPECT_TRUE(open_keys(root, {KeyRole::worker}, {}));
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  prctl(PR_SET_DUMPABLE, before);
}

}  // namespace
}  // namespace ventile
