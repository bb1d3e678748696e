// Messages on the simulated network, through the real codec, and in words for the trace.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ventile/wire/codec.hpp>

#include "tests/simulation/world.hpp"

namespace ventile::simulation {

// One line: what it is and what matters of it.
std::string describe(const Message& message);

// What one end of a connection needs: frames from messages, messages from frames.
class Wire {
public:
  explicit Wire(std::size_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  // The frames of a message, in parts where it is too large for one.
  std::vector<Buffer> pack(const Envelope& envelope, const Message& message,
                           PayloadWriter&& payloads = PayloadWriter{frame_header_size});
  std::vector<Buffer> cut(Bytes frame, const Envelope& envelope);

  // Hands every whole message to `on_message`. Frames of our own are never malformed.
  template <class OnMessage>
  void unpack(Bytes frame, OnMessage&& on_message) {
    const Result<Received> received = decode(frame);
    if (!received) throw Violation{"a frame of our own is malformed: " + received.error().message};
    require(frame.size() <= frame_bytes_max_, "a frame is larger than its limit");
    const auto* part = std::get_if<Part>(&received->message);
    if (part == nullptr) return on_message(*received);
    const Result<Buffer> whole = parts_.add(*part);
    if (!whole) throw Violation{"parts of our own do not fit: " + whole.error().message};
    if (whole->empty()) return;
    const Result<Received> all = decode(*whole);
    require(static_cast<bool>(all), "a message put together from parts is malformed");
    on_message(*all);
  }

private:
  std::size_t frame_bytes_max_;
  std::uint64_t transfers_ = 0;
  Assembler parts_;
};

// A frame of RESULTS that is kept, and what it says: its payloads are views into the frame.
struct HeldResults {
  std::shared_ptr<const Buffer> frame;
  Envelope envelope;
  Results results;
};
HeldResults hold(std::shared_ptr<const Buffer> frame);

// The outcome of one of their tasks.
Outcome outcome_of(const Results& results, Number number);

// Where frames of results arrive from many workers, in parts where they are too large for one.
class ResultsInbox {
public:
  explicit ResultsInbox(std::size_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

  // The results that this frame completes; none while parts are missing.
  std::optional<HeldResults> take(Buffer frame);

private:
  std::size_t frame_bytes_max_;
  std::map<IncarnationId, Assembler> workers_;
};

}  // namespace ventile::simulation
