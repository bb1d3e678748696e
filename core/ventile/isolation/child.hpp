// A child: runs groups of tasks until its slot has no more. Private to this folder.
#pragma once

#include <cstdint>

#include <ventile/isolation/server.hpp>
#include <ventile/task/registry.hpp>

namespace ventile::isolation {

struct ChildOptions {
  std::uint64_t memory_bytes_max = 0;
};

// In a process with one thread in which all signals are blocked.
[[noreturn]] void run_child(const TaskRegistry& tasks, const ChildOptions& options, PassedDescriptors passed);

}  // namespace ventile::isolation
