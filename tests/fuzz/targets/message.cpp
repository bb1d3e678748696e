// The body and payloads of each message, in a frame whose header and checksums are right.
#include <tests/fuzz/message_input.hpp>

using namespace ventile;

namespace {

std::uint8_t look_at(const PayloadView& payloads) {
  std::uint8_t all = 0;
  for (std::uint32_t i = 0; i < payloads.count(); ++i)
    for (const std::byte byte : payloads[i]) all ^= static_cast<std::uint8_t>(byte);
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Feed feed{fuzz::bytes_of(data, size)};
  const Buffer frame = fuzz::frame_of(feed);
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
