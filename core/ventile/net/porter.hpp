// Who may wait at the door: a limit to connections that have not proved who they are. Only for the sources of this
// folder.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include <ventile/net/waiting_room.hpp>

namespace ventile {

// libzmq takes every connection that comes, and reads of a stranger's handshake what fits into a frame. So the porter
// looks at the connections of a socket with keys, over tcp, until they are let in, and shuts
//
//   * one that has sent more than a handshake has (`handshake_bytes_max`),
//   * the oldest, when there are more than `waiting_max`.
//
// libzmq then finds it closed, as if its owner had gone. An honest peer that is unlucky comes back. The kernel says how
// far a connection is (TCP_INFO); what follows from it, the WaitingRoom decides.
//
// It has a thread of its own, which sleeps while nobody waits and looks every few milliseconds else, so that a burst
// may exceed the limits for as long, and whoever reads the monitor is not held up by it. A descriptor may have been
// given to another connection since the monitor has named it. That may then be shut instead, but nothing that did not
// come to this port.
class Porter {
public:
  Porter(std::uint16_t port, WaitingRoom::Limits limits);
  ~Porter();
  Porter(const Porter&) = delete;
  Porter& operator=(const Porter&) = delete;

  // From any thread: this connection has come.
  void on_accepted(int descriptor);

private:
  const std::uint16_t port_;
  WaitingRoom waiting_;  // The thread's own.
  std::mutex mutex_;     // Guards what follows.
  std::condition_variable changed_;
  std::vector<int> arrived_;  // Descriptors that the thread has not seen yet.
  bool ending_ = false;
  std::thread thread_;

  void run();
  void take_in(const std::vector<int>& arrived);
  void look();
  bool is_ours(int descriptor) const;
};

}  // namespace ventile
