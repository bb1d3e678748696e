// The body and payloads of each message, in a frame whose header and checksums are right: type, length of the payload
// section, number of payloads, then both.
#include <cstring>

#include <tests/fuzz/fuzz.hpp>
#include <ventile/base/crc32c.hpp>

using namespace ventile;

namespace {

template <class Number>
void store(Buffer& frame, std::size_t offset, Number number) {
  std::memcpy(frame.data() + offset, &number, sizeof number);
}

Buffer frame_of(fuzz::Feed& feed) {
  const Buffer model = encode({{1, 2}, {3}, {4}, 5}, Heartbeat{});
  Buffer frame;
  frame.append(model.bytes().first(frame_header_size));
  const std::uint8_t type = feed.byte();
  const auto count = static_cast<std::uint32_t>(feed.byte());
  const Bytes section = feed.take(feed.byte());
  const Bytes body = feed.rest();
  frame.append(section);
  frame.append(body);
  store(frame, 8, type);
  store(frame, 12, static_cast<std::uint32_t>(body.size()));
  store(frame, 16, count);
  store(frame, 20, static_cast<std::uint32_t>(section.size()));
  store(frame, 64, crc32c(frame.bytes().subspan(frame_header_size)));
  store(frame, 68, crc32c(frame.bytes().first(68)));
  return frame;
}

std::uint8_t look_at(const PayloadView& payloads) {
  std::uint8_t all = 0;
  for (std::uint32_t i = 0; i < payloads.count(); ++i)
    for (const std::byte byte : payloads[i]) all ^= static_cast<std::uint8_t>(byte);
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Feed feed{fuzz::bytes_of(data, size)};
  const Buffer frame = frame_of(feed);
  const auto decoded = [&] {
    const fuzz::AllocationBound bound{frame.size()};
    return decode(frame);
  }();
  if (!decoded) return 0;
  PayloadWriter payloads{frame_header_size};
  std::visit(
      [&](const auto& message) {
        if constexpr (requires { message.payloads; }) {
          (void)look_at(message.payloads);
          payloads.append(message.payloads, 0, message.payloads.count());
        }
      },
      decoded->message);
  const Buffer again = encode(decoded->envelope, decoded->message, std::move(payloads));
  const Result<Received> read = decode(again);
  fuzz::hold(static_cast<bool>(read), "what was decoded can be encoded and decoded again");
  const auto* part = std::get_if<Part>(&decoded->message);
  if (part == nullptr) return 0;
  Assembler parts;
  const fuzz::AllocationBound bound{frame.size()};
  (void)parts.add(*part);
  return 0;
}
