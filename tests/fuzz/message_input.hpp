// How the target `message` reads its input.
#pragma once

#include <cstring>

#include <tests/fuzz/fuzz.hpp>
#include <ventile/base/crc32c.hpp>

namespace ventile::fuzz {

template <class Number>
void store(Buffer& frame, std::size_t offset, Number number) {
  std::memcpy(frame.data() + offset, &number, sizeof number);
}

// Type of the message, its highest bit the header's flag, number of payloads, bytes of the payload section, that
// section, the body: a frame whose header and checksums are right.
constexpr std::uint8_t flag_of_input = 0x80;
inline Buffer frame_of(Feed& feed) {
  const Buffer model = encode({{1, 2}, {3}, {4}, 5}, Heartbeat{});
  Buffer frame;
  frame.append(model.bytes().first(frame_header_size));
  const std::uint8_t type = feed.byte();
  const auto count = static_cast<std::uint32_t>(feed.byte());
  const Bytes section = feed.take(feed.byte());
  const Bytes body = feed.rest();
  frame.append(section);
  frame.append(body);
  store(frame, 8, static_cast<std::uint8_t>(type & ~flag_of_input));
  store(frame, 9, static_cast<std::uint8_t>((type & flag_of_input) != 0 ? 1 : 0));
  store(frame, 12, static_cast<std::uint32_t>(body.size()));
  store(frame, 16, count);
  store(frame, 20, static_cast<std::uint32_t>(section.size()));
  store(frame, 64, crc32c(frame.bytes().subspan(frame_header_size)));
  store(frame, 68, crc32c(frame.bytes().first(68)));
  return frame;
}

}  // namespace ventile::fuzz
