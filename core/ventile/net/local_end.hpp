// One end of a connection that does not leave its thread. Only for the sources of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>

#include <ventile/net/socket.hpp>

namespace ventile {

// A socket that is bound or connected here hands its frames over by itself: no mailbox, no system call, no other
// thread. Between two libzmq sockets on one thread a message costs about ten system calls, most of them to find out
// that there is nothing more. Everything on that thread, or while it does not run.
class LocalEnd {
public:
  explicit LocalEnd(std::size_t high_water) : high_water_(high_water) {}
  ~LocalEnd() { close(); }
  LocalEnd(const LocalEnd&) = delete;
  LocalEnd& operator=(const LocalEnd&) = delete;

  void connect(LocalEnd& host);
  // Leaves its host, or its guests. What has come is forgotten.
  void close();

  // Of the host; never if there is none (any more).
  bool has_room() const { return host_ != nullptr && !host_->is_full(); }
  bool is_readable() const { return !inbox_.empty(); }

  SendOutcome send(Frame& frame);                       // To the host.
  SendOutcome send(const RoutingId& to, Frame& frame);  // To a guest.
  bool receive(Frame& frame);
  bool receive(RoutingId& from, Frame& frame);

private:
  struct Arrival {
    RoutingId from;
    Frame frame;
  };

  std::size_t high_water_;
  std::deque<Arrival> inbox_;
  LocalEnd* host_ = nullptr;
  RoutingId name_;  // At its host.
  std::unordered_map<RoutingId, LocalEnd*> guests_;
  std::uint64_t guest_counter_ = 0;

  bool is_full() const { return inbox_.size() >= high_water_; }
  SendOutcome take(const RoutingId& from, Frame& frame);
};

}  // namespace ventile
