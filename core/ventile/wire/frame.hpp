// The fixed part of every message: PROTOCOL.md, "Frames".
//
//   offset size
//        0    4  magic "VNTL"                      bytes 0-7 mean this in every version, for ever
//        4    2  protocol version
//        6    2  zero
//        8    1  type
//        9    1  flags (1: all payloads have one size)
//       10    2  header length (72)
//       12    4  body length
//       16    4  number of payloads
//       20    4  length of the payload section
//       24   16  job, or zero
//       40    8  incarnation of the sender
//       48    8  session, or zero before WELCOME
//       56    8  sequence: counts the sender's messages in this session
//       64    4  CRC-32C of everything behind the header
//       68    4  CRC-32C of bytes 0-67
//       72       payload section (payloads.hpp), then the body: a msgpack array of the message's fields
//
// All numbers are little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ventile {

inline constexpr std::uint16_t protocol_version = 1;
inline constexpr std::size_t frame_header_size = 72;

// The default limit of one frame: a task of a megabyte travels whole. A larger message travels in parts (Part); a
// larger frame ends the connection.
inline constexpr std::size_t frame_bytes_default = std::size_t{2} << 20;

// The limit of one message put together from parts, and so of one task's payload or result.
inline constexpr std::size_t message_bytes_default = std::size_t{1} << 30;

}  // namespace ventile
