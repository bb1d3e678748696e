// The process that forks children and reaps them. Private to this folder.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>

#include <ventile/base/result.hpp>
#include <ventile/task/descriptor.hpp>
#include <ventile/task/registry.hpp>

namespace ventile::isolation {

// What a child gets, and what the server keeps of it.
enum class Passed : std::uint8_t {
  stream,  // Groups and results.
  orders,  // What cannot wait. At its end the child ends.
  begun,   // The memory of a Begun.
  error,   // The child's stderr.
  end,     // Kept: the child's wait status is sent here. At its end the child is killed.
  count,
};
using PassedDescriptors = std::array<Descriptor, static_cast<std::size_t>(Passed::count)>;

struct ServerOptions {
  std::uint64_t memory_bytes_max = 0;
};

// Asks the server at the other end for a child. Code::unavailable if it is gone.
Status ask_for_child(int server, const PassedDescriptors& passed);

// A server forked from this process, with the functions of `tasks` in it.
struct Server {
  pid_t process = 0;
  Descriptor requests;  // At its end the server kills what is left and ends.
};
Result<Server> start_server(const TaskRegistry& tasks, const ServerOptions& options);

}  // namespace ventile::isolation
