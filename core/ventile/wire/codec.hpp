// Messages to frames and back. The only place that knows the layout of a frame (frame.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <ventile/base/buffer.hpp>
#include <ventile/base/ids.hpp>
#include <ventile/base/result.hpp>
#include <ventile/wire/frame.hpp>
#include <ventile/wire/messages.hpp>
#include <ventile/wire/payloads.hpp>

namespace ventile {

// What every message carries beside its fields.
struct Envelope {
  JobId job;
  IncarnationId incarnation;  // Of the sender.
  SessionId session;
  std::uint64_t sequence = 0;

  bool operator==(const Envelope&) const = default;
};

struct Received {
  Envelope envelope;
  Message message;  // Its payloads are views into the frame.
};

// A message as a frame. For messages with payloads pass what a PayloadWriter(frame_header_size) has written: the
// frame is finished in place.
Buffer encode(const Envelope& envelope, const Message& message);
Buffer encode(const Envelope& envelope, const Message& message, PayloadWriter&& payloads);
// The same for a payload section of `count` payloads that stands behind frame_header_size bytes of headroom already.
Buffer encode(const Envelope& envelope, const Message& message, Buffer&& section, std::uint32_t count);

// Checks everything: sizes, checksums, field counts, value ranges, payload table, nothing left over. The views in
// the result point into `frame`. Errors are `invalid` and say what is wrong. Allocates at most decoding_memory_max(),
// whatever the frame claims: one whose lists would take more is refused. Those that a node sends take less.
Result<Received> decode(Bytes frame);

constexpr std::size_t decoding_memory_max(std::size_t frame_bytes) { return 8 * frame_bytes + std::size_t{64} * 1024; }

// The protocol version of a frame of any version, or an error if it is no frame of Ventile's at all.
Result<std::uint16_t> peek_version(Bytes frame);

// The job of a frame that, by its header, holds RESULTS: for passing it on without unpacking it.
std::optional<JobId> results_job(Bytes frame);

// The size of the frame that begins with these bytes, at least frame_header_size of them; none if they are no frame's.
std::optional<std::uint64_t> frame_size(Bytes beginning);

// The type of an encoded frame that is known to be good, for counting and logs.
std::uint8_t type_of(Bytes frame);
// The payloads of one that is known to be good: those that were given to encode(), without decoding its message.
PayloadView payloads_of(Bytes frame);
const char* name_of_type(std::uint8_t type);
const char* name_of(const Message& message);

// Cuts a frame that is larger than `frame_bytes_max` into frames of Parts; one that is not comes back alone.
std::vector<Buffer> split(Buffer frame, const Envelope& envelope, std::uint64_t transfer, std::size_t frame_bytes_max);

// Puts Parts of one sender together again. At most `transfers_max` messages are open at once and at most
// `message_bytes_max` bytes are held for all of them; memory grows as bytes arrive, not as totals claim. Beyond that
// the oldest is forgotten: its rest was lost with a connection, for a sender finishes one message before the next. A
// message that begins again is another: a sender that was restarted counts its transfers from the beginning.
class Assembler {
public:
  explicit Assembler(std::size_t message_bytes_max = message_bytes_default) : message_bytes_max_(message_bytes_max) {}

  // Returns the whole frame with its last part, an empty buffer before, or `invalid` if the part does not fit what
  // came before (that transfer is then forgotten).
  Result<Buffer> add(const Part& part);
  void clear() {
    open_.clear();
    held_ = 0;
  }
  std::size_t held_bytes() const { return held_; }

  static constexpr std::size_t transfers_max = 64;

private:
  struct Open {
    std::uint64_t total = 0;
    Buffer so_far;
  };

  std::size_t message_bytes_max_;
  std::size_t held_ = 0;
  std::map<std::uint64_t, Open> open_;

  void forget(std::map<std::uint64_t, Open>::iterator it);
};

}  // namespace ventile
