#include <ventile/net/frame.hpp>

#include <zmq.h>

#include <cstring>
#include <new>
#include <utility>

#include <ventile/net/handover.hpp>

namespace ventile {

namespace {

zmq_msg_t* message_in(std::byte* memory) { return reinterpret_cast<zmq_msg_t*>(memory); }

// libzmq's getters take pointers to mutable messages, and change nothing.
zmq_msg_t* message_in(const std::byte* memory) { return message_in(const_cast<std::byte*>(memory)); }

std::string_view property(const zmq_msg_t* message, const char* name) {
  const char* const text = zmq_msg_gets(message, name);
  return text == nullptr ? std::string_view{} : std::string_view{text};
}

void free_memory(void* memory, void*) {
  take_over(memory);
  Buffer::dispose(static_cast<std::byte*>(memory));
}

void release_reference(void* memory, void* reference) {
  take_over(memory);
  delete static_cast<std::shared_ptr<const void>*>(reference);
}

}  // namespace

static_assert(sizeof(zmq_msg_t) == 64 && alignof(zmq_msg_t) <= 8, "Frame::message_ must have room for a zmq_msg_t.");

Frame::Frame() noexcept { zmq_msg_init(message_in(message_)); }

Frame::Frame(Buffer&& buffer) {
  const std::size_t size = buffer.size();
  std::byte* const memory = buffer.release();
  if (zmq_msg_init_data(message_in(message_), memory, size, free_memory, nullptr) != 0) {
    Buffer::dispose(memory);
    throw std::bad_alloc();
  }
}

Frame Frame::shared(std::shared_ptr<const Buffer> buffer) {
  const Bytes bytes = buffer->bytes();
  return in(std::move(buffer), bytes);
}

Frame Frame::in(std::shared_ptr<const void> memory, Bytes bytes) {
  Frame frame;
  auto* const begin = const_cast<std::byte*>(bytes.data());  // libzmq only reads it.
  auto reference = std::make_unique<std::shared_ptr<const void>>(std::move(memory));
  if (zmq_msg_init_data(message_in(frame.message_), begin, bytes.size(), release_reference, reference.get()) != 0) {
    zmq_msg_init(message_in(frame.message_));
    throw std::bad_alloc();
  }
  reference.release();  // NOLINT(bugprone-unused-return-value): libzmq owns it now.
  return frame;
}

Frame Frame::copy_of(Bytes bytes) {
  Frame frame;
  if (zmq_msg_init_size(message_in(frame.message_), bytes.size()) != 0) {
    zmq_msg_init(message_in(frame.message_));
    throw std::bad_alloc();
  }
  if (!bytes.empty()) std::memcpy(zmq_msg_data(message_in(frame.message_)), bytes.data(), bytes.size());
  return frame;
}

Frame::~Frame() { zmq_msg_close(message_in(message_)); }

Frame::Frame(Frame&& other) noexcept : Frame() { *this = std::move(other); }

Frame& Frame::operator=(Frame&& other) noexcept {
  if (this != &other) zmq_msg_move(message_in(message_), message_in(other.message_));
  return *this;
}

Bytes Frame::bytes() const {
  zmq_msg_t* const message = message_in(message_);
  return {static_cast<const std::byte*>(zmq_msg_data(message)), zmq_msg_size(message)};
}

int Frame::source_descriptor() const { return zmq_msg_get(message_in(message_), ZMQ_SRCFD); }

std::string_view Frame::peer_address() const { return property(message_in(message_), "Peer-Address"); }
std::string Frame::user_id() const { return std::string(property(message_in(message_), "User-Id")); }

}  // namespace ventile
