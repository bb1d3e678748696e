// What can be said of descriptors without knowing what they are. Only for the sources of this folder.
#pragma once

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdint>

namespace ventile {

// How many this process may have.
inline std::uint64_t descriptor_limit() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

// Of so many, those that connections must leave: for files, and for what the process connects to itself.
inline std::uint64_t descriptors_kept_back(std::uint64_t limit) { return std::min<std::uint64_t>(16, limit / 8); }

// The kernel's own name of a connection, which no other ever has; 0: it is none.
inline std::uint64_t cookie_of(int descriptor) {
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  return ::getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

}  // namespace ventile
