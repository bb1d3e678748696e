// Who may wait at the door: a limit to connections that have not proved who they are. Only for the sources of this
// folder.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

#include <ventile/net/arrivals.hpp>
#include <ventile/net/detention.hpp>
#include <ventile/net/waiting_room.hpp>

namespace ventile {

// libzmq takes every connection that comes, and reads of a stranger's handshake what fits into a frame. So the porter
// looks at the connections of a socket with keys, over tcp, until they are let in, and throws out
//
//   * one that has sent more than a handshake has (`handshake_bytes_max`),
//   * the oldest, when there are more than `waiting_max`: of those who have said nothing, if there are any.
//
// libzmq then finds it closed, as if its owner had gone. The kernel says how far a connection is (TCP_INFO); what
// follows from it, the WaitingRoom decides. An honest peer that is unlucky comes back.
//
// So does everybody else, and each costs libzmq a tenth of a millisecond. So while more come than guests do (Arrivals),
// whoever is thrown out learns of it a second later (Detention), and the kernel drops one SYN of eight, which is sent
// again after a second. A guest comes in late if it is unlucky; those who connect all the time spend most of it
// waiting.
//
// It has a thread of its own, which sleeps while nobody waits or is detained and looks every few milliseconds else, so
// that a burst may exceed the limits for as long, and whoever reads the monitor is not held up by it. A descriptor may
// have been given to another connection since the monitor has named it. That may then be thrown out instead, but
// nothing that did not come to this port.
class Porter {
public:
  Porter(std::uint16_t port, WaitingRoom::Limits limits);
  ~Porter();
  Porter(const Porter&) = delete;
  Porter& operator=(const Porter&) = delete;

  // From any thread: this is where connections come in, if it is this porter's port.
  void on_listening(int descriptor);
  // Whether a socket that is bound to this address has its connections from this porter's port.
  bool is_at(std::string_view address) const;
  // From any thread: this connection has come there.
  void on_accepted(int descriptor);

private:
  const std::uint16_t port_;
  WaitingRoom waiting_;  // The thread's own, as is what follows.
  Detention detention_;
  Arrivals arrivals_{{}};
  bool dropping_ = false;  // SYNs.
  std::mutex mutex_;       // Guards what follows.
  std::condition_variable changed_;
  std::vector<int> arrived_;  // Descriptors that the thread has not seen yet.
  int listener_ = -1;
  bool idle_ = false;  // The thread sleeps until somebody arrives.
  bool ending_ = false;
  std::thread thread_;

  void run();
  void take_in(const std::vector<int>& arrived);
  void look();
  void watch_the_crowd(std::size_t arrived, int listener);
  bool is_ours(int descriptor) const;
};

}  // namespace ventile
