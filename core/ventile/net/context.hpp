// What all sockets of a process share: libzmq's I/O threads and the names of inproc addresses.
#pragma once

#include <cstdint>
#include <memory>

#include <ventile/base/log.hpp>

namespace ventile {

struct ContextOptions {
  int io_threads = 1;      // One moves about a gigabyte a second.
  int sockets_max = 1023;  // Opening one more throws std::runtime_error.
};

// Make one per process, after every fork, and share it. Sockets may be opened from any thread.
//
// The destructor never waits: every socket drops what it has not sent (LINGER 0), and a socket that is still open,
// which is a bug, is named in the log, told that it has ended, and freed with the memory of the context when it is
// closed.
class Context {
public:
  explicit Context(ContextOptions options = {}, Log log = {});
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  int open_sockets() const;

private:
  friend class Socket;
  struct State;
  std::shared_ptr<State> state_;
};

// Every connection takes a descriptor, and libzmq spins when it finds none. Raises this process's soft limit to its
// hard limit and returns the limit that now holds, for the caller to say when it is below its need.
std::uint64_t raise_descriptor_limit();
// The limit that it raises to.
std::uint64_t descriptor_limit();

}  // namespace ventile
