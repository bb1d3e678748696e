#include <ventile/net/detention.hpp>

#include <fcntl.h>
#include <linux/filter.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace ventile {
namespace {

constexpr std::size_t descriptors_per_one_held = 8;

std::size_t allowed(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  return std::min<std::size_t>(wanted, limit.rlim_cur / descriptors_per_one_held);
}

// What comes on this connection is dropped by the kernel before anybody can read it.
bool make_deaf(int descriptor) {
  sock_filter drop_all = BPF_STMT(BPF_RET | BPF_K, 0);
  const sock_fprog program{1, &drop_all};
  return ::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

// The filter goes first: with it, the kernel would not hear that the other side has heard.
void end(int descriptor) {
  const int unused = 0;
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
  (void)::shutdown(descriptor, SHUT_RDWR);
}

}  // namespace

Detention::Detention(Limits limits) : limits_{allowed(limits.held_max), limits.time} {}

Detention::~Detention() { release(never); }

void Detention::take(int descriptor, TimePoint now) {
  const int held = held_.size() < limits_.held_max ? ::fcntl(descriptor, F_DUPFD_CLOEXEC, 0) : -1;
  if (held >= 0 && make_deaf(held) && ::shutdown(held, SHUT_RD) == 0) {
    held_.push_back({held, now + limits_.time});
    return;
  }
  end(descriptor);
  if (held >= 0) ::close(held);
}

void Detention::release(TimePoint now) {
  for (; !held_.empty() && held_.front().until <= now; held_.pop_front()) {
    end(held_.front().descriptor);
    ::close(held_.front().descriptor);
  }
}

}  // namespace ventile
