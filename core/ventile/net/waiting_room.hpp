// Decides which of the connections that are not let in yet must be closed. Only for the sources of this folder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

namespace ventile {

// It closes nothing and asks nobody: it is told which connections have come and what the kernel says of each, and
// answers with those to be shut. Not for several threads.
//
//   on_arrived              sent > let_in_after, or gone
//   ------------> [waiting] -----------------------------> forgotten
//                     '------ said too much, or the oldest of too many, of the silent ones first: to be closed, and
//                     forgotten
class WaitingRoom {
public:
  // What a CURVE server has sent by when: its greeting has 64 bytes, WELCOME 170. An ERROR follows WELCOME with at most
  // 12, where READY, the server's word that the guest is who it says it is, has at least its name, a nonce, an
  // authenticator and the name of the socket's type.
  static constexpr std::uint64_t let_in_after = 64 + 170 + 40;

  struct Limits {
    std::size_t waiting_max = 16;
    std::uint64_t handshake_bytes_max = 4096;
  };

  // What is seen of a connection.
  struct Sight {
    std::uint64_t cookie = 0;    // The kernel's own name of it: a descriptor may be given to another one.
    std::uint64_t received = 0;  // Bytes from the stranger.
    std::uint64_t sent = 0;      // Bytes to it that it has confirmed.
  };
  using Look = std::function<std::optional<Sight>(int descriptor)>;  // Nothing: there is no such connection.

  explicit WaitingRoom(Limits limits) : limits_(limits) {}

  // This connection waits from now on, behind those that wait already.
  void on_arrived(int descriptor, std::uint64_t cookie);

  struct Waiting {
    int descriptor = -1;
    std::uint64_t cookie = 0;
    bool seen = false;
    bool silent = false;  // Since it was seen before. A guest speaks as soon as it is connected.
  };
  // Looks once at each that waits. Returns those that must be closed, which wait no longer.
  std::vector<Waiting> on_look(const Look& look);

  bool empty() const { return waiting_.empty(); }

private:
  Limits limits_;
  std::deque<Waiting> waiting_;  // In the order of coming.
};

}  // namespace ventile
