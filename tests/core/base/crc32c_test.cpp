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

TEST(Crc32c, long_runs_agree_with_the_table_wherever_they_begin) {
  std::mt19937 random{8};
  std::vector<std::byte> bytes(300'000);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  for (std::size_t begin = 0; begin < 70; begin += 7)
    for (const std::size_t size : {1'000, 1'023, 1'024, 1'025, 1'343, 65'536, 262'144 + 63}) {
      const Bytes run = Bytes{bytes}.subspan(begin, size);
      EXPECT_EQ(crc32c(run, 12'345), crc32c_by_table(run, 12'345)) << begin << ' ' << size;
    }
}

TEST(Crc32c, checksums_of_pieces_join_to_that_of_the_whole) {
  std::mt19937 random{9};
  std::vector<std::byte> bytes(10'000);
  for (auto& byte : bytes) byte = static_cast<std::byte>(random());
  const Bytes all{bytes};
  Crc32cJoin join;
  for (const std::size_t cut : {9'999, 5'000, 5'000, 1, 0, 10'000, 8'192}) {
    const std::uint32_t first = crc32c(all.first(cut));
    EXPECT_EQ(join(first, crc32c(all.subspan(cut)), all.size() - cut), crc32c(all)) << cut;
  }
}

}  // namespace
}  // namespace ventile
