// One end of the connections within a process. Only for the sources of this folder.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <ventile/net/alarm.hpp>
#include <ventile/net/socket.hpp>

namespace ventile {

// A socket that is bound or connected over inproc hands its frames over by itself: a few locks for a message, and a
// system call only to wake a reactor that sleeps. Through libzmq's inproc a message that wakes a thread costs it about
// eight, most of them to find out that there is nothing more, and whoever sends it two; where a system call takes a
// microsecond, that was half of what a lone task took.
//
// From any thread. None of these takes a lock while it holds another. Switchboard says who is connected with whom.
class LocalEnd {
public:
  LocalEnd(std::size_t receive_high_water, std::size_t send_high_water)
      : receive_high_water_(receive_high_water), send_high_water_(send_high_water) {}
  LocalEnd(const LocalEnd&) = delete;
  LocalEnd& operator=(const LocalEnd&) = delete;

  // Rings when there is something to read, when there is room again for what found none, and when somebody has
  // connected or left. Null: nobody listens.
  void attend(std::shared_ptr<Alarm> alarm);
  void ring() const;

  bool is_readable() const;
  // Whether send() would find room, with any peer. If not, the alarm rings when it would.
  bool has_room() const;

  SendOutcome send(Frame& frame);                       // To each peer in turn, passing over those that have no room.
  SendOutcome send(const RoutingId& to, Frame& frame);  // To one.
  bool receive(Frame& frame);
  bool receive(RoutingId& from, Frame& frame);

private:
  friend class Switchboard;
  using Peers = std::map<RoutingId, std::shared_ptr<LocalEnd>>;  // By the name of the connection.
  using Peer = std::pair<RoutingId, std::shared_ptr<LocalEnd>>;
  struct Arrival {
    RoutingId from;
    Frame frame;
  };

  const std::size_t receive_high_water_;
  const std::size_t send_high_water_;

  mutable std::mutex mutex_;  // Guards what follows.
  std::shared_ptr<Alarm> alarm_;
  std::deque<Arrival> inbox_;  // Of all peers.
  bool closed_ = false;
  bool starves_ = false;  // Somebody has found no room in it.
  Peers peers_;
  RoutingId last_served_;  // By send() to each in turn.

  void add(const RoutingId& name, std::shared_ptr<LocalEnd> peer);
  void remove(const RoutingId& name);
  Peers close();  // Forgets what has come, and whom it knew.
  std::vector<Peer> peers_in_turn() const;
  SendOutcome take(const RoutingId& from, Frame& frame, std::size_t sender_high_water);
  bool admits(std::size_t sender_high_water);
  bool is_full(std::size_t sender_high_water) const;
};

}  // namespace ventile
