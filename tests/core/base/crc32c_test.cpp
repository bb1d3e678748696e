#include <ventile/base/crc32c.hpp>

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace ventile {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, gives_the_values_of_the_standard) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0})), 0x8a9136aaU);
  EXPECT_EQ(crc32c(std::vector<std::byte>(32, std::byte{0xff})), 0x62a8ab43U);
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(Crc32c, the_instruction_and_the_table_agree_at_every_size_and_continue_each_other) {
  std::mt19937 random{7};
  std::vector<std::byte> bytes(10'000);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  const Bytes all{bytes};
  for (std::size_t size = 0; size < all.size(); size = size < 40 ? size + 1 : size * 5 / 4) {
    const std::uint32_t expected = crc32c_by_table(all.first(size));
    EXPECT_EQ(crc32c(all.first(size)), expected) << size;
    EXPECT_EQ(crc32c(all.subspan(size / 3, size - size / 3), crc32c(all.first(size / 3))), expected) << size;
  }
}

}  // namespace
}  // namespace ventile
