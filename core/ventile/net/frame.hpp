// One message as it is sent and received, without copying its bytes.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include <ventile/base/buffer.hpp>

namespace ventile {

// Moves, does not copy. A frame that was sent or moved from is empty and may be used again.
class Frame {
public:
  Frame() noexcept;
  // Takes the buffer's memory and sends it without a copy.
  explicit Frame(Buffer&& buffer);
  // Sends memory that the caller keeps as well, without a copy. The reference is given up, on any thread, when libzmq
  // no longer needs it, so nobody may write to the buffer any more.
  static Frame shared(std::shared_ptr<const Buffer> buffer);
  // The same for bytes in any memory, which `memory` keeps.
  static Frame in(std::shared_ptr<const void> memory, Bytes bytes);
  static Frame copy_of(Bytes bytes);

  ~Frame();
  Frame(Frame&& other) noexcept;
  Frame& operator=(Frame&& other) noexcept;
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  // Read in place. Valid until this frame is moved, assigned, sent or destroyed: short messages live inside the object.
  // A received message may pin a larger buffer, so copy what is kept for long.
  Bytes bytes() const;
  std::size_t size() const { return bytes().size(); }
  bool empty() const { return bytes().empty(); }

  // Of a received frame: the descriptor of the connection it came by (which ConnectionEvent names too) and the peer's
  // address. -1 and empty if it came by inproc or was not received.
  int source_descriptor() const;
  std::string_view peer_address() const;
  // Of a received frame: the public key that its sender has proved to have. Empty if there are no keys, and by inproc.
  std::string user_id() const;

private:
  friend class Socket;
  alignas(8) std::byte message_[64];  // A zmq_msg_t.
};

}  // namespace ventile
