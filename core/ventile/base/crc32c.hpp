// CRC-32C (Castagnoli), RFC 3720 appendix B.4: the checksum of frames and of the journal.
#pragma once

#include <cstdint>

#include <ventile/base/buffer.hpp>

namespace ventile {

// Continues `crc` over `bytes`; start with 0. Uses the processor's instruction where there is one.
std::uint32_t crc32c(Bytes bytes, std::uint32_t crc = 0);

// The table version, always there; for tests and processors without the instruction.
std::uint32_t crc32c_by_table(Bytes bytes, std::uint32_t crc = 0);

}  // namespace ventile
