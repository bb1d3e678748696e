// The libzmq context, which lives as long as the Context or any of its sockets. Only for the sources of this folder.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <ventile/net/context.hpp>
#include <ventile/net/switchboard.hpp>

namespace ventile {

class Gatekeeper;

struct Context::State {
  State(ContextOptions options, Log log);
  ~State();
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void* open(const void* owner, int kind, const char* kind_name);  // Throws std::runtime_error.
  void close(const void* owner, void* socket);
  void describe(const void* owner, const std::string& use);  // Adds to the name by which the log knows a socket.

  // Begins to work when it is first asked for. From any thread. Throws std::runtime_error.
  Gatekeeper& gatekeeper();

  void* const handle;
  const Log log;
  mutable std::mutex mutex;
  std::map<const void*, std::string> open_sockets;  // Owner to name. Guarded by mutex.
  Switchboard switchboard;
  std::atomic<bool> ended = false;
  std::unique_ptr<Gatekeeper> keeper;  // Null before anybody wants one. Guarded by mutex.
};

}  // namespace ventile
