// CRC-32C (Castagnoli), RFC 3720 appendix B.4: the checksum of frames and of the journal.
#pragma once

#include <cstdint>

#include <ventile/base/buffer.hpp>

namespace ventile {

// Continues `crc` over `bytes`; start with 0. Uses the processor's instruction where there is one.
std::uint32_t crc32c(Bytes bytes, std::uint32_t crc = 0);

// Joins checksums: from those of two runs of bytes comes that of both, one behind the other, without the bytes. Cheap
// for runs of the same size as the last one's. A value.
class Crc32cJoin {
public:
  // `second_size` is the size of the run whose checksum is `second`.
  std::uint32_t operator()(std::uint32_t first, std::uint32_t second, std::uint64_t second_size);

private:
  std::uint64_t size_ = 0;
  std::uint32_t factor_ = 0x80000000;  // x^(8 size_) modulo the polynomial, bit-reflected.
};

// The table version, always there; for tests and processors without the instruction.
std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t crc = 0);

}  // namespace ventile
